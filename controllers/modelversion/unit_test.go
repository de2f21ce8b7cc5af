package modelversion

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestDriftIsAskedForInTheShadowAlone(t *testing.T) {
	r := &Reconciler{Needs: Needs{Gates: &stage{}}}
	gates := MakeVersion("1").Obj().Spec.Rollout.Gates
	for shadow, want := range map[bool]int{true: 2, false: 1} {
		n := 0
		for _, a := range r.ask(t.Context(), gates, gate.Question{}, shadow) {
			if a != nil {
				n++
			}
		}
		if n != want {
			t.Errorf("shadow %v: %d gates are asked, want %d", shadow, n, want)
		}
	}
}

func TestAContractMustBeFed(t *testing.T) {
	feeds := testConfig("clarity").Feeds
	good := MakeVersion("1").Obj().Spec.Contract
	tests := map[string]struct {
		change func(*v1alpha1.Contract)
		want   string
	}{
		"as workers feed it":     {func(*v1alpha1.Contract) {}, ""},
		"any size":               {func(c *v1alpha1.Contract) { c.Inputs[0].Dims = []int64{-1} }, ""},
		"other steps":            {func(c *v1alpha1.Contract) { c.Preprocessing.Name = "x" }, `workers do not know preprocessing "x"`},
		"other parameters":       {func(c *v1alpha1.Contract) { c.Preprocessing.Digest = "sha256:1" }, `preprocessing "pre/1" has a different digest on the workers`},
		"other epochs":           {func(c *v1alpha1.Contract) { c.Window.EpochSeconds = 30 }, "workers use epochs of 60 s, not 30 s"},
		"another window":         {func(c *v1alpha1.Contract) { c.Window.Epochs = 1440 }, "workers use windows of 10080 epochs, not 1440"},
		"an input nobody makes":  {func(c *v1alpha1.Contract) { c.Inputs[0].Name = "light" }, `workers provide no input "light"`},
		"another type":           {func(c *v1alpha1.Contract) { c.Inputs[0].DType = "FP16" }, `workers provide input "activity" as FP32, not FP16`},
		"another size":           {func(c *v1alpha1.Contract) { c.Inputs[0].Dims = []int64{1440} }, `workers provide input "activity" with dims [10080], not [1440]`},
		"another number of dims": {func(c *v1alpha1.Contract) { c.Inputs[0].Dims = []int64{1, 10080} }, `workers provide input "activity" with dims [10080], not [1 10080]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *good.DeepCopy()
			tt.change(&c)
			other := Feed{Preprocessing: v1alpha1.Preprocessing{Name: "other"}}
			if got := feedable(c, append([]Feed{other}, feeds...)); got != tt.want {
				t.Errorf("feedable: %q, want %q", got, tt.want)
			}
		})
	}
}

// The words that the worker's own checks have.
func TestTheWordsOfTheWorker(t *testing.T) {
	validation := check{component: label.Validate, kind: v1alpha1.ConditionValidated, undecided: v1alpha1.ReasonValidationIncomplete, late: v1alpha1.ReasonValidationTimeout,
		passed: func(said *termination.Result) bool {
			n := said.Counts()
			return n.Cases > 0 && n.Passed == n.Cases && said.Reason == ""
		}}
	tests := map[string]struct {
		exit    int32
		message string
		late    bool
		want    string
	}{
		"all passed":               {0, `{"cases":5,"passed":5,"maxError":"1.2e-05"}`, false, "True Succeeded"},
		"it says so and fewer are": {0, `{"cases":5,"passed":4}`, false, "False ValidationIncomplete the validate Job succeeded but did not report that the version passed, ends"},
		"golden vectors differ":    {65, `{"cases":5,"passed":3,"maxError":"0.2","reason":"ValidationFailed","message":"2 of 5"}`, false, "False ValidationFailed 2 of 5, ends"},
		"the server is not ready":  {1, `{"cases":0,"passed":0,"reason":"ServerNotReady","message":"not ready"}`, false, "False ValidationIncomplete not ready"},
		"its own arguments":        {65, `{"cases":0,"passed":0,"reason":"InvalidArguments","message":"--tolerance"}`, false, "False ValidationIncomplete --tolerance, ends"},
		"another digest":           {65, `{"cases":0,"passed":0,"reason":"DigestMismatch","message":"another"}`, false, "False DigestMismatch another, ends"},
		"no word and no end":       {1, "", false, "False ValidationIncomplete the validate Job ended without a result: it is run again"},
		"configured wrongly":       {78, "", false, "False WorkerMisconfigured the validate Job's worker exited with 78: it is configured wrongly; the Job is run again"},
		"configured wrongly, told": {78, `{"cases":0,"passed":0,"reason":"InvalidConfiguration","message":"an emulator"}`, false, "False WorkerMisconfigured the validate Job's worker exited with 78: it is configured wrongly; the Job is run again"},
		"out of time":              {1, "", true, "False ValidationTimeout the validate Job ran out of time, ends"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mv := MakeVersion("1").Obj()
			m := &versionPass{before: mv, mv: mv.DeepCopy()}
			end := &checkEnd{succeeded: tt.exit == 0, deadline: tt.late, final: tt.exit == worker.ExitInvalidInput, exitCode: &tt.exit}
			if said, err := termination.ParseResult(tt.message); err == nil {
				end.result = &said
			}
			m.finish(noon, validation, end)
			f := m.conditions[0]
			got := fmt.Sprintf("%s %s %s", f.status, f.reason.Reason, f.reason.Message)
			if m.ended != nil {
				got = strings.TrimSpace(got) + ", ends"
			}
			if diff := cmp.Diff(tt.want, strings.TrimSpace(got)); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCoversComparesWhatIsWishedFor(t *testing.T) {
	type m = map[string]any
	tests := map[string]struct {
		wish, have any
		want       bool
	}{
		"the same":                        {m{"a": int64(1), "b": []any{"x"}}, m{"a": int64(1), "b": []any{"x"}}, true},
		"more is there":                   {m{"a": int64(1)}, m{"a": int64(1), "b": "set by the server"}, true},
		"less is there":                   {m{"a": int64(1), "b": "x"}, m{"a": int64(1)}, false},
		"another value":                   {m{"a": int64(1)}, m{"a": int64(2)}, false},
		"a list with one more":            {m{"a": []any{m{"p": "1"}}}, m{"a": []any{m{"p": "1"}, m{"p": "2"}}}, false},
		"a list in another order":         {[]any{"x", "y"}, []any{"y", "x"}, true},
		"a list whose items have more":    {[]any{m{"p": "1"}}, []any{m{"p": "1", "protocol": "TCP"}}, true},
		"nothing is wished and none is":   {m{}, nil, true},
		"something is wished and none is": {m{"a": "x"}, nil, false},
		"a list is wished and none is":    {[]any{"x"}, nil, false},
		"another kind of value":           {m{"a": m{"b": "c"}}, m{"a": "b"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := covers(tt.wish, tt.have); got != tt.want {
				t.Errorf("covers: %v, want %v", got, tt.want)
			}
		})
	}
}
