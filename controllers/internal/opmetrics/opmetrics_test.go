package opmetrics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/controllers/modelversion"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

var cluster testenv.Cluster

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &cluster)) }

// It is an observer of both controllers.
var (
	_ analysisjob.Observer  = (*Transitions)(nil)
	_ modelversion.Observer = (*Transitions)(nil)
)

// shelf is a client.Reader over objects in memory.
type shelf struct {
	versions []v1alpha1.ModelVersion
	plans    []corev1.ConfigMap
	jobs     []v1alpha1.AnalysisJob
	err      error
}

func (s shelf) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("not asked for")
}

func (s shelf) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch l := list.(type) {
	case *v1alpha1.ModelVersionList:
		l.Items = s.versions
	case *corev1.ConfigMapList:
		l.Items = s.plans
	case *v1alpha1.AnalysisJobList:
		l.Items = s.jobs
	}
	return s.err
}

func (s shelf) collector() *State { return &State{reader: s, namespace: "clarity", version: "v0"} }

func version(model, name string, stage v1alpha1.Stage) v1alpha1.ModelVersion {
	return v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Namespace: "clarity", Name: model + "-" + name},
		Spec:       v1alpha1.ModelVersionSpec{Model: model, Version: name},
		Status:     v1alpha1.ModelVersionStatus{Stage: stage, Serving: v1alpha1.ServingStatus{Replicas: 3, Loaded: 2}},
	}
}

func stalledBy(reason string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason}}
}

func plan(model, content string) corev1.ConfigMap {
	return corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "clarity", Name: "clarity-traffic-" + model,
			Labels: map[string]string{label.Component: label.Plan, label.Model: model}},
		Data: map[string]string{"plan.json": content},
	}
}

func job(name string, state v1alpha1.State, total, active, succeeded, failed int32) v1alpha1.AnalysisJob {
	return v1alpha1.AnalysisJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "clarity", Name: name},
		Spec:       v1alpha1.AnalysisJobSpec{Shards: total},
		Status:     v1alpha1.AnalysisJobStatus{State: state, Shards: v1alpha1.ShardCounts{Active: active, Succeeded: succeeded, Failed: failed}},
	}
}

func aWorld() shelf {
	const half = `{"model":"pat","revision":7,"salt":"s","entries":[{"version":"v2","weight":25,"endpoint":"e:1","digest":"d"},{"version":"v1","weight":75,"endpoint":"e:1","digest":"d"}]}`
	v2 := version("pat", "v2", v1alpha1.StageCanary)
	v2.Status.Conditions = stalledBy(v1alpha1.ReasonGateSourceUnavailable)
	v0 := version("pat", "v0", v1alpha1.StageRolledBack)
	v0.Status.LastFailure = &v1alpha1.Failure{Reason: v1alpha1.ReasonGateFailed, At: metav1.Unix(1000, 0)}
	v00 := version("pat", "v00", v1alpha1.StageRolledBack)
	v00.Status.LastFailure = &v1alpha1.Failure{Reason: v1alpha1.ReasonGateFailed, At: metav1.Unix(500, 0)}
	stuck := job("stuck", v1alpha1.StatePending, 5, 0, 0, 0)
	stuck.Status.Conditions = stalledBy("a reason nobody wrote down")
	return shelf{
		versions: []v1alpha1.ModelVersion{version("pat", "v1", v1alpha1.StageActive), v2, v0, v00, version("new", "v1", ""), version("odd", "v1", "Odd")},
		plans:    []corev1.ConfigMap{plan("pat", half), plan("odd", `{"model":"odd","revision":3,"salt":"s","entries":[]}`), plan("new", `{`)},
		jobs: []v1alpha1.AnalysisJob{
			job("a", v1alpha1.StateRunning, 10, 4, 3, 1), job("b", v1alpha1.StateRunning, 1, 1, 0, 0), stuck,
			job("done", v1alpha1.StateSucceeded, 100, 0, 90, 10), job("fresh", "", 2, 0, 0, 0),
		},
	}
}

const aWorldsGauges = `
# HELP clarity_operator_analysisjob_shards Shards of the analysis jobs that have not ended, by state.
# TYPE clarity_operator_analysisjob_shards gauge
clarity_operator_analysisjob_shards{state="active"} 5
clarity_operator_analysisjob_shards{state="failed"} 1
clarity_operator_analysisjob_shards{state="succeeded"} 3
clarity_operator_analysisjob_shards{state="waiting"} 9
# HELP clarity_operator_analysisjobs Analysis jobs by state.
# TYPE clarity_operator_analysisjobs gauge
clarity_operator_analysisjobs{state="Cancelled"} 0
clarity_operator_analysisjobs{state="Failed"} 0
clarity_operator_analysisjobs{state="Pending"} 2
clarity_operator_analysisjobs{state="Queued"} 0
clarity_operator_analysisjobs{state="Running"} 2
clarity_operator_analysisjobs{state="Succeeded"} 1
clarity_operator_analysisjobs{state="Suspended"} 0
# HELP clarity_operator_analysisjobs_stalled Analysis jobs that wait for a person, by reason.
# TYPE clarity_operator_analysisjobs_stalled gauge
clarity_operator_analysisjobs_stalled{reason="Other"} 1
# HELP clarity_operator_info 1 while the operator runs, by its version.
# TYPE clarity_operator_info gauge
clarity_operator_info{version="v0"} 1
# HELP clarity_operator_model_rolled_back_timestamp_seconds When a version of the model was last rolled back, of those that still exist.
# TYPE clarity_operator_model_rolled_back_timestamp_seconds gauge
clarity_operator_model_rolled_back_timestamp_seconds{model="pat",reason="GateFailed"} 1000
# HELP clarity_operator_modelversions Versions of models by stage.
# TYPE clarity_operator_modelversions gauge
clarity_operator_modelversions{model="new",stage="Pending"} 1
clarity_operator_modelversions{model="odd",stage="Other"} 1
clarity_operator_modelversions{model="pat",stage="Active"} 1
clarity_operator_modelversions{model="pat",stage="Canary"} 1
clarity_operator_modelversions{model="pat",stage="RolledBack"} 2
# HELP clarity_operator_modelversions_stalled Versions of models that wait for a person, by reason.
# TYPE clarity_operator_modelversions_stalled gauge
clarity_operator_modelversions_stalled{model="pat",reason="GateSourceUnavailable"} 1
# HELP clarity_operator_serving_loaded_replicas Replicas whose server says that a version with traffic is ready.
# TYPE clarity_operator_serving_loaded_replicas gauge
clarity_operator_serving_loaded_replicas{model="pat",version="v1"} 2
clarity_operator_serving_loaded_replicas{model="pat",version="v2"} 2
# HELP clarity_operator_serving_wanted_replicas Replicas that a version with traffic is to have.
# TYPE clarity_operator_serving_wanted_replicas gauge
clarity_operator_serving_wanted_replicas{model="pat",version="v1"} 3
clarity_operator_serving_wanted_replicas{model="pat",version="v2"} 3
# HELP clarity_operator_state_readable 1 if the objects that the other gauges count could be read, 0 if not.
# TYPE clarity_operator_state_readable gauge
clarity_operator_state_readable 1
# HELP clarity_operator_traffic_plan_entries Versions that the model's traffic plan divides requests among; -1 if the plan cannot be read.
# TYPE clarity_operator_traffic_plan_entries gauge
clarity_operator_traffic_plan_entries{model="new"} -1
clarity_operator_traffic_plan_entries{model="odd"} 0
clarity_operator_traffic_plan_entries{model="pat"} 2
# HELP clarity_operator_traffic_plan_revision Revision of the model's traffic plan.
# TYPE clarity_operator_traffic_plan_revision gauge
clarity_operator_traffic_plan_revision{model="odd"} 3
clarity_operator_traffic_plan_revision{model="pat"} 7
# HELP clarity_operator_traffic_weight_ratio Share of the model's requests that the version gets.
# TYPE clarity_operator_traffic_weight_ratio gauge
clarity_operator_traffic_weight_ratio{model="pat",version="v1"} 0.75
clarity_operator_traffic_weight_ratio{model="pat",version="v2"} 0.25
`

func TestStateCountsTheObjects(t *testing.T) {
	if err := testutil.CollectAndCompare(aWorld().collector(), strings.NewReader(aWorldsGauges)); err != nil {
		t.Error(err)
	}
}

func TestObjectsThatCannotBeReadCostTheGaugesAndNotTheScrape(t *testing.T) {
	s := aWorld()
	s.err = errors.New("the cache is not full yet")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.collector())
	want := `
# HELP clarity_operator_state_readable 1 if the objects that the other gauges count could be read, 0 if not.
# TYPE clarity_operator_state_readable gauge
clarity_operator_state_readable 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "clarity_operator_state_readable", "clarity_operator_modelversions"); err != nil {
		t.Error(err)
	}
}

func TestStateCountsTheCacheOfARealAPIServer(t *testing.T) {
	server := cluster.Start(t)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	live, err := client.New(server, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"clarity", "elsewhere"} {
		if err := live.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
		for i, state := range []v1alpha1.State{v1alpha1.StateRunning, v1alpha1.StateFailed, v1alpha1.StateRunning} {
			j := job(fmt.Sprintf("job-%d", i), state, 1, 1, 0, 0)
			j.Namespace = namespace
			j.Spec.Subjects.Subject, j.Spec.Window.LastDays, j.Spec.Analyses = "tok-0123456789abcdef", new(int32(7)), []v1alpha1.AnalysisName{"sleep"}
			status := j.Status
			if err := live.Create(t.Context(), &j); err != nil {
				t.Fatal(err)
			}
			j.Status = status
			if err := live.Status().Update(t.Context(), &j); err != nil {
				t.Fatal(err)
			}
		}
	}
	held := plan("pat", `{"model":"pat","revision":1,"salt":"s","entries":[]}`)
	if err := live.Create(t.Context(), &held); err != nil {
		t.Fatal(err)
	}
	cached, err := cache.New(server, cache.Options{Scheme: scheme, ByObject: map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{"clarity": {}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cached.Start(ctx) }()
	defer func() { stop(); <-ended }()
	if !cached.WaitForCacheSync(ctx) {
		t.Fatal("the cache does not fill")
	}
	want := `
# HELP clarity_operator_analysisjob_shards Shards of the analysis jobs that have not ended, by state.
# TYPE clarity_operator_analysisjob_shards gauge
clarity_operator_analysisjob_shards{state="active"} 2
clarity_operator_analysisjob_shards{state="failed"} 0
clarity_operator_analysisjob_shards{state="succeeded"} 0
clarity_operator_analysisjob_shards{state="waiting"} 0
# HELP clarity_operator_state_readable 1 if the objects that the other gauges count could be read, 0 if not.
# TYPE clarity_operator_state_readable gauge
clarity_operator_state_readable 1
# HELP clarity_operator_traffic_plan_entries Versions that the model's traffic plan divides requests among; -1 if the plan cannot be read.
# TYPE clarity_operator_traffic_plan_entries gauge
clarity_operator_traffic_plan_entries{model="pat"} 0
`
	names := []string{"clarity_operator_analysisjob_shards", "clarity_operator_state_readable", "clarity_operator_traffic_plan_entries"}
	if err := testutil.CollectAndCompare(NewState(cached, "clarity", "v0"), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// everything is a registry with all metrics, each told of something.
func everything(t *testing.T) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	transitions, err := NewTransitions(registry)
	if err != nil {
		t.Fatal(err)
	}
	registry.MustRegister(aWorld().collector())
	transitions.Stage("pat", "", v1alpha1.StagePending, 0)
	transitions.Stage("pat", v1alpha1.StageShadow, v1alpha1.StageCanary, 90*time.Second)
	transitions.Verdict("Latency", v1alpha1.VerdictError)
	transitions.RolledBack("pat", v1alpha1.ReasonGateFailed)
	transitions.State(v1alpha1.StatePending, v1alpha1.StateRunning)
	transitions.JobCreated(time.Second)
	transitions.FirstShard(7 * time.Second)
	return registry
}

func TestNamesAndUnitsAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryMetricIsInTheCatalogAndTheReverse(t *testing.T) {
	families, err := everything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		got[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	want := map[string]string{}
	for _, m := range catalog() {
		want[m.Name] = m.Kind
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is told is not the catalog (-catalog +told):\n%s", diff)
	}
}

func TestTransitionsAreCounted(t *testing.T) {
	registry := everything(t)
	want := `
# HELP clarity_operator_rollbacks_total Versions that lost their traffic, or the chance of any, by reason.
# TYPE clarity_operator_rollbacks_total counter
clarity_operator_rollbacks_total{model="pat",reason="GateFailed"} 1
# HELP clarity_operator_analysisjob_transitions_total Analysis jobs that came to a state.
# TYPE clarity_operator_analysisjob_transitions_total counter
clarity_operator_analysisjob_transitions_total{state="Cancelled"} 0
clarity_operator_analysisjob_transitions_total{state="Failed"} 0
clarity_operator_analysisjob_transitions_total{state="Pending"} 0
clarity_operator_analysisjob_transitions_total{state="Queued"} 0
clarity_operator_analysisjob_transitions_total{state="Running"} 1
clarity_operator_analysisjob_transitions_total{state="Succeeded"} 0
clarity_operator_analysisjob_transitions_total{state="Suspended"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), rollbacks.Name, jobTransitions.Name); err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil && h.GetSampleCount() > 0 {
				sums[f.GetName()] += h.GetSampleSum()
			}
		}
	}
	wantSums := map[string]float64{stageDuration.Name: 90, jobCreation.Name: 1, jobStart.Name: 7}
	if diff := cmp.Diff(wantSums, sums); diff != "" {
		t.Errorf("seconds (-want +got):\n%s", diff)
	}
}

// Whatever names and reasons come, there are no more series than the lists and MaxModels allow.
func TestSeriesAreBounded(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	transitions, err := NewTransitions(registry)
	if err != nil {
		t.Fatal(err)
	}
	var s shelf
	for i := range MaxModels + 300 {
		name := fmt.Sprintf("model-%04d", i)
		transitions.RolledBack(name, fmt.Sprintf("reason %d", i))
		transitions.Stage(name, v1alpha1.Stage(name), v1alpha1.Stage(name), time.Second)
		transitions.Verdict(name, v1alpha1.Verdict(name))
		transitions.State("", v1alpha1.State(name))
		s.versions = append(s.versions, version(name, "v1", v1alpha1.StageActive), version(name, "v2", v1alpha1.Stage(name)))
		s.plans = append(s.plans, plan(name, fmt.Sprintf(`{"model":%q,"revision":1,"salt":"s","entries":[{"version":"v1","weight":100,"endpoint":"e:1","digest":"d"}]}`, name)))
	}
	registry.MustRegister(s.collector())
	first := seriesOf(t, registry)
	for _, metric := range []Metric{versions, rollbacks, planEntries, planWeight, replicasLoaded} {
		if n := len(first[metric.Name]); n == 0 || n > 2*(MaxModels+1) {
			t.Errorf("%s has %d series", metric.Name, n)
		}
	}
	for _, metric := range []Metric{stageTransitions, stageDuration, gateVerdicts, jobTransitions, jobs} {
		if n := len(first[metric.Name]); n > 30 {
			t.Errorf("%s has %d series", metric.Name, n)
		}
	}
	slices.Reverse(s.versions)
	slices.Reverse(s.plans)
	again := prometheus.NewPedanticRegistry()
	again.MustRegister(s.collector())
	if diff := cmp.Diff(first[versions.Name], seriesOf(t, again)[versions.Name]); diff != "" {
		t.Errorf("another order of the cache gives other series:\n%s", diff)
	}
}

func seriesOf(t *testing.T, registry *prometheus.Registry) map[string][]string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string][]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			var words []string
			for _, k := range slices.Sorted(maps.Keys(labels)) {
				words = append(words, k+"="+labels[k])
			}
			series[f.GetName()] = append(series[f.GetName()], strings.Join(words, ","))
		}
	}
	return series
}

func BenchmarkStateOfTenThousandJobs(b *testing.B) {
	s := aWorld()
	s.jobs = make([]v1alpha1.AnalysisJob, 10_000)
	for i := range s.jobs {
		s.jobs[i] = job("j", v1alpha1.StateSucceeded, 1, 0, 1, 0)
		s.jobs[i].Status.Conditions = make([]metav1.Condition, 9)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.collector())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
