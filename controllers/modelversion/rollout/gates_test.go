package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

func TestGatesAreEvaluated(t *testing.T) {
	pass, fail := Answer{Verdict: v1alpha1.VerdictPass, Message: "fine"}, Answer{Verdict: v1alpha1.VerdictFail, Message: "0.9"}
	wait, down := Answer{Verdict: v1alpha1.VerdictWait, Message: "2 samples"}, Answer{Verdict: v1alpha1.VerdictError, Message: "no answer"}
	step := Need{Samples: 100, Duration: time.Minute, Place: "at step 1"}
	tests := map[string]struct {
		answers  []*Answer
		failures int32 // before
		limit    int32
		samples  int64
		unknown  bool
		after    time.Duration
		want     string
	}{
		"all pass and it is time":                {[]*Answer{&pass, &pass}, 0, 0, 100, false, time.Minute, "goes on"},
		"no gates":                               {nil, 0, 0, 100, false, time.Minute, "goes on"},
		"one fails":                              {[]*Answer{&pass, &fail}, 0, 0, 100, false, time.Minute, `back: GateFailed gate "b" at step 1: 0.9`},
		"one fails and another's source is down": {[]*Answer{&down, &fail}, 0, 0, 100, false, time.Minute, `back: GateFailed gate "b" at step 1: 0.9`},
		"one fails, which is tolerated":          {[]*Answer{&pass, &fail}, 0, 1, 100, false, time.Minute, `stays: Progressing gate "b" at step 1: 0.9 (failure 1, 1 tolerated)`},
		"one fails once more than is tolerated":  {[]*Answer{&pass, &fail}, 1, 1, 100, false, time.Minute, `back: GateFailed gate "b" at step 1: 0.9`},
		"one waits":                              {[]*Answer{&wait, &pass}, 0, 0, 100, false, time.Minute, `stays: WaitingForSamples gate "a" at step 1: 2 samples`},
		"a source is down":                       {[]*Answer{&wait, &down}, 0, 0, 100, false, time.Minute, `stays: GateSourceUnavailable gate "b" at step 1: no answer; down 3`},
		"an answer that is none":                 {[]*Answer{{Message: "?"}, &pass}, 0, 0, 100, false, time.Minute, `stays: GateSourceUnavailable gate "a" at step 1: ?; down 3`},
		"the number of samples is unavailable":   {[]*Answer{&pass, &pass}, 0, 0, 0, true, time.Minute, "stays: GateSourceUnavailable request count unavailable at step 1; down 3"},
		"too few samples":                        {[]*Answer{&pass, &pass}, 0, 0, 99, false, time.Minute, "stays: WaitingForSamples 99 of 100 requests at step 1"},
		"too early":                              {[]*Answer{&pass, &pass}, 0, 0, 100, false, 59 * time.Second, "stays: WaitingForDuration until 2026-11-25T12:01:00Z at step 1"},
		"a gate that was not asked":              {[]*Answer{nil, &pass}, 0, 0, 100, false, time.Minute, "goes on"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			gates := []v1alpha1.Gate{{Name: "a", FailureLimit: tt.limit}, {Name: "b", FailureLimit: tt.limit}}[:len(tt.answers)]
			before := []v1alpha1.GateStatus{{Name: "b", Failures: tt.failures, At: metav1.NewTime(noon)}}
			now := noon.Add(tt.after)
			statuses := GateStatuses(gates, tt.answers, before, noon, now)
			j := EvaluateGates(gates, statuses, tt.answers, Evidence{Need: step, Samples: tt.samples, SamplesUnknown: tt.unknown, Since: noon, Now: now, Down: 2})
			got := "goes on"
			switch {
			case j.Failed != nil:
				got = "back: " + j.Failed.Reason + " " + j.Failed.Message
			case j.Waiting != nil:
				got = "stays: " + j.Waiting.Reason + " " + j.Waiting.Message
			}
			if j.Down > 0 {
				got += fmt.Sprintf("; down %d", j.Down)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGateStatusesForgetOnlyWhatIsNotAskedFor(t *testing.T) {
	gates := []v1alpha1.Gate{{Name: "a"}, {Name: "drift"}, {Name: "new"}}
	before := []v1alpha1.GateStatus{
		{Name: "gone", Verdict: v1alpha1.VerdictPass, At: metav1.NewTime(noon)},
		{Name: "a", Verdict: v1alpha1.VerdictFail, Failures: 2, At: metav1.NewTime(noon.Add(-time.Minute))}, // of the step before
		{Name: "drift", Verdict: v1alpha1.VerdictPass, Value: "0.1", At: metav1.NewTime(noon)},
	}
	fail := Answer{Verdict: v1alpha1.VerdictFail, Value: strings.Repeat("9", 40)}
	now := metav1.NewTime(noon.Add(time.Minute))
	got := GateStatuses(gates, []*Answer{&fail, nil, &fail}, before, noon, now.Time)
	bounded := strings.Repeat("9", 21) + "…"
	want := []v1alpha1.GateStatus{
		{Name: "a", Verdict: v1alpha1.VerdictFail, Value: bounded, Failures: 1, At: now},
		{Name: "drift", Verdict: v1alpha1.VerdictPass, Value: "0.1", At: metav1.NewTime(noon)},
		{Name: "new", Verdict: v1alpha1.VerdictFail, Value: bounded, Failures: 1, At: now},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
}
