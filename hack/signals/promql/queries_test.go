package promql

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// A query stands somewhere, and may call its series by their labels.
type query struct{ where, expr, legend string }

// Each query of alerts, dashboards and autoscalers is PromQL, and names metrics and labels
// that a program tells.
func TestEveryQueryNamesWhatIsTold(t *testing.T) {
	known := documented(t)
	all := slices.Concat(alerts(t, known), dashboards(t), autoscalers(t))
	for _, q := range all {
		for _, fault := range faults(known, q) {
			t.Errorf("%s: %s\n\t%s", q.where, fault, q.expr)
		}
	}
	if len(all) < 150 {
		t.Errorf("only %d queries are found", len(all))
	}
}

// What is wrong is found, and what is right is not.
func TestWrongQueriesAreFound(t *testing.T) {
	known := documented(t)
	for expr, want := range map[string]string{
		`sum by (route) (rate(clarity_http_requests_total{class="5xx"}[5m]))`:                   "",
		`histogram_quantile(0.99, sum by (le) (rate(clarity_http_request_seconds_bucket[5m])))`: "",
		`max (clarity_queue_age_seconds{namespace="clarity", topic="uploads"})`:                 "",
		`sum (rate(clarity_http_request_total[5m]))`:                                            "nobody tells clarity_http_request_total",
		`sum (rate(clarity_http_requests_total{status="500"}[5m]))`:                             "clarity_http_requests_total has no label status",
		`sum by (uid) (clarity_http_requests_total)`:                                            "grouped by uid, which none of its metrics has",
		`rate(clarity_http_request_seconds[5m])`:                                                "clarity_http_request_seconds is a histogram: ask for its _bucket, _count or _sum",
		`sum (clarity_queue_age_seconds{le="1"})`:                                               "clarity_queue_age_seconds has no label le",
		`sum (rate(clarity_http_requests_total[5m])`:                                            "unclosed left parenthesis",
		`sum (clarity_streams_open) / on (tenant) sum (clarity_streams_open)`:                   "matched on tenant, which none of its metrics has",
		`clarity:http_errors:ratio_rate5m`:                                                      "nobody tells clarity:http_errors:ratio_rate5m",
	} {
		got := strings.Join(faults(known, query{"here", expr, ""}), "; ")
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	if got := faults(known, query{"here", `sum by (route) (clarity_http_requests_total)`, "{{method}}"}); len(got) != 1 {
		t.Errorf("a legend of a label that is summed away: %v", got)
	}
}

// faults are what is wrong with a query.
func faults(known catalog, q query) (found []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			if fault := known.fault(n.Name, matched(n.LabelMatchers)); fault != "" {
				found = append(found, fault)
			}
		case *parser.AggregateExpr:
			if !n.Without {
				found = append(found, strangers(known, n.Expr, n.Grouping, "grouped by")...)
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				found = append(found, strangers(known, n, n.VectorMatching.MatchingLabels, "matched on")...)
			}
		}
		return nil
	})
	left := leftOf(known, expr)
	for _, m := range legendLabel.FindAllStringSubmatch(q.legend, -1) {
		if left != nil && !slices.Contains(left, m[1]) {
			found = append(found, "its series are called by "+m[1]+", which they do not have")
		}
	}
	return found
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}|\$\{metric\.labels\.(\w+)\}`)

func matched(all []*labels.Matcher) (names []string) {
	for _, m := range all {
		if m.Name != labels.MetricName {
			names = append(names, m.Name)
		}
	}
	return names
}

// strangers are labels that none of the metrics below has.
func strangers(known catalog, below parser.Node, names []string, how string) (found []string) {
	var there []string
	parser.Inspect(below, func(n parser.Node, _ []parser.Node) error {
		if v, is := n.(*parser.VectorSelector); is {
			there = append(there, known.labelsOf(v.Name)...)
		}
		return nil
	})
	for _, name := range names {
		if !slices.Contains(there, name) {
			found = append(found, how+" "+name+", which none of its metrics has")
		}
	}
	return found
}

// leftOf are the labels that a query's series have, nil where that is not plain.
func leftOf(known catalog, expr parser.Expr) []string {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return leftOf(known, e.Expr)
	case *parser.AggregateExpr:
		if e.Op == parser.TOPK {
			return leftOf(known, e.Expr)
		}
		return append([]string{}, e.Grouping...)
	case *parser.BinaryExpr:
		if l := leftOf(known, e.LHS); len(l) > 0 {
			return l
		}
		return leftOf(known, e.RHS)
	case *parser.Call:
		if n := len(e.Args); n > 0 {
			return leftOf(known, e.Args[n-1])
		}
	}
	return nil
}

// alerts are the rules of config/alerts; what they record is known from then on.
func alerts(t *testing.T, known catalog) (all []query) {
	t.Helper()
	for _, path := range glob(t, "config/alerts/*.yaml") {
		var file struct {
			Groups []struct {
				Rules []struct {
					Alert, Record, Expr string
					Annotations         map[string]string
				}
			}
		}
		parse(t, path, &file)
		for _, g := range file.Groups {
			for _, r := range g.Rules {
				all = append(all, query{path + " " + r.Alert + r.Record, r.Expr, ""})
				if r.Record != "" {
					expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
					if err != nil {
						t.Fatal(err)
					}
					known[r.Record] = metric{kind: "gauge", labels: leftOf(known, expr)}
				}
			}
		}
	}
	return all
}

// dashboards are the queries of both kinds of dashboards, with their legends.
func dashboards(t *testing.T) (all []query) {
	t.Helper()
	for _, path := range glob(t, "config/dashboards/*/*.json") {
		var file any
		parse(t, path, &file)
		before := len(all)
		walk(file, func(o map[string]any) {
			if expr, is := o["expr"].(string); is {
				legend, _ := o["legendFormat"].(string)
				all = append(all, query{path, expr, legend})
			}
			if of, is := o["timeSeriesQuery"].(map[string]any); is {
				legend, _ := o["legendTemplate"].(string)
				all = append(all, query{path, of["prometheusQuery"].(string), strings.NewReplacer("${metric.labels.", "{{", "}", "}}").Replace(legend)})
			}
		})
		if len(all)-before < 20 {
			t.Errorf("%s has only %d queries", path, len(all)-before)
		}
	}
	return all
}

func walk(v any, see func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		see(v)
		for _, member := range v {
			walk(member, see)
		}
	case []any:
		for _, member := range v {
			walk(member, see)
		}
	}
}

// autoscalers are what the chart scales by: KEDA's query, and Google's metric with its labels.
func autoscalers(t *testing.T) (all []query) {
	t.Helper()
	helm, err := exec.CommandContext(t.Context(), filepath.Join(root, "hack/tools/tool"), "helm").Output()
	if err != nil {
		t.Fatalf("find helm: %v", err)
	}
	for _, by := range []string{"keda", "google"} {
		chart := filepath.Join(root, "charts/clarity")
		rendered, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(helm)), "template", "clarity", chart, "--namespace=clarity", //nolint:gosec // our own
			"--values="+filepath.Join(chart, "ci/full-values.yaml"), "--set=autoscaling.queueAge="+by+",dataPlane.insights.replicas.max=9").Output()
		if err != nil {
			t.Fatalf("render the chart: %v", err)
		}
		before := len(all)
		for _, text := range strings.Split(string(rendered), "\n---") {
			var o any
			if err := yaml.Unmarshal([]byte(text), &o); err != nil {
				t.Fatal(err)
			}
			walk(o, func(m map[string]any) {
				if expr, is := m["query"].(string); is {
					all = append(all, query{"the chart's " + by, expr, ""})
				}
				if name, is := m["name"].(string); is && strings.HasPrefix(name, "prometheus.googleapis.com|") {
					all = append(all, query{"the chart's " + by, selector(t, name, m["selector"]), ""})
				}
			})
		}
		if len(all)-before < 2 {
			t.Errorf("by %s the chart scales by %d queries", by, len(all)-before)
		}
	}
	return all
}

// selector is PromQL for a metric of Cloud Monitoring, prometheus.googleapis.com|NAME|KIND.
func selector(t *testing.T, name string, of any) string {
	t.Helper()
	parts := strings.Split(name, "|")
	if len(parts) != 3 || documented(t)[parts[1]].kind != parts[2] {
		t.Errorf("%s is not a metric and its kind", name)
	}
	matchers, _ := of.(map[string]any)["matchLabels"].(map[string]any)
	var pairs []string
	for label, value := range matchers {
		label = strings.TrimPrefix(strings.TrimPrefix(label, "resource.labels."), "metric.labels.")
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, label+"="+string(text))
	}
	return parts[1] + "{" + strings.Join(pairs, ",") + "}"
}

func glob(t *testing.T, pattern string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file is %s: %v", pattern, err)
	}
	for _, p := range paths {
		name, err := filepath.Rel(root, p)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func parse(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
}
