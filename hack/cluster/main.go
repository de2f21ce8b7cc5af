// Cluster starts and stops a Kubernetes cluster on loopback, with a real
// control plane and simulated nodes, for whoever works on the operator.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

const usage = `usage: cluster build|up|down|status [flags]
  build   put the control plane into the cache, once
  up      start a cluster, install the operator and the samples, leave a kubeconfig
  down    end what up started
  status  say what runs
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// settings are the command line.
type settings struct {
	root, folder string
	gpus, cpus   int
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(strings.TrimSpace(usage))
	}
	root, err := kube.Root()
	if err != nil && args[0] != "nodes" { // which runs in the cluster's folder, wherever that is
		return err
	}
	s := settings{root: root}
	flags := flag.NewFlagSet("cluster "+args[0], flag.ContinueOnError)
	flags.StringVar(&s.folder, "folder", filepath.Join(root, ".cache", "cluster"), "where the cluster keeps its state")
	flags.IntVar(&s.gpus, "gpu-nodes", 4, "how many simulated nodes have eight L4s")
	flags.IntVar(&s.cpus, "cpu-nodes", 4, "how many simulated nodes have none")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "build":
		return build(root, out)
	case "up":
		return s.up(ctx, out)
	case "down":
		return s.down(out)
	case "status":
		return s.status(out)
	case "nodes":
		return s.nodes(ctx)
	default:
		return errors.New(strings.TrimSpace(usage))
	}
}

func build(root string, out io.Writer) error {
	folder, err := kube.Binaries(root)
	if err == nil {
		_, _ = fmt.Fprintln(out, folder)
	}
	return err
}

// alive counts the processes of the cluster that run, and those on record.
func (s settings) alive() (alive, all int) {
	processes := kube.Processes(s.folder)
	for _, p := range processes {
		if p.Alive() {
			alive++
		}
	}
	return alive, len(processes)
}

func (s settings) down(out io.Writer) error {
	alive, _ := s.alive()
	if err := kube.Stop(s.folder); err != nil {
		return err
	}
	if alive == 0 {
		_, _ = fmt.Fprintln(out, "no cluster was up")
		return nil
	}
	_, _ = fmt.Fprintf(out, "ended %d processes; %s keeps their logs until the next start\n", alive, s.folder)
	return nil
}

func (s settings) status(out io.Writer) error {
	for _, p := range kube.Processes(s.folder) {
		word := "ended"
		if p.Alive() {
			word = "runs"
		}
		_, _ = fmt.Fprintf(out, "%-24s %-6s pid %-8d %s\n", p.Name, word, p.PID, filepath.Join(s.folder, "log", p.Name+".log"))
	}
	if alive, all := s.alive(); alive == 0 || alive < all {
		return fmt.Errorf("%d of %d processes run: make cluster", alive, all)
	}
	return nil
}
