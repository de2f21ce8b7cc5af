package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

func TestPlanAndStateAreReadAsTheyWereWritten(t *testing.T) {
	plan := traffic.Plan{Model: "pat", Revision: 3, Salt: "s", Entries: []traffic.Entry{{Version: "1", Weight: 100, Endpoint: "e", Digest: "d"}}}
	state := State{
		Stable: &traffic.Slot{Version: "1", UID: "u1", Promoted: noon}, Candidate: &traffic.Slot{Version: "2", UID: "u2"}, Step: 1, StepStarted: noon,
		LastGood: traffic.LastGood{Former: []traffic.Slot{{Version: "0", UID: "u0", Promoted: noon, Demoted: noon}}}, Changed: noon,
		Evaluation: &Evaluation{UID: "u2", At: noon, Samples: 5, Gates: []v1alpha1.GateStatus{{Name: "p99", Verdict: v1alpha1.VerdictPass, At: metav1.NewTime(noon)}}},
		Ended:      []Outcome{{UID: "u3", Version: "3", Stage: v1alpha1.StageCanary, Reason: "GateFailed", Message: "m", Pod: "p", ExitCode: new(int32(1)), At: noon}},
	}
	data, err := Encode(plan, state)
	if err != nil {
		t.Fatal(err)
	}
	// As every operator so far has written it, to the byte.
	const kept = `{"stable":{"version":"1","uid":"u1","promoted":"NOON"},"candidate":{"version":"2","uid":"u2"},"step":1,"stepStarted":"NOON",` +
		`"former":[{"version":"0","uid":"u0","promoted":"NOON","demoted":"NOON"}],"changed":"NOON",` +
		`"judged":{"uid":"u2","at":"NOON","samples":5,"gates":[{"name":"p99","verdict":"Pass","at":"NOON"}]},` +
		`"ended":[{"uid":"u3","version":"3","stage":"Canary","reason":"GateFailed","message":"m","pod":"p","exitCode":1,"at":"NOON"}]}`
	if diff := cmp.Diff(strings.ReplaceAll(kept, "NOON", noon.Format(time.RFC3339)), data[traffic.StateKey]); diff != "" {
		t.Errorf("the state as it is kept (-want +got):\n%s", diff)
	}
	gotPlan, gotState, ok := Decode("pat", data)
	if diff := cmp.Diff(plan, gotPlan); !ok || diff != "" {
		t.Errorf("plan: %v\n%s", ok, diff)
	}
	if diff := cmp.Diff(state, gotState); diff != "" {
		t.Errorf("state:\n%s", diff)
	}
	former, err := traffic.ParseLastGood([]byte(data[traffic.StateKey])) // as the plugin reads it
	if diff := cmp.Diff(state.LastGood, former); err != nil || diff != "" {
		t.Errorf("former: %v\n%s", err, diff)
	}
	if _, _, ok := Decode("other", data); ok {
		t.Error("another model's plan is taken")
	}
	plan.Entries[0].Weight = 99
	if _, err := Encode(plan, state); err == nil {
		t.Error("a plan that does not sum to 100 is written")
	}
}

func TestTheStateIsBounded(t *testing.T) {
	var r State
	for i := range 200 {
		uid := types.UID(fmt.Sprint(i))
		r.Former = append(r.Former, traffic.Slot{UID: string(uid)})
		r.Ended = append(r.Ended, Outcome{UID: uid})
	}
	r.prune(func(uid types.UID) bool { return uid != "0" && uid != "199" })
	if len(r.Former) != maxFormer || len(r.Ended) != maxEnded || r.Former[0].UID != "1" || r.Ended[maxEnded-1].UID != "198" {
		t.Errorf("%d former from %s, %d ended to %s", len(r.Former), r.Former[0].UID, len(r.Ended), r.Ended[len(r.Ended)-1].UID)
	}
}
