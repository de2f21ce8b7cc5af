package modelversion

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// HTTPProbe asks Triton itself, at the pod's address.
type HTTPProbe struct{ client http.Client }

// NewHTTPProbe returns a probe that waits for an answer no longer than timeout.
func NewHTTPProbe(timeout time.Duration) *HTTPProbe {
	return &HTTPProbe{http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}, // no proxy: pods are near
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Ready is true where Triton answers 200.
func (p *HTTPProbe) Ready(ctx context.Context, pod *corev1.Pod, model string) (bool, error) {
	url := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(httpPort)) + readyPath(model)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, fmt.Errorf("ask pod %q whether it is ready: %w", pod.Name, err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("ask pod %q whether it is ready: %w", pod.Name, err)
	}
	defer func() { _ = response.Body.Close() }()                    // it was read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096)) // so that the connection can be used again
	return response.StatusCode == http.StatusOK, nil
}

// probes remembers which pods said yes a moment ago, so that a pass that comes
// for another reason need not ask again, and which did not answer. It is a
// saving and no record.
type probes struct {
	mu   sync.Mutex
	said map[types.UID]heard
}

// heard is what a pod was like when it said yes or nothing, and when that was.
type heard struct {
	restarts int32
	at       time.Time
	silences int // in a row; none where it said yes
}

// maxSilences is how many questions in a row a server may leave unanswered before
// it counts as not ready; a kubelet's probe has as much patience.
const maxSilences = 3

func (a *probes) know(pod *corev1.Pod, now time.Time, ttl time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.said[pod.UID]
	return ok && was.silences == 0 && was.restarts == restartsOf(pod) && now.Sub(was.at) < ttl
}

// keep remembers what the pod said.
func (a *probes) keep(pod *corev1.Pod, ready bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !ready {
		delete(a.said, pod.UID)
		return
	}
	a.hear(pod, heard{restartsOf(pod), now, 0})
}

// silent remembers that the pod did not answer, and says whether that may pass
// for a hiccup on the way still. What is not answered within the interval of what
// was not answered either is the same silence.
func (a *probes) silent(pod *corev1.Pod, now time.Time, interval time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.said[pod.UID]
	if was.restarts != restartsOf(pod) {
		was.silences = 0
	}
	if was.silences == 0 || now.Sub(was.at) >= interval {
		was.silences++
		a.hear(pod, heard{restartsOf(pod), now, was.silences})
	}
	return was.silences < maxSilences
}

func (a *probes) hear(pod *corev1.Pod, what heard) {
	if a.said == nil {
		a.said = map[types.UID]heard{}
	}
	a.said[pod.UID] = what
	for uid, was := range a.said { // of pods that are long gone
		if what.at.Sub(was.at) > time.Hour {
			delete(a.said, uid)
		}
	}
}

func restartsOf(pod *corev1.Pod) int32 {
	var n int32
	for _, c := range pod.Status.ContainerStatuses {
		n += c.RestartCount
	}
	return n
}

// maxProbes is how many pods of a version are asked at a time.
const maxProbes = 16

// count asks the version's pods and returns how many say that the model is
// ready. Unless all are to be asked, pods that said so a moment ago are believed,
// and so are those of an available version that do not answer while their kubelet
// says that they are ready: that a question was lost on the way ends no rollout.
// Whether there were such is noted.
func (r *Reconciler) count(ctx context.Context, p *modelPass, m *versionPass, all bool) int32 {
	ready := make([]bool, len(m.servers))
	silent := make([]bool, len(m.servers))
	slots := make(chan struct{}, maxProbes)
	interval := r.config.ProbeInterval.Duration
	var asking sync.WaitGroup
	for i := range m.servers {
		pod := &m.servers[i]
		if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || !pod.DeletionTimestamp.IsZero() {
			continue
		}
		if !all && isReady(pod) && r.probes.know(pod, p.now, interval) {
			ready[i] = true
			continue
		}
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, stop := context.WithTimeout(ctx, r.config.ProbeTimeout.Duration)
			defer stop()
			said, err := r.Probe.Ready(ctx, pod, m.mv.Spec.Model)
			if err != nil {
				silent[i] = r.probes.silent(pod, p.now, interval) && isReady(pod) && isTrue(m.before, v1alpha1.ConditionAvailable)
				ready[i] = silent[i] && !all
				return
			}
			ready[i] = said
			r.probes.keep(pod, said, p.now)
		})
	}
	asking.Wait()
	m.unanswered = slices.Contains(silent, true)
	if m.unanswered {
		p.WakeIn(interval)
	}
	var n int32
	for _, yes := range ready {
		if yes {
			n++
		}
	}
	return n
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// startTrouble says why a pod does not start, where that can be seen. It is a
// reason alone: messages of pods quote names and command lines.
func startTrouble(pod *corev1.Pod) *pass.Reason {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.State.Waiting == nil {
				continue
			}
			switch why := c.State.Waiting.Reason; why {
			case "ErrImagePull", "ImagePullBackOff", "InvalidImageName":
				return &pass.Reason{Reason: v1alpha1.ReasonImagePull, Message: fmt.Sprintf("pod %q says %s", pod.Name, why)}
			case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
				return &pass.Reason{Reason: v1alpha1.ReasonUnavailable, Message: fmt.Sprintf("pod %q says %s", pod.Name, why)}
			}
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return &pass.Reason{Reason: v1alpha1.ReasonUnschedulable, Message: "no node has room for a server"}
		}
	}
	return nil
}

// crashLimit is how many restarts make a crash loop.
const crashLimit = 3

// crashed says that a server ends again and again, or that its bundle can never do.
func crashed(pod *corev1.Pod) *rollout.Outcome {
	for _, c := range pod.Status.InitContainerStatuses {
		for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
			if c.Name == fetchContainer && t != nil && t.ExitCode == worker.ExitInvalidInput {
				e := &rollout.Outcome{Reason: v1alpha1.ReasonDigestMismatch, Message: "the bundle that was fetched is not the one that is named", Pod: pod.Name, ExitCode: &t.ExitCode}
				if said, err := termination.ParseResult(t.Message); err == nil && said.Reason != "" {
					e.Reason, e.Message = reasonOf(said.Reason, e.Reason), cmp.Or(said.Message, string(said.Reason))
				}
				return e
			}
		}
	}
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.RestartCount < crashLimit || c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" {
				continue
			}
			e := &rollout.Outcome{Reason: v1alpha1.ReasonCrashLooping, Pod: pod.Name}
			e.Message = fmt.Sprintf("container %q of pod %q ended %d times", c.Name, pod.Name, c.RestartCount)
			if t := c.LastTerminationState.Terminated; t != nil {
				e.ExitCode = &t.ExitCode
				e.Message += fmt.Sprintf(", last with exit code %d", t.ExitCode)
				if t.Reason == "OOMKilled" {
					e.Message += " (OOMKilled)"
				}
			}
			return e
		}
	}
	return nil
}
