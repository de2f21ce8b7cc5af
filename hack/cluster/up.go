package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarity-loop/clarity/hack/cluster/kube"
	"github.com/clarity-loop/clarity/hack/cluster/node"
)

// namespace is the one that the operator serves.
const namespace = "clarity"

// up starts a cluster unless one is up.
func (s settings) up(ctx context.Context, out io.Writer) error {
	alive, all := s.alive()
	if alive > 0 && alive == all {
		_, _ = fmt.Fprintln(out, "the cluster is up already")
		s.next(out)
		return nil
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
	s.next(out)
	return nil
}

func (s settings) start(ctx context.Context, o kube.Options) error {
	if _, err := kube.Start(ctx, o); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return o.Run("nodes", self, nil, "nodes", "--folder="+o.Folder)
}

// next prints what can be done now.
func (s settings) next(out io.Writer) {
	_, _ = fmt.Fprintf(out, `
  export KUBECONFIG=%s
  kubectl get nodes
  kubectl -n %s get modelversions,analysisjobs
  make cluster-down
`, kube.Kubeconfig(s.folder), namespace)
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
