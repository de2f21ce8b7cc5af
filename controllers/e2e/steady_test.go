package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

// Invariant 2: 500 requests a second go through a worker's router while the
// operator promotes v2, is killed on the way, and takes v2 back. None is lost.
func noRequestIsLost(t *testing.T, s *system) {
	l := newLab(t, s, "steady", 500)
	l.first()
	began, before := time.Now(), l.asked.Load()
	v2 := l.build("v2", good)
	v2.Spec.Rollout.Shadow.Percent = 10
	s.create(t, v2)
	l.reaches("v2", v1alpha1.StageCanary)
	s.killManager(t)
	time.Sleep(time.Second)
	if err := s.runManager(); err != nil {
		t.Fatal(err)
	}
	l.reaches("v2", v1alpha1.StageActive)
	l.serves("v2")
	if _, err := s.kubectl("delete", "mv", "steady-v2", "--timeout=4m"); err != nil {
		t.Fatal(err)
	}
	l.serves("v1")
	eventually(t, patience, "the servers of v2 are gone", func() bool { return l.replicas("v2") == -1 })
	asked := l.asked.Load() - before
	t.Logf("%d requests, %.0f a second, %d lost; v2 answered %d of them", asked, float64(asked)/time.Since(began).Seconds(), l.lost.Load(), l.answers("v2"))
	if l.answers("v2") == 0 {
		t.Error("v2 never answered")
	}
}

// Prometheus goes away in the middle of a canary: nothing is promoted and
// nothing taken back, a person is told, and it continues by itself afterwards.
func prometheusIsDown(t *testing.T, s *system) {
	l := newLab(t, s, "blind", rate)
	l.first()
	v2 := l.build("v2", good)
	v2.Spec.Rollout.Steps[0].MinDuration = &metav1.Duration{Duration: 8 * time.Second}
	s.create(t, v2)
	l.reaches("v2", v1alpha1.StageCanary)
	s.prom.Stop()
	mv := l.until("v2", "stalled", func(mv *v1alpha1.ModelVersion) bool {
		return meta.IsStatusConditionTrue(mv.Status.Conditions, v1alpha1.ConditionStalled)
	})
	if mv.Status.Reason != v1alpha1.ReasonGateSourceUnavailable || mv.Status.Message == "" {
		t.Errorf("reason %s, message %q; want %s", mv.Status.Reason, mv.Status.Message, v1alpha1.ReasonGateSourceUnavailable)
	}
	l.says("v2", "@-v2 @ v2 Canary 30 2/2 GateSourceUnavailable")
	l.why("v2", v1alpha1.ReasonGateSourceUnavailable)
	time.Sleep(10 * time.Second) // longer than the step lasts
	if mv := l.read("v2"); mv.Status.Stage != v1alpha1.StageCanary || mv.Status.Traffic.Weight != 30 {
		t.Errorf("v2 is %s with %d of the traffic while nobody can say how it does", mv.Status.Stage, mv.Status.Traffic.Weight)
	}
	s.prom.Start()
	l.reaches("v2", v1alpha1.StageActive)
	l.serves("v2")
}

// Invariant 8: an operator with another configuration restarts no server.
func anUpgradeRestartsNothing(t *testing.T, s *system) {
	servers := func() map[types.UID]int32 {
		found := map[types.UID]int32{}
		for _, pod := range s.pods() {
			if pod.Labels["clarityloop.dev/component"] == "server" && pod.DeletionTimestamp == nil {
				found[pod.UID] = pod.Status.ContainerStatuses[0].RestartCount
			}
		}
		return found
	}
	time.Sleep(4 * time.Second) // what the tests before left to do
	before := servers()
	config, err := os.ReadFile(s.file("manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	next := strings.ReplaceAll(string(config), "tritonserver@sha256:0", "tritonserver@sha256:1")
	next = strings.ReplaceAll(next, "cpu: 10m", "cpu: 11m")
	if err := os.WriteFile(s.file("manager.yaml"), []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kube.StopOne(cluster.Started().Folder, "manager", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	if err := s.runManager(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	if diff := cmp.Diff(before, servers()); diff != "" || len(before) < 4 {
		t.Errorf("servers of %d (-before +after):\n%s", len(before), diff)
	}
	writes, err := s.writes(since)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		t.Errorf("an operator that starts anew wrote: %s %s", w.what(), w.ObjectRef.Name)
	}
}
