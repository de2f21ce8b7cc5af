package emulated

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A peer is one process.
type peer struct {
	name, address, log string
	line               string // the address by which the platform reaches it; "" is its own
	cmd                *exec.Cmd
	ended              chan struct{} // closed once it has
}

// reached is where the platform is led.
func (p *peer) reached() string { return cmp.Or(p.line, p.address) }

// patience is how long a peer may take to answer, or to end.
const patience = 20 * time.Second

// begin starts the peer on a free port.
func begin(ctx context.Context, o Options, name string) (*peer, error) {
	program, err := built(ctx, o.Root, name)
	if err != nil {
		return nil, err
	}
	address, err := free(ctx)
	if err != nil {
		return nil, err
	}
	line := ""
	if o.Lines && name != lines {
		if line, err = free(ctx); err != nil {
			return nil, err
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	arguments := map[string][]string{
		Firestore: {"--host", host, "--port", port},
		Storage:   {"-backend", "memory", "-scheme", "http", "-host", host, "-port", port, "-public-host", cmp.Or(line, address), "-log-level", "error"},
		Auth:      {"--listen", address, "--project", Project},
		Collector: {"--listen", address, "--out", filepath.Join(o.Dir, collected)},
	}[name]
	if arguments == nil {
		arguments = []string{"--listen", address}
	}
	cmd := exec.Command(program, arguments...) //nolint:gosec,noctx // hack/emulators says which; it ends by stop
	p, err := launch(cmd, o.Dir, name, address)
	if err == nil {
		p.line = line
	}
	return p, err
}

// launch starts a process that writes NAME.log in the directory, behind what is there of
// one before, and is there once it takes connections at the address.
func launch(cmd *exec.Cmd, dir, name, address string) (*peer, error) {
	p := &peer{name: name, address: address, log: filepath.Join(dir, name+".log"), cmd: cmd, ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // whoever presses Ctrl-C means who started it, which ends it in order
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	return p, nil
}

// built is the peer's program.
func built(ctx context.Context, root, name string) (string, error) {
	script := exec.CommandContext(ctx, filepath.Join(root, "hack", "emulators", "emulator"), "--built", name) //nolint:gosec // our own
	var told bytes.Buffer
	script.Stderr = &told
	path, err := script.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(told.String()))
	}
	return strings.TrimSpace(string(path)), nil
}

// free is an address of loopback that nobody listens on.
func free(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers is nil once the peer takes connections.
func (p *peer) answers(ctx context.Context) error {
	var dialer net.Dialer
	return p.await(ctx, func(ctx context.Context) error {
		conn, err := dialer.DialContext(ctx, "tcp", p.address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// await is nil once there is no error more, in time and as long as the process runs.
func (p *peer) await(ctx context.Context, there func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := there(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", p.name, err)
		case <-p.ended:
			said, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s has ended: %s", p.name, bytes.TrimSpace(said))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the process, with force where it does not end by itself.
func (p *peer) stop() error {
	for _, s := range []os.Signal{syscall.SIGCONT, syscall.SIGTERM} {
		if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop %s: %w", p.name, err)
		}
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}
