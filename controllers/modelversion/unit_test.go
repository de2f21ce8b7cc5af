package modelversion

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/label"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
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
		"other parameters":       {func(c *v1alpha1.Contract) { c.Preprocessing.Digest = "sha256:1" }, `preprocessing "pre/1" has another digest at the workers`},
		"other epochs":           {func(c *v1alpha1.Contract) { c.Window.EpochSeconds = 30 }, "workers cut epochs of 60 s, not of 30 s"},
		"another window":         {func(c *v1alpha1.Contract) { c.Window.Epochs = 1440 }, "workers cut windows of 10080 epochs, not of 1440"},
		"an input nobody makes":  {func(c *v1alpha1.Contract) { c.Inputs[0].Name = "light" }, `workers make no input "light"`},
		"another type":           {func(c *v1alpha1.Contract) { c.Inputs[0].DType = "FP16" }, `workers make input "activity" of FP32, not of FP16`},
		"another size":           {func(c *v1alpha1.Contract) { c.Inputs[0].Dims = []int64{1440} }, `workers make input "activity" of dims [10080], not of [1440]`},
		"another number of dims": {func(c *v1alpha1.Contract) { c.Inputs[0].Dims = []int64{1, 10080} }, `workers make input "activity" of dims [10080], not of [1 10080]`},
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
		"it says so and fewer are": {0, `{"cases":5,"passed":4}`, false, "False ValidationIncomplete the validate Job ended well, and does not say that the version passed, ends"},
		"golden vectors differ":    {65, `{"cases":5,"passed":3,"maxError":"0.2","reason":"ValidationFailed","message":"2 of 5"}`, false, "False ValidationFailed 2 of 5, ends"},
		"the server is not ready":  {1, `{"cases":0,"passed":0,"reason":"ServerNotReady","message":"not ready"}`, false, "False ValidationIncomplete not ready"},
		"its own arguments":        {65, `{"cases":0,"passed":0,"reason":"InvalidArguments","message":"--tolerance"}`, false, "False ValidationIncomplete --tolerance, ends"},
		"another digest":           {65, `{"cases":0,"passed":0,"reason":"DigestMismatch","message":"another"}`, false, "False DigestMismatch another, ends"},
		"no word and no end":       {1, "", false, "False ValidationIncomplete the validate Job ended without a verdict: it is run again"},
		"out of time":              {1, "", true, "False ValidationTimeout the validate Job ran out of time, ends"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mv := MakeVersion("1").Obj()
			m := &versionPass{before: mv, mv: mv.DeepCopy()}
			end := &checkEnd{succeeded: tt.exit == 0, deadline: tt.late, final: tt.exit == worker.ExitInvalidInput}
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

func TestEveryReasonAWorkerMaySayEndsAVersion(t *testing.T) {
	for _, said := range termination.Reasons() {
		if !rollout.IsFinal(string(said)) {
			t.Errorf("%s does not", said)
		}
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

// server is a Triton that answers so.
func server(t *testing.T, answer http.HandlerFunc) (*HTTPProbe, *corev1.Pod) {
	t.Helper()
	triton := httptest.NewServer(answer)
	t.Cleanup(triton.Close)
	p := NewHTTPProbe(200 * time.Millisecond)
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
	var p probes
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
	var p probes
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

func TestChildNames(t *testing.T) {
	named := func(name string) string {
		return childName(&v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u"}})
	}
	hash := named("x")[1:]
	for name, want := range map[string]string{
		"pat-s-2026.11.1":        "pat-s-2026-11-1" + hash,
		"2026.11":                "v2026-11" + hash,
		strings.Repeat("9", 60):  "v" + strings.Repeat("9", 39) + hash,
		strings.Repeat("a.", 60): strings.Repeat("a-", 19) + "a" + hash,
	} {
		if got := named(name); got != want {
			t.Errorf("%.20s: %q, want %q", name, got, want)
		}
	}
	if childName(&v1alpha1.ModelVersion{ObjectMeta: metav1.ObjectMeta{Name: "x", UID: "other"}}) == named("x") {
		t.Error("an object created again has the name of the one before")
	}
}

func TestSharingSelectsNodes(t *testing.T) {
	tests := map[SharingMode]struct {
		sharing Sharing
		want    map[string]string
	}{
		SharingWhole:     {Sharing{}, map[string]string{"a": "b"}},
		SharingMIG:       {Sharing{Partition: "1g.5gb"}, map[string]string{"a": "b", "cloud.google.com/gke-gpu-partition-size": "1g.5gb"}},
		SharingMPS:       {Sharing{Clients: 3}, map[string]string{"a": "b", "cloud.google.com/gke-gpu-sharing-strategy": "mps", "cloud.google.com/gke-max-shared-clients-per-gpu": "3"}},
		SharingTimeSlice: {Sharing{}, map[string]string{"a": "b", "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"}},
	}
	for mode, tt := range tests {
		t.Run(string(mode), func(t *testing.T) {
			class := ServingClass{NodeSelector: map[string]string{"a": "b"}, Sharing: tt.sharing}
			class.Sharing.Mode = mode
			if diff := cmp.Diff(tt.want, nodesOf(class)); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			if len(class.NodeSelector) != 1 {
				t.Error("the configuration was written to")
			}
		})
	}
}
