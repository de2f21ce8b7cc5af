package kube

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The words that GKE writes on nodes with an accelerator.
const (
	AcceleratorLabel = "cloud.google.com/gke-accelerator"
	GPU              = corev1.ResourceName("nvidia.com/gpu")
)

// addNodes creates the simulated nodes and waits until KWOK has made them ready.
func addNodes(ctx context.Context, client kubernetes.Interface, gpus, cpus int) error {
	for i := range gpus {
		if err := addNode(ctx, client, gpuNode(i)); err != nil {
			return err
		}
	}
	for i := range cpus {
		if err := addNode(ctx, client, node(fmt.Sprintf("cpu-%02d", i), i, "default", "16", "64Gi")); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ready, err := readyNodes(ctx, client)
		if err == nil && ready >= gpus+cpus {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for nodes: %d of %d are ready: %w", ready, gpus+cpus, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func addNode(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create node %q: %w", node.Name, err)
	}
	return nil
}

func readyNodes(ctx context.Context, client kubernetes.Interface) (int, error) {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "type=kwok"})
	if err != nil {
		return 0, fmt.Errorf("list nodes: %w", err)
	}
	var ready int
	for i := range nodes.Items {
		if isReady(&nodes.Items[i]) {
			ready++
		}
	}
	return ready, nil
}

// isReady says whether the scheduler may use the node.
func isReady(n *corev1.Node) bool {
	for _, taint := range n.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return false
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// gpuNode is a node of a GKE pool of L4s, tainted so that only what asks for a GPU lands there.
func gpuNode(i int) *corev1.Node {
	n := node(fmt.Sprintf("gpu-l4-%02d", i), i, "gpu-l4", "96", "384Gi")
	n.Labels[AcceleratorLabel] = "nvidia-l4"
	n.Spec.Taints = []corev1.Taint{{Key: string(GPU), Value: "present", Effect: corev1.TaintEffectNoSchedule}}
	n.Status.Capacity[GPU] = resource.MustParse("8")
	n.Status.Allocatable[GPU] = resource.MustParse("8")
	return n
}

func node(name string, i int, pool, cpu, memory string) *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods: resource.MustParse("250"), corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
			Labels: map[string]string{
				"type": "kwok", "cloud.google.com/gke-nodepool": pool, corev1.LabelHostname: name,
				corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
				corev1.LabelTopologyZone: "us-central1-" + string("abc"[i%3]),
			},
		},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room.DeepCopy()},
	}
}
