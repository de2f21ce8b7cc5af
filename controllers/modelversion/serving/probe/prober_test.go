package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// answers is what each server says, by its name: "yes", "no", and silence
// otherwise. It notes who was asked.
type answers struct {
	mu    sync.Mutex
	say   map[string]string
	asked map[string]int
}

func (a *answers) Ready(_ context.Context, pod *corev1.Pod, model string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if model != "pat" {
		return false, fmt.Errorf("asked for %s", model)
	}
	if a.asked == nil {
		a.asked = map[string]int{}
	}
	a.asked[pod.Name]++
	switch a.say[pod.Name] {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, errors.New("no answer")
}

// runs is a pod that runs and that its kubelet calls ready.
func runs(name string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}, Status: corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "fd00::1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

func TestWhoCountsAsReady(t *testing.T) {
	unready := runs("x")
	unready.Status.Conditions = nil
	tests := map[string]struct {
		say              map[string]string
		available, all   bool
		pods             []corev1.Pod
		ready            int32
		unanswered, asks bool
	}{
		"two of three":                      {map[string]string{"a": "yes", "b": "yes", "x": "no"}, true, false, []corev1.Pod{runs("a"), runs("b"), runs("x")}, 2, false, true},
		"one the kubelet knows nothing of":  {map[string]string{"x": "yes"}, false, false, []corev1.Pod{unready}, 1, false, true},
		"silence of one that is available":  {nil, true, false, []corev1.Pod{runs("x")}, 1, true, true},
		"silence where all are asked":       {nil, true, true, []corev1.Pod{runs("x")}, 0, true, true},
		"silence of one that never was":     {nil, false, false, []corev1.Pod{runs("x")}, 0, false, true},
		"silence where the kubelet says no": {nil, true, false, []corev1.Pod{unready}, 0, false, true},
		"silence and an answer":             {map[string]string{"a": "yes"}, true, false, []corev1.Pod{runs("x"), runs("a")}, 2, true, true},
		"nobody":                            {nil, true, true, nil, 0, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := &answers{say: tt.say}
			p := NewProber(a, time.Second, 5*time.Second)
			ready, unanswered := p.Count(t.Context(), Question{Model: "pat", Servers: tt.pods, Available: tt.available, All: tt.all, Now: noon})
			if ready != tt.ready || unanswered != tt.unanswered || (len(a.asked) > 0) != tt.asks {
				t.Errorf("%d ready, unanswered %v, asked %v; want %d, %v, %v", ready, unanswered, a.asked, tt.ready, tt.unanswered, tt.asks)
			}
		})
	}
}

// A pod that cannot answer is not asked, and is not ready.
func TestWhoIsNotAsked(t *testing.T) {
	pending, lost, going := runs("pending"), runs("lost"), runs("going")
	pending.Status.Phase, lost.Status.PodIP, going.DeletionTimestamp = corev1.PodPending, "", &metav1.Time{Time: noon}
	a := &answers{say: map[string]string{"pending": "yes", "lost": "yes", "going": "yes"}}
	ready, unanswered := NewProber(a, time.Second, time.Second).Count(t.Context(), Question{Model: "pat", Servers: []corev1.Pod{pending, lost, going}, Available: true, Now: noon})
	if ready != 0 || unanswered || len(a.asked) > 0 {
		t.Errorf("%d ready, unanswered %v, asked %v", ready, unanswered, a.asked)
	}
}

func TestWhatWasSaidAMomentAgoIsNotAskedAgain(t *testing.T) {
	a := &answers{say: map[string]string{"a": "yes"}}
	p := NewProber(a, time.Second, 5*time.Second)
	pod, unready := runs("a"), runs("a")
	unready.Status.Conditions = nil
	for _, step := range []struct {
		what string
		pod  corev1.Pod
		all  bool
		at   time.Duration
		asks int // so far
	}{
		{"first", pod, false, 0, 1},
		{"a moment later", pod, false, 4 * time.Second, 1},
		{"where all are asked", pod, true, 4 * time.Second, 2},
		{"where the kubelet does not say so", unready, false, 4 * time.Second, 3},
		{"after the interval", pod, false, 9 * time.Second, 4},
	} {
		ready, unanswered := p.Count(t.Context(), Question{Model: "pat", Servers: []corev1.Pod{step.pod}, All: step.all, Now: noon.Add(step.at)})
		if ready != 1 || unanswered || a.asked["a"] != step.asks {
			t.Errorf("%s: %d ready, unanswered %v, asked %d times, want %d", step.what, ready, unanswered, a.asked["a"], step.asks)
		}
	}
}

// A server that goes on saying nothing is not ready in the end, and ends no
// rollout before.
func TestASilenceIsBelievedInTheEnd(t *testing.T) {
	p := NewProber(&answers{}, time.Second, 5*time.Second)
	for i, want := range []int32{1, 1, 0, 0} {
		q := Question{Model: "pat", Servers: []corev1.Pod{runs("a")}, Available: true, Now: noon.Add(time.Duration(i) * 5 * time.Second)}
		if ready, unanswered := p.Count(t.Context(), q); ready != want || unanswered != (want == 1) {
			t.Errorf("question %d: %d ready, unanswered %v; want %d", i+1, ready, unanswered, want)
		}
	}
}

// slow answers when it is told that the time is over, and says how many wait at once.
type slow struct {
	mu          sync.Mutex
	now, most   int
	longestWait time.Duration
}

func (s *slow) Ready(ctx context.Context, _ *corev1.Pod, _ string) (bool, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	began := time.Now()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	s.longestWait = max(s.longestWait, time.Since(began))
	return false, ctx.Err()
}

func TestManyServersAreAskedSixteenAtATime(t *testing.T) {
	pods := make([]corev1.Pod, 20)
	for i := range pods {
		pods[i] = runs(fmt.Sprint(i))
	}
	s := &slow{}
	ready, _ := NewProber(s, 50*time.Millisecond, time.Second).Count(t.Context(), Question{Model: "pat", Servers: pods, Now: noon})
	if ready != 0 || s.most != 16 || s.longestWait > 5*time.Second {
		t.Errorf("%d ready; %d asked at a time, for up to %v", ready, s.most, s.longestWait)
	}
}
