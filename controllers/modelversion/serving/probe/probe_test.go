package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// server is a Triton that answers so.
func server(t *testing.T, answer http.HandlerFunc) (*HTTP, *corev1.Pod) {
	t.Helper()
	triton := httptest.NewServer(answer)
	t.Cleanup(triton.Close)
	p := NewHTTP(200 * time.Millisecond)
	p.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "[fd00::7]:8000" {
			return nil, fmt.Errorf("asked at %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, triton.Listener.Addr().String())
	}}
	return p, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}, Status: corev1.PodStatus{PodIP: "fd00::7"}}
}

func TestThePodItselfIsAskedWhetherItIsReady(t *testing.T) {
	tests := map[string]struct {
		answer    http.HandlerFunc
		want, err bool
	}{
		"ready": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/models/pat/versions/1/ready" || r.Method != http.MethodGet {
				w.WriteHeader(http.StatusNotFound)
			}
		}, true, false},
		"not ready":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, false, false},
		"moved elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://evil/", http.StatusFound) }, false, false},
		"slow":            {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false, true},
		"cut off":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, pod := server(t, tt.answer)
			got, err := p.Ready(t.Context(), pod, "pat")
			if got != tt.want || (err != nil) != tt.err {
				t.Errorf("ready %v, %v; want %v, error %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestAPodThatSaidSoIsBelievedForAMoment(t *testing.T) {
	pod := func(restarts int32) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "a"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{RestartCount: restarts}}}}
	}
	var p memory
	if p.know(pod(0), noon, time.Second) {
		t.Error("a pod that said nothing is believed")
	}
	p.keep(pod(0), true, noon)
	for what, wrong := range map[string]bool{
		"a moment ago":          !p.know(pod(0), noon.Add(time.Second-1), time.Second),
		"too long ago":          p.know(pod(0), noon.Add(time.Second), time.Second),
		"before it was started": p.know(pod(1), noon, time.Second),
	} {
		if wrong {
			t.Errorf("%s: wrongly believed or not", what)
		}
	}
	p.keep(pod(0), false, noon)
	if p.know(pod(0), noon, time.Second) {
		t.Error("a pod that said no is believed")
	}
	p.keep(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "old"}}, true, noon)
	p.keep(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "new"}}, true, noon.Add(2*time.Hour))
	if len(p.said) != 1 {
		t.Errorf("%d pods are remembered, want the one", len(p.said))
	}
}

func TestAPodThatDoesNotAnswerIsGivenAnotherChance(t *testing.T) {
	pod := func(restarts int32) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "a"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{RestartCount: restarts}}}}
	}
	var p memory
	silent := func(what string, pod *corev1.Pod, at time.Duration, want bool) {
		t.Helper()
		if got := p.silent(pod, noon.Add(at), 5*time.Second); got != want {
			t.Errorf("%s: another chance %v, want %v", what, got, want)
		}
		if p.know(pod, noon.Add(at), 5*time.Second) {
			t.Errorf("%s: it is taken for an answer", what)
		}
	}
	p.keep(pod(0), true, noon)
	silent("once", pod(0), 0, true)
	silent("in the same moment", pod(0), time.Second, true)
	silent("and again", pod(0), 4*time.Second, true)
	silent("twice", pod(0), 5*time.Second, true)
	silent("three times", pod(0), 10*time.Second, false)
	silent("for good", pod(0), 11*time.Second, false)
	silent("after a restart", pod(1), 12*time.Second, true)
	silent("twice after it", pod(1), 20*time.Second, true)
	p.keep(pod(1), true, noon)
	silent("after it answered", pod(1), 30*time.Second, true)
	p.keep(pod(1), false, noon)
	silent("after it said no", pod(1), 40*time.Second, true)
}
