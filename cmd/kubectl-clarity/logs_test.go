package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// kubelet is what the API server asks for logs: a node that has written them out.
type kubelet struct {
	node string
	mu   sync.Mutex
	logs map[string]string // by pod/container
	asks []string
}

// newKubelet starts a kubelet on loopback and registers its node.
func (w *world) newKubelet(logs map[string]string) *kubelet {
	w.t.Helper()
	k := &kubelet{node: "node-" + w.namespace, logs: logs}
	server := httptest.NewTLSServer(k)
	w.t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	w.must(err)
	number, err := strconv.ParseInt(port, 10, 32)
	w.must(err)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node}}
	w.must(w.client.Create(w.t.Context(), node))
	w.t.Cleanup(func() { _ = w.client.Delete(w.t.Context(), node) })
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	w.must(w.client.Status().Update(w.t.Context(), node))
	return k
}

// ServeHTTP answers /containerLogs/NAMESPACE/POD/CONTAINER.
func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) != 4 || parts[0] != "containerLogs" {
		http.NotFound(w, r)
		return
	}
	name := parts[2] + "/" + parts[3]
	k.asks = append(k.asks, name+"?"+r.URL.RawQuery)
	log, ok := k.logs[name]
	if !ok {
		http.Error(w, "container is waiting to start", http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprint(w, log)
}

func (k *kubelet) asked(part string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range k.asks {
		if strings.Contains(a, part) {
			return true
		}
	}
	return false
}

func TestLogsOfAJob(t *testing.T) {
	w := newWorld(t)
	k := w.newKubelet(map[string]string{"backfill-1-0/shard": "zero\n", "backfill-1-1/shard": "one\nand more", "backfill-1-1b/shard": "the second try\n"})
	j := MakeJob("backfill", 3).State(v1alpha1.StateRunning, "").Child("backfill-1").Obj()
	w.create(j)
	w.shards(j, k.node, corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending)

	want := "shard 1 | one\nshard 1 | and more\nshard 0 | zero\n" // the failed one first
	o := w.run("logs", "ajob/backfill")
	if o.code != fault.Done || o.out != want || !strings.Contains(o.err, `shard 2: get pods/log "backfill-1-2"`) {
		t.Errorf("all shards: exit %d\n%s%s\nwant\n%s", o.code, o.out, o.err, want)
	}
	if !k.asked("tailLines=20") {
		t.Errorf("not 20 lines of each: %v", k.asks)
	}
	if got := w.ok("logs", "ajob/backfill", "--shard=0", "--tail=5"); got != "zero\n" || !k.asked("backfill-1-0/shard?tailLines=5") {
		t.Errorf("shard 0: %q, asked %v", got, k.asks)
	}
	if got := w.ok("logs", "ajob/backfill", "--shard=0", "-f"); got != "zero\n" || !k.asked("follow=true") {
		t.Errorf("followed: %q, asked %v", got, k.asks)
	}
	w.refused(fault.CouldNot, []string{"backfill-1-2"}, "logs", "ajob/backfill", "--shard=2")
	w.refused(fault.Usage, []string{"has no shard 3: they are 0 to 2"}, "logs", "ajob/backfill", "--shard=3")

	// The newest attempt is the one that counts.
	time.Sleep(1100 * time.Millisecond) // creation times are whole seconds
	var first corev1.Pod
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "backfill-1-1"}, &first))
	second := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "backfill-1-1b", Labels: first.Labels, Annotations: first.Annotations, OwnerReferences: first.OwnerReferences},
		Spec: template(nil).Spec, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	second.Spec.NodeName, second.Spec.Containers[0].Name = k.node, "shard"
	w.create(second)
	if got := w.ok("logs", "ajob/backfill", "--shard=1"); got != "the second try\n" {
		t.Errorf("shard 1: %q", got)
	}

	w.create(MakeJob("unborn", 3).State(v1alpha1.StateQueued, "").Obj())
	w.refused(fault.CouldNot, []string{"has no Job yet", "kubectl clarity why ajob/unborn"}, "logs", "ajob/unborn")
}

func TestLogsOfAVersion(t *testing.T) {
	w := newWorld(t)
	k := w.newKubelet(map[string]string{"pat-s-2-p/triton": "serving\n", "pat-s-2-p/fetch": "fetching\n"})
	v := MakeVersion("pat-s", "2").Stage(v1alpha1.StageActive, v1alpha1.ReasonSucceeded, "").Obj()
	w.create(v)
	started := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0}}
	w.serve(v, k.node, corev1.PodStatus{Phase: corev1.PodRunning, InitContainerStatuses: []corev1.ContainerStatus{{Name: "fetch", State: started}}})
	if got := w.ok("logs", "mv/pat-s-2"); got != "serving\n" {
		t.Errorf("server: %q", got)
	}
	if got := w.ok("logs", "mv/pat-s-2", "--component=fetch"); got != "fetching\n" {
		t.Errorf("fetch: %q", got)
	}
	w.refused(fault.CouldNot, []string{"has no pod of component verify now", "kubectl clarity why"}, "logs", "mv/pat-s-2", "--component=verify")
	w.refused(fault.Usage, []string{"verify, fetch, server, validate"}, "logs", "mv/pat-s-2", "--component=gpu")
	// While the bundle is fetched, that is what a person wants to see.
	var pod corev1.Pod
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "pat-s-2-p"}, &pod))
	pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	w.must(w.client.Status().Update(t.Context(), &pod))
	if got := w.ok("logs", "mv/pat-s-2"); got != "fetching\n" {
		t.Errorf("while it is fetched: %q", got)
	}
}
