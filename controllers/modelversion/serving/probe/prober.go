package probe

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxProbes is how many pods of a version are asked at a time.
const maxProbes = 16

// A Prober asks a version's servers whether the model is ready, several at a time, and
// remembers for a moment what they said. It is safe for concurrent use.
type Prober struct {
	probe             Readiness
	timeout, interval time.Duration
	memory            memory
}

// NewProber returns a Prober that gives a server the timeout to answer, and believes what
// it said for the interval.
func NewProber(probe Readiness, timeout, interval time.Duration) *Prober {
	return &Prober{probe: probe, timeout: timeout, interval: interval}
}

// A Question is whether a model is ready at a version's servers.
type Question struct {
	Model   string
	Servers []corev1.Pod
	// Available says that the version is on record as available: a server of it that does not
	// answer while its kubelet says that it is ready is given another chance.
	Available bool
	// All asks every server again, and believes none that said so a moment ago.
	All bool
	Now time.Time
}

// Count returns how many of the servers say that the model is ready, and whether one did
// not answer that may yet: that a question was lost on the way ends no rollout. Unless all
// are asked, such a server counts as ready.
func (p *Prober) Count(ctx context.Context, q Question) (ready int32, unanswered bool) {
	said := make([]bool, len(q.Servers))
	silent := make([]bool, len(q.Servers))
	slots := make(chan struct{}, maxProbes)
	var asking sync.WaitGroup
	for i := range q.Servers {
		pod := &q.Servers[i]
		if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || !pod.DeletionTimestamp.IsZero() {
			continue
		}
		if !q.All && IsReady(pod) && p.memory.know(pod, q.Now, p.interval) {
			said[i] = true
			continue
		}
		asking.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			said[i], silent[i] = p.ask(ctx, pod, q)
		})
	}
	asking.Wait()
	for _, yes := range said {
		if yes {
			ready++
		}
	}
	return ready, slices.Contains(silent, true)
}

// ask asks one server.
func (p *Prober) ask(ctx context.Context, pod *corev1.Pod, q Question) (ready, silent bool) {
	ctx, stop := context.WithTimeout(ctx, p.timeout)
	defer stop()
	said, err := p.probe.Ready(ctx, pod, q.Model)
	if err != nil {
		silent = p.memory.silent(pod, q.Now, p.interval) && IsReady(pod) && q.Available
		return silent && !q.All, silent
	}
	p.memory.keep(pod, said, q.Now)
	return said, false
}

// memory remembers which pods said yes a moment ago, so that a pass that comes
// for another reason need not ask again, and which did not answer. It is a
// saving and no record.
type memory struct {
	mu   sync.Mutex
	said map[types.UID]heard
}

// heard is what a pod was like when it said yes or nothing, and when that was.
type heard struct {
	restarts int32
	at       time.Time
	silences int // in a row; none where it said yes
}

// MaxSilences is how many questions in a row a server may leave unanswered before
// it counts as not ready; a kubelet's probe has as much patience.
const MaxSilences = 3

func (a *memory) know(pod *corev1.Pod, now time.Time, ttl time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was, ok := a.said[pod.UID]
	return ok && was.silences == 0 && was.restarts == restartsOf(pod) && now.Sub(was.at) < ttl
}

// keep remembers what the pod said.
func (a *memory) keep(pod *corev1.Pod, ready bool, now time.Time) {
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
func (a *memory) silent(pod *corev1.Pod, now time.Time, interval time.Duration) bool {
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
	return was.silences < MaxSilences
}

func (a *memory) hear(pod *corev1.Pod, what heard) {
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
