package opmetrics

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers the metrics of reconciles
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var update = flag.Bool("update", false, "write docs/operations/metrics.md anew")

const (
	root        = "../../.."
	metricsPage = root + "/docs/operations/metrics.md"
)

// catalog is every metric of this package, in the order of the documentation.
func catalog() []Metric { return append(transitionMetrics(), stateMetrics()...) }

// The page is generated: go test ./controllers/internal/opmetrics -run MetricsPage -update.
func TestMetricsPageIsTheCode(t *testing.T) {
	want := metricsMarkdown(t)
	if *update {
		if err := os.WriteFile(metricsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/operations/metrics.md is not the code; run: go test ./controllers/internal/opmetrics -run MetricsPage -update\n%s", diff)
	}
}

func metricsMarkdown(t *testing.T) string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Generated: go test ./controllers/internal/opmetrics -run MetricsPage -update -->

What can be asked of Prometheus, by who tells it. Alerts are in ` + "`config/alerts`" + `, with a page each in [playbooks](playbooks);
dashboards in ` + "`config/dashboards`" + `, for Grafana and for Cloud Monitoring. The chart serves them: ` + "`monitoring.rules`, `monitoring.dashboards`" + `.
No label holds a person, a token or a health value. Values of labels are from written lists; only ` + "`model`" + ` and
` + "`version`" + ` are names that people give, and there are at most ` + strconv.Itoa(MaxModels) + ` models of them: the rest is "other".

## The operator

Counters and histograms are told of transitions and begin anew with each start of the operator. Gauges are counted from
the objects when they are scraped; every replica tells them, the leader and those that wait, so aggregate with max, not sum.

| metric | kind | labels | |
|---|---|---|---|
`)
	for _, m := range catalog() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	b.WriteString(`
| label | values |
|---|---|
`)
	for _, l := range []struct {
		name   string
		values []string
	}{
		{"stage", stages()}, {"verdict", verdicts()}, {"source", sources()}, {"state of a job", states()}, {"state of a shard", shardStates()},
		{"reason of a version", versionReasons()}, {"reason of a job", jobReasons()},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", l.name, strings.Join(l.values, ", "))
	}
	b.WriteString(`
## The operator's controllers, by controller-runtime

` + "`controller` (and `name`)" + ` is ` + "`modelversion`, whose reconciles are of a model with all its versions, or `analysisjob`" + `.
How long a reconcile takes is ` + "`controller_runtime_reconcile_time_seconds`, how long it waited `workqueue_queue_duration_seconds`" + `.
Beside these there are client_golang's ` + "`go_…` and `process_…`" + `.

| metric | labels | |
|---|---|---|
`)
	for _, d := range libraryMetrics(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", d.Name, strings.Join(d.Labels, ", "), strings.TrimSuffix(d.Help, "."))
	}
	b.WriteString(`
## Models, by the workers that call them

Gates ask for these by name (see [ADR 13](../adr/0013-gates.md)).

| metric | kind | labels | |
|---|---|---|---|
`)
	for _, m := range modelMetrics(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	b.WriteString(`
## The platform

| metric | kind | labels | |
|---|---|---|---|
`)
	for _, m := range platformMetrics(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}

var descOf = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{[^}]*\}, variableLabels: \{([^}]*)\}\}$`)

// libraryMetrics are controller-runtime's, as its registry describes them.
func libraryMetrics(t *testing.T) []Metric {
	t.Helper()
	registry, ok := metrics.Registry.(prometheus.Collector)
	if !ok {
		t.Fatal("controller-runtime's registry describes nothing")
	}
	descs := make(chan *prometheus.Desc)
	go func() { registry.Describe(descs); close(descs) }()
	var found []Metric
	for d := range descs {
		m := descOf.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		if strings.HasPrefix(m[1], "go_") || strings.HasPrefix(m[1], "process_") {
			continue
		}
		help, err := strconv.Unquote(m[2])
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, Metric{Name: m[1], Help: help, Labels: strings.Split(m[3], ",")})
	}
	slices.SortFunc(found, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// modelMetrics are the constants Metric… of api/traffic with their comments, as the
// workers make them.
func modelMetrics(t *testing.T) []Metric {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), root+"/api/traffic/metrics.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var found []Metric
	made := madeMetrics(t)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Metric") {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is no literal", spec.Names[0].Name)
		}
		name, err := strconv.Unquote(value.Value)
		if err != nil {
			t.Fatal(err)
		}
		help := strings.Join(strings.Fields(strings.TrimPrefix(spec.Doc.Text(), spec.Names[0].Name+" ")), " ")
		if help == "" {
			t.Errorf("%s has no comment", spec.Names[0].Name)
		}
		i := slices.IndexFunc(made, func(m Metric) bool { return m.Name == "traffic."+spec.Names[0].Name })
		if i < 0 {
			t.Fatalf("nobody makes %s", spec.Names[0].Name)
		}
		found = append(found, Metric{Name: name, Kind: made[i].Kind, Labels: made[i].Labels, Help: strings.ToUpper(help[:1]) + help[1:]})
		return true
	})
	return found
}

var literal = regexp.MustCompile(`"(clarity_[a-z0-9_]+)"`)

// platformMetrics are those that shipped code outside the operator makes. A
// name of a metric that is made in a way this cannot read fails the test.
func platformMetrics(t *testing.T) []Metric {
	t.Helper()
	known := map[string]bool{}
	for _, m := range modelMetrics(t) {
		known[m.Name] = true
	}
	var found []Metric
	for _, m := range madeMetrics(t) {
		if strings.HasPrefix(m.Name, "clarity_") && !known[m.Name] {
			known[m.Name] = true
			found = append(found, m)
		}
	}
	for file, source := range shipped(t, "services", "cmd") {
		for _, m := range literal.FindAllStringSubmatch(source, -1) {
			if !known[m[1]] && strings.Contains(source, "client_golang/prometheus") {
				t.Errorf("%s: %s is a metric without a Help beside it, or none: say so here", file, m[1])
			}
		}
	}
	slices.SortFunc(found, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// shipped is every Go file below the folders that is no test.
func shipped(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			files[path] = string(source)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A reason that the API has and these lists have not would be told as "Other".
func TestEveryReasonOfTheAPIIsInItsList(t *testing.T) {
	reason := regexp.MustCompile(`(?m)^\s+Reason\w+\s*=\s*"(\w+)"`)
	for file, list := range map[string][]string{
		"modelversion_status.go": versionReasons(),
		"analysisjob_types.go":   jobReasons(),
	} {
		source, err := os.ReadFile(filepath.Join(root, "api/v1alpha1", file))
		if err != nil {
			t.Fatal(err)
		}
		found := reason.FindAllStringSubmatch(string(source), -1)
		if len(found) == 0 {
			t.Errorf("%s has no reasons", file)
		}
		for _, m := range found {
			if !slices.Contains(list, m[1]) {
				t.Errorf("%s: reason %s is in no list", file, m[1])
			}
		}
	}
}
