package charts_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/controllers/modelversion"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/operator"
)

// What the operator's configuration knows can be said in values, under the
// same name, but for what the chart decides; and nothing else can.
func TestTheSchemaKnowsTheOperatorsConfiguration(t *testing.T) {
	root, _ := chartValues(t)
	shared := []string{"namespace", "image", "serviceAccount", "configMap"} // .worker, and the release
	models := root.Properties["modelVersions"]
	for name, tt := range map[string]struct {
		of      any
		schema  schema
		decided []string
	}{
		"analysisJobs":              {analysisjob.Config{}, root.Properties["analysisJobs"], shared},
		"modelVersions":             {modelversion.Config{}, models, shared},
		"modelVersions.network":     {serving.Network{}, models.Properties["network"], nil},
		"modelVersions.prometheus":  {gate.Config{}, models.Properties["prometheus"], nil},
		"a serving class":           {serving.Class{}, root.Defs["servingClass"], nil},
		"a serving class's sharing": {serving.Sharing{}, root.Defs["servingClass"].Properties["sharing"], nil},
		"a feed":                    {modelversion.Feed{}, root.Defs["feed"], nil},
		"manager.concurrency":       {operator.Concurrency{}, root.Properties["manager"].Properties["concurrency"], nil},
		"manager.leaderElection":    {operator.LeaderElection{}, root.Properties["manager"].Properties["leaderElection"], []string{"enabled"}},
		"the whole": {operator.Config{}, schema{Properties: map[string]schema{"analysisJobs": {}, "modelVersions": {}}},
			[]string{"namespace", "worker", "metrics", "health", "pprof", "leaderElection", "concurrency", "logLevel"}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			of := reflect.TypeOf(tt.of)
			for i := range of.NumField() {
				field, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
				if !slices.Contains(tt.decided, field) {
					want = append(want, field)
				}
			}
			var got []string
			for field := range tt.schema.Properties {
				got = append(got, field)
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields (-configuration +schema):\n%s", diff)
			}
		})
	}
}

// Every alert of config/alerts is rendered, word for word, for both kinds of Prometheus.
func TestTheAlertsAreRenderedAsTheyAre(t *testing.T) {
	files, err := filepath.Glob("../config/alerts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no alerts: %v", err)
	}
	for flavour, kind := range map[string]string{"google": "Rules", "prometheus-operator": "PrometheusRule"} {
		objects := render(t, "--set=monitoring.rules="+flavour)
		var rendered int
		for _, o := range objects {
			if o.GetKind() == kind {
				rendered++
			}
		}
		if rendered != len(files) {
			t.Errorf("%s: %d of %d files are rendered", kind, rendered, len(files))
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := yaml.Unmarshal(content, &want); err != nil {
				t.Fatal(err)
			}
			o := find(t, objects, kind, "clarity-"+strings.TrimSuffix(filepath.Base(file), ".yaml"))
			groups, _, err := unstructured.NestedSlice(o.Object, "spec", "groups")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want["groups"], any(groups)); diff != "" {
				t.Errorf("%s (-config +chart):\n%s", file, diff)
			}
		}
	}
}

// Every dashboard of config/dashboards is served as it is, to who asks for that kind.
func TestTheDashboardsAreRenderedAsTheyAre(t *testing.T) {
	for kind, tt := range map[string]struct {
		set, folder, prefix string
		of                  func(o unstructured.Unstructured, name string) any
	}{
		"ConfigMap": {"monitoring.dashboards.grafana.enabled=true", "grafana", "clarity-dashboard-", func(o unstructured.Unstructured, name string) any {
			if o.GetLabels()["grafana_dashboard"] != "1" {
				t.Errorf("%s has not the label that Grafana looks for", o.GetName())
			}
			var content map[string]any
			if err := yaml.Unmarshal([]byte(text(t, o, "data", "clarity-"+name+".json")), &content); err != nil {
				t.Error(err)
			}
			return content
		}},
		"MonitoringDashboard": {"monitoring.dashboards.google=true", "google", "clarity-", func(o unstructured.Unstructured, _ string) any {
			spec := o.Object["spec"].(map[string]any)
			if project := spec["projectRef"]; !reflect.DeepEqual(project, map[string]any{"external": "proj-1"}) {
				t.Errorf("%s is for %v", o.GetName(), project)
			}
			delete(spec, "projectRef")
			return spec
		}},
	} {
		files, err := filepath.Glob("../config/dashboards/" + tt.folder + "/*.json")
		if err != nil || len(files) < 2 {
			t.Fatalf("%d dashboards of %s: %v", len(files), tt.folder, err)
		}
		if n := len(ofKind(t, render(t, "--set=google.projectId=proj-1,google.location=europe-west3"), "MonitoringDashboard")); n != 0 {
			t.Errorf("nobody asked for %d dashboards", n)
		}
		objects := render(t, "--set=google.projectId=proj-1,google.location=europe-west3,"+tt.set)
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := yaml.Unmarshal(content, &want); err != nil {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			got := sameNumbers(t, tt.of(find(t, objects, kind, tt.prefix+name), name))
			if diff := cmp.Diff(sameNumbers(t, want), got); diff != "" {
				t.Errorf("%s (-config +chart):\n%s", file, diff)
			}
		}
	}
}

// sameNumbers has every number be of one kind.
func sameNumbers(t *testing.T, v any) (same any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &same)
	}
	if err != nil {
		t.Fatal(err)
	}
	return same
}
