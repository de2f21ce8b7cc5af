// Cloud starts Google Cloud as stand-ins on loopback, the platform's three binaries over
// it, and a phone that plays four weeks into it and prints what comes out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clarity-loop/clarity/internal/emulated"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cloud:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("cloud", flag.ContinueOnError)
	stay := flags.Bool("stay", false, "stay up until Ctrl-C")
	root := flags.String("root", ".", "the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	where, err := filepath.Abs(*root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "clarity-cloud-")
	if err != nil {
		return err
	}
	defer func() { err = leave(out, dir, err) }()
	cloud, err := emulated.Start(ctx, emulated.Options{Root: where, Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Stop()) }()
	bin := filepath.Join(where, "bin")
	platform, err := cloud.Run(ctx, emulated.Fleet{Bin: bin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, platform.Stop()) }()
	token, err := cloud.Person(ctx, "demo")
	if err != nil {
		return err
	}
	say(out, "Cloud      %s\n", strings.Join(cloud.Environment(), "\n           "))
	phone := exec.CommandContext(ctx, filepath.Join(bin, "clarity"), "demo", "--server", platform.URL) //nolint:gosec // our own
	phone.Env = append(os.Environ(), "CLARITY_TOKEN="+token)
	phone.Stdout, phone.Stderr = out, os.Stderr
	if err := phone.Run(); err != nil {
		return fmt.Errorf("the phone: %w", err)
	}
	if *stay {
		say(out, "\nLook       export CLARITY_TOKEN=%s\n           curl -s -H \"Authorization: Bearer $CLARITY_TOKEN\" %s/v1/weeks\n           logs in %s\nCtrl-C ends it.\n", token, platform.URL, dir)
		<-ctx.Done()
	}
	return nil
}

// leave removes the logs, unless something failed.
func leave(out io.Writer, dir string, err error) error {
	if err != nil {
		say(out, "The logs are in %s\n", dir)
		return err
	}
	return os.RemoveAll(dir)
}

func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
