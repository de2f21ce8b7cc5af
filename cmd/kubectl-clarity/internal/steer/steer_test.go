package steer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// made is a version of pat-s, made at the minute of its number.
func made(version string, minute int, stage v1alpha1.Stage, change ...func(*v1alpha1.ModelVersion)) v1alpha1.ModelVersion {
	v := v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: "pat-s-" + version, Namespace: "clarity", UID: types.UID("uid-" + version),
			CreationTimestamp: metav1.NewTime(noon.Add(time.Duration(minute) * time.Minute))},
		Spec:   v1alpha1.ModelVersionSpec{Model: "pat-s", Version: version, Rollout: v1alpha1.Rollout{Strategy: v1alpha1.StrategyCanary}},
		Status: v1alpha1.ModelVersionStatus{Stage: stage},
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

func weight(percent int32) func(*v1alpha1.ModelVersion) {
	return func(v *v1alpha1.ModelVersion) { v.Status.Traffic.Weight = percent }
}

// hasServed was promoted, and demoted at the minute.
func hasServed(demoted int, loaded int32) func(*v1alpha1.ModelVersion) {
	return func(v *v1alpha1.ModelVersion) {
		v.Status.Rollout = &v1alpha1.RolloutStatus{Promoted: &metav1.Time{Time: noon}, Demoted: &metav1.Time{Time: noon.Add(time.Duration(demoted) * time.Minute)}}
		v.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionValidated, Status: metav1.ConditionTrue}}
		v.Status.Serving = v1alpha1.ServingStatus{Loaded: loaded, Summary: "2/2"}
	}
}

func aborted(v *v1alpha1.ModelVersion)  { v.Spec.Rollout.Abort = true }
func paused(v *v1alpha1.ModelVersion)   { v.Spec.Rollout.Paused = true }
func held(v *v1alpha1.ModelVersion)     { v.Spec.Rollout.Strategy = v1alpha1.StrategyHold }
func deleting(v *v1alpha1.ModelVersion) { v.DeletionTimestamp = &metav1.Time{Time: noon} }

// refusal is the code and what the error says, "" where there is none.
func refusal(t *testing.T, err error) (fault.Code, string) {
	t.Helper()
	if err == nil {
		return fault.Done, ""
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("%v has no exit code", err)
	}
	if f.Next == "" {
		t.Errorf("%q does not say what to type next", f.What)
	}
	return f.Code, f.What
}

func TestRollbackChooses(t *testing.T) {
	tests := map[string]struct {
		versions []v1alpha1.ModelVersion
		former   []types.UID
		only     string
		outage   bool
		abort    string   // the version; "" for none
		says     []string // in the announcement or in the error
		code     fault.Code
	}{
		"the candidate in its canary, and the active one serves again": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(95), hasServed(0, 2)), made("2", 2, "Canary", weight(5))},
			abort:    "2", says: []string{"pat-s-2 (version 2, Canary at 5 %) is aborted for good", "pat-s-1 (version 1) serves 100 %"},
		},
		"the candidate in the shadow": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(100)), made("2", 2, "Shadow")},
			abort:    "2", says: []string{"pat-s-1 (version 1) serves 100 %"},
		},
		"the active one where the candidate has no requests yet, which is told": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby", hasServed(2, 2)), made("2", 2, "Active", weight(100)), made("3", 3, "Validating")},
			abort:    "2", says: []string{"pat-s-1 (version 1) serves next; it is warm (2/2)", "pat-s-3 (version 3, Validating) is already rolling out and continues"},
		},
		"the active one, with a last known good that is cold": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby", hasServed(2, 0)), made("2", 2, "Active", weight(100))},
			abort:    "2", says: []string{"It is cold", "pat-s-2 serves until it is ready"},
		},
		"one that waited behind it is the candidate then": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby", hasServed(2, 2)), made("2", 2, "Standby"), made("3", 3, "Active", weight(100))},
			abort:    "3", says: []string{"pat-s-1 (version 1) serves next", "pat-s-2 (version 2, Standby) then becomes the candidate"},
		},
		"one that waited behind the candidate is the candidate then": {
			versions: []v1alpha1.ModelVersion{made("0", 0, "Standby"), made("1", 1, "Active", weight(95)), made("2", 2, "Pending"), made("3", 3, "Canary", weight(5))},
			abort:    "3", says: []string{"pat-s-1 (version 1) serves 100 %", "pat-s-2 (version 2, Pending) then becomes the candidate"},
		},
		"the last one to have served is next": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby", hasServed(2, 2)), made("2", 2, "Standby", hasServed(5, 2)), made("3", 3, "Active", weight(100))},
			abort:    "3", says: []string{"pat-s-2 (version 2) serves next"},
		},
		"the operator's record says who is next": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby", hasServed(2, 2)), made("2", 2, "Standby", hasServed(5, 2)), made("3", 3, "Active", weight(100))},
			former:   []types.UID{"uid-1", "uid-2"},
			abort:    "3", says: []string{"pat-s-1 (version 1) serves next"},
		},
		"a rolled back version is never next": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "RolledBack", hasServed(2, 2)), made("2", 2, "Active", weight(100))},
			code:     fault.CouldNot, says: []string{"no other version", "--leave-unserved"},
		},
		"nobody is next, and that is accepted": {
			versions: []v1alpha1.ModelVersion{made("2", 2, "Active", weight(100))}, outage: true,
			abort: "2", says: []string{"is left without a server"},
		},
		"nobody has served, but a candidate comes": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(100)), made("2", 2, "Starting")},
			abort:    "1", says: []string{"pat-s-2 takes over once it can", "pat-s-2 (version 2, Starting) is already rolling out"},
		},
		"an older one that never served does not take over": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Standby"), made("2", 2, "Active", weight(100))},
			code:     fault.CouldNot, says: []string{"no other version"},
		},
		"a held candidate does not come": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(100)), made("2", 2, "Standby", held)},
			code:     fault.CouldNot, says: []string{"no other version"},
		},
		"nothing gets requests": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Starting")},
			code:     fault.CouldNot, says: []string{"nothing to take back"},
		},
		"there is no such model": {code: fault.NotFound, says: []string{"no version of it"}},
		"a rollback is under way already": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(95)), made("2", 2, "Canary", weight(5), aborted)},
			code:     fault.CouldNot, says: []string{"being rolled back already"},
		},
		"said twice with --version, it is done": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(100)), made("2", 2, "RolledBack", aborted)}, only: "2",
		},
		"said again with --version while it is under way": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(95)), made("2", 2, "Canary", weight(5), aborted)}, only: "2",
		},
		"--version names another": {
			versions: []v1alpha1.ModelVersion{made("1", 1, "Active", weight(100)), made("2", 2, "Shadow")}, only: "1",
			code: fault.CouldNot, says: []string{`reached version "2" last, not "1"`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := Model{Name: "pat-s", Namespace: "clarity", Versions: tt.versions, Former: tt.former}
			var step Step
			chosen, err := m.Choose(tt.only)
			if err == nil {
				step, err = m.Abort(chosen, tt.outage)
			}
			code, what := refusal(t, err)
			if code != tt.code {
				t.Fatalf("exit %d, want %d: %s", code, tt.code, what)
			}
			got := ""
			if len(step.Change) > 0 {
				got = chosen.Spec.Version
				if diff := cmp.Diff(kube.Change{"rollout": map[string]any{"abort": true}}, step.Change); diff != "" {
					t.Errorf("change (-want +got):\n%s", diff)
				}
			}
			if got != tt.abort {
				t.Errorf("aborts %q, want %q", got, tt.abort)
			}
			for _, s := range tt.says {
				if !strings.Contains(step.Announce+what, s) {
					t.Errorf("does not say %q: %s%s", s, step.Announce, what)
				}
			}
		})
	}
}

func TestPromote(t *testing.T) {
	all := func(v ...v1alpha1.ModelVersion) []v1alpha1.ModelVersion { return v }
	tests := map[string]struct {
		version  v1alpha1.ModelVersion
		versions []v1alpha1.ModelVersion
		canary   bool
		change   kube.Change
		says     string
		code     fault.Code
	}{
		"a canary": {version: made("2", 2, "Canary", weight(5)),
			change: kube.Change{"rollout": map[string]any{"strategy": v1alpha1.StrategyImmediate}}, says: "shadow, steps and gates are skipped"},
		"a paused canary": {version: made("2", 2, "Canary", paused),
			change: kube.Change{"rollout": map[string]any{"strategy": v1alpha1.StrategyImmediate, "paused": false}}},
		"a held one": {version: made("2", 2, "Standby", held),
			change: kube.Change{"rollout": map[string]any{"strategy": v1alpha1.StrategyImmediate}}},
		"a held one, to its canary": {version: made("2", 2, "Standby", held), canary: true,
			change: kube.Change{"rollout": map[string]any{"strategy": v1alpha1.StrategyCanary}}, says: "each behind the gates"},
		"one that is on its canary's way already": {version: made("2", 2, "Canary"), canary: true},
		"an active one": {version: made("2", 2, "Active", weight(100))},
		"an active one that gives way": {version: made("1", 1, "Active", weight(95)), code: fault.CouldNot, says: "gives way to a newer version",
			versions: all(made("2", 2, "Canary", weight(5)))},
		"one behind a newer one": {version: made("1", 1, "Standby", hasServed(2, 2)), versions: all(made("2", 2, "Active", weight(100))),
			code: fault.CouldNot, says: "never overtakes"},
		"one behind a newer one that was rejected": {version: made("1", 1, "Canary"), versions: all(made("2", 2, "Rejected")),
			change: kube.Change{"rollout": map[string]any{"strategy": v1alpha1.StrategyImmediate}}},
		"a rejected one":    {version: made("2", 2, "Rejected"), code: fault.CouldNot, says: "final; apply a new ModelVersion"},
		"an aborted one":    {version: made("2", 2, "Canary", aborted), code: fault.CouldNot, says: "on its way out"},
		"one being deleted": {version: made("2", 2, "", deleting), code: fault.CouldNot, says: "on its way out"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			step, err := Promote(&tt.version, append(tt.versions, tt.version), tt.canary)
			code, what := refusal(t, err)
			if code != tt.code || !strings.Contains(step.Announce+what, tt.says) {
				t.Errorf("exit %d, want %d; says %q, want %q", code, tt.code, step.Announce+what, tt.says)
			}
			if diff := cmp.Diff(tt.change, step.Change); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	v := func(stage v1alpha1.Stage, change ...func(*v1alpha1.ModelVersion)) client.Object {
		version := made("2", 2, stage, change...)
		return &version
	}
	j := func(state v1alpha1.State, suspend, cancel bool) client.Object {
		job := &v1alpha1.AnalysisJob{ObjectMeta: metav1.ObjectMeta{Name: "backfill", Namespace: "clarity"},
			Spec: v1alpha1.AnalysisJobSpec{Suspend: suspend, Cancel: cancel}, Status: v1alpha1.AnalysisJobStatus{State: state}}
		if state == v1alpha1.StateSucceeded {
			job.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Status: metav1.ConditionTrue}}
		}
		return job
	}
	rollout := func(to bool) kube.Change { return kube.Change{"rollout": map[string]any{"paused": to}} }
	tests := map[string]struct {
		do     func(client.Object) (Step, error)
		object client.Object
		change kube.Change
		says   string
	}{
		"pause a canary":                   {Pause, v("Canary"), rollout(true), ""},
		"pause a paused one":               {Pause, v("Canary", paused), nil, ""},
		"pause an active one":              {Pause, v("Active"), nil, "its rollout is over"},
		"pause a rolled back one":          {Pause, v("RolledBack"), nil, "final"},
		"resume a paused one":              {Resume, v("Canary", paused), rollout(false), ""},
		"resume one that is not paused":    {Resume, v("Canary"), nil, ""},
		"resume a held one":                {Resume, v("Standby", held), nil, "Hold keeps it from traffic"},
		"pause a job":                      {Pause, j("Running", false, false), kube.Change{"suspend": true}, ""},
		"pause a suspended job":            {Pause, j("Suspended", true, false), nil, ""},
		"pause a job that is over":         {Pause, j("Succeeded", false, false), nil, "final; create a new AnalysisJob"},
		"resume a job":                     {Resume, j("Suspended", true, false), kube.Change{"suspend": false}, ""},
		"resume a job that was cancelled":  {Resume, j("Running", true, true), nil, "on its way out"},
		"cancel a job":                     {cancel, j("Running", false, false), kube.Change{"cancel": true}, "cancelled for good"},
		"cancel a cancelled job":           {cancel, j("Running", false, true), nil, ""},
		"cancel a job that is over":        {cancel, j("Succeeded", false, false), nil, "final"},
		"resume a version being torn down": {Resume, v("Canary", deleting), nil, "final"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			step, err := tt.do(tt.object)
			_, what := refusal(t, err)
			if !strings.Contains(step.Announce+what, tt.says) || tt.says == "" && err != nil {
				t.Errorf("says %q, want %q", step.Announce+what, tt.says)
			}
			if diff := cmp.Diff(tt.change, step.Change); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
		})
	}
}

func cancel(o client.Object) (Step, error) {
	j, _ := o.(*v1alpha1.AnalysisJob)
	return Cancel(j)
}
