// Images builds the images of the Dockerfile into OCI layouts, without Docker: a
// layer of what each has, and one of the program. All of an image but its program
// is as old as the epoch, so that two builds have one digest.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

// programs are those that have an image.
func programs() []string { return []string{"manager", "worker", "ingress", "insights"} }

// A build is what the command line says.
type build struct {
	out, version, arch, certificates string
}

func run(ctx context.Context, args []string, out io.Writer) error {
	b := build{}
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.StringVar(&b.out, "out", "bin/images", "the folder of the layouts, one a program")
	flags.StringVar(&b.version, "version", "dev", "what the programs say of themselves")
	flags.StringVar(&b.arch, "arch", "amd64", "the architecture")
	flags.StringVar(&b.certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "whom the programs trust")
	twice := flags.Bool("twice", false, "build all a second time, elsewhere and from nothing (minutes), and compare")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *twice && command(ctx, ".", nil, "git", "diff", "--quiet").Run() != nil {
		return errors.New("a second build is of what is staged: git add what is changed")
	}
	digests, err := b.all(ctx, ".", nil)
	if err != nil {
		return err
	}
	for i, name := range programs() {
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\n", name, digests[i], filepath.Join(b.out, name))
	}
	if !*twice {
		return nil
	}
	return b.again(ctx, digests, out)
}

// again builds what is staged in another folder, with a build cache that
// is empty.
func (b build) again(ctx context.Context, first []string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "images-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "source")
	if err := command(ctx, ".", nil, "git", "checkout-index", "--all", "--prefix="+source+"/").Run(); err != nil {
		return fmt.Errorf("copy the sources: %w", err)
	}
	b.out = filepath.Join(dir, "images")
	second, err := b.all(ctx, source, []string{"GOCACHE=" + filepath.Join(dir, "cache")})
	if err != nil {
		return err
	}
	var faults []error
	for i, name := range programs() {
		if first[i] != second[i] {
			faults = append(faults, fmt.Errorf("%s is %s, and %s where it is built again", name, first[i], second[i]))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "built twice: the digests are the same")
	return nil
}

// all builds every program in the folder of the sources, and its image.
func (b build) all(ctx context.Context, source string, env []string) (digests []string, err error) {
	bin, err := os.MkdirTemp("", "programs-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + b.version, "-o", bin + "/"}
	for _, name := range programs() {
		args = append(args, "./cmd/"+name)
	}
	compile := command(ctx, source, append([]string{"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOOS=linux", "GOARCH=" + b.arch}, env...), "go", args...)
	if err := compile.Run(); err != nil {
		return nil, fmt.Errorf("build the programs: %w", err)
	}
	has, err := b.base(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range programs() {
		program, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			return nil, err
		}
		digest, err := write(filepath.Join(b.out, name), image{name: name, version: b.version, arch: b.arch, base: has, program: program})
		if err != nil {
			return nil, fmt.Errorf("write the image of %s: %w", name, err)
		}
		digests = append(digests, digest)
	}
	return digests, nil
}

// base are the files that every image has.
func (b build) base(ctx context.Context) ([]file, error) {
	certificates, err := os.ReadFile(b.certificates)
	if err != nil {
		return nil, fmt.Errorf("read the certificates: %w", err)
	}
	root := command(ctx, ".", nil, "go", "env", "GOROOT")
	root.Stdout = nil
	at, err := root.Output()
	if err != nil {
		return nil, fmt.Errorf("find Go: %w", err)
	}
	zones, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(at)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("read the time zones: %w", err)
	}
	return []file{
		{"etc/ssl/certs/ca-certificates.crt", 0o644, certificates},
		{"usr/share/zoneinfo.zip", 0o644, zones},
		{"etc/passwd", 0o644, []byte("nonroot:x:65532:65532::/tmp:/sbin/nologin\n")},
		{"etc/group", 0o644, []byte("nonroot:x:65532:\n")},
		{"tmp/", 0o1777, nil},
	}, nil
}

func command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // go and git, with what the command line says
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c
}
