package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
)

// up starts a cluster unless one is up.
func (s settings) up(ctx context.Context, out io.Writer) error {
	alive, all := s.alive()
	if alive > 0 && alive == all {
		_, _ = fmt.Fprintln(out, "the cluster is up already")
		return s.next(out)
	}
	if err := kube.Stop(s.folder); err != nil { // what is left of one that was killed in part
		return err
	}
	assets, err := kube.Binaries(s.root)
	if err != nil {
		return err
	}
	o := kube.Options{
		Root: s.root, Assets: assets, Folder: s.folder, Detached: true,
		PodCIDR: "127.1.0.0/16", GPUNodes: s.gpus, CPUNodes: s.cpus,
	}
	if err := s.start(ctx, o); err != nil {
		if ended := kube.Stop(s.folder); ended != nil {
			_, _ = fmt.Fprintln(out, ended)
		}
		return err
	}
	return s.next(out)
}

func (s settings) start(ctx context.Context, o kube.Options) error {
	config, err := kube.Start(ctx, o)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if err := o.Run("nodes", self, nil, "nodes", "--folder="+o.Folder); err != nil {
		return err
	}
	return s.install(ctx, o, config)
}

// next prints what can be done now.
func (s settings) next(out io.Writer) error {
	assets, err := kube.Binaries(s.root)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `
The control plane, the scheduler and the operator are real; nodes and pods are simulated.

  export KUBECONFIG=%s PATH=%s:%s:$PATH
  kubectl -n %s get modelversions,analysisjobs,pods -o wide
  kubectl clarity -n %s tree mv/pat-s-2026.11.1
  kubectl clarity -n %s why ajob/backfill-november
  tail -f %s
  make cluster-down
`, kube.Kubeconfig(s.folder), filepath.Join(s.root, "bin"), assets, namespace, namespace, namespace, filepath.Join(s.folder, "log", "manager.log"))
	return err
}

// nodes plays the programs of the simulated pods until it is told to stop.
func (s settings) nodes(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", kube.Kubeconfig(s.folder))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Burst = -1, 0
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	n := &node.Nodes{Client: client, Namespace: namespace, Job: node.SimulatedJob(2 * time.Second), Server: node.SimulatedServer}
	return n.Run(ctx)
}
