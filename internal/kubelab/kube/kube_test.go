package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func TestAClusterStartsRunsPodsAndLeavesNothing(t *testing.T) {
	if os.Getenv("CLARITY_CONTROLPLANE") == "" && os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("no control plane was asked for: CLARITY_CONTROLPLANE=1")
	}
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	assets, err := Binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "cluster")
	t.Cleanup(func() { _ = Stop(folder) })
	began := time.Now()
	config, err := Start(t.Context(), Options{
		Root: root, Assets: assets, Folder: folder, PodCIDR: "127.251.0.0/16", GPUNodes: 1, CPUNodes: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %v", time.Since(began))
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for time.Since(began) < time.Minute {
		if _, err = client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{}); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "one", Image: "none", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{GPU: resource.MustParse("1")}},
	}}, Tolerations: []corev1.Toleration{{Key: string(GPU), Operator: corev1.TolerationOpExists}}}}
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got, err := client.CoreV1().Pods("default").Get(t.Context(), "one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status.Phase == corev1.PodRunning {
			if got.Spec.NodeName != "gpu-l4-00" || !strings.HasPrefix(got.Status.PodIP, "127.251.") {
				t.Errorf("it runs on %q with address %q; want the GPU node and loopback", got.Spec.NodeName, got.Status.PodIP)
			}
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the pod stays %s: %v", got.Status.Phase, got.Status.Conditions)
		}
	}
	running := Processes(folder)
	if len(running) != 5 {
		t.Errorf("%d processes are on record, want 5", len(running))
	}
	if err := Stop(folder); err != nil {
		t.Fatal(err)
	}
	for _, p := range running {
		if p.Alive() {
			t.Errorf("%s still runs", p.Name)
		}
	}
}

// A pid on record may belong to someone else by now; Stop must not end that.
func TestAStalePidIsLeftAlone(t *testing.T) {
	folder := t.TempDir()
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	ours := Options{Folder: folder}
	if err := os.MkdirAll(filepath.Join(folder, "log"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := ours.Run("ours", "sleep", nil, "60"); err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf("{\"name\":\"stale\",\"pid\":%d}\n{\"pid\":0}\nnonsense\n", stranger.Process.Pid)
	pids, err := os.OpenFile(filepath.Join(folder, "pids"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pids.WriteString(record); err != nil {
		t.Fatal(err)
	}
	if err := pids.Close(); err != nil {
		t.Fatal(err)
	}
	all := Processes(folder)
	if len(all) != 2 || !all[0].Alive() || all[1].Alive() {
		t.Fatalf("processes %+v: want ours alive and the stale one not", all)
	}
	if err := Stop(folder); err != nil {
		t.Fatal(err)
	}
	if all[0].Alive() {
		t.Error("ours was not ended")
	}
	if err := syscall.Kill(stranger.Process.Pid, 0); err != nil {
		t.Errorf("the stranger was ended: %v", err)
	}
	if left := Processes(folder); left != nil {
		t.Errorf("%+v is still on record", left)
	}
	if err := Stop(folder); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
}
