package opmetrics

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// madeMetrics are what shipped code outside the operator makes with client_golang, in the
// places where it does: names and labels that are literals. A name that is a constant of
// another package is that package's and its name, "traffic.MetricRequests".
func madeMetrics(t *testing.T) (found []Metric) {
	t.Helper()
	for file, source := range shipped(t, "services", "cmd") {
		if !strings.Contains(source, "client_golang/prometheus") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is {
				if m, is := madeBy(call); is {
					found = append(found, m)
				}
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %d metrics are found in the code", len(found))
	}
	return found
}

// madeBy is the metric that a call makes.
func madeBy(call *ast.CallExpr) (m Metric, is bool) {
	maker := word(call.Fun)
	kind, is := strings.CutPrefix(maker, "prometheus.New")
	if !is || len(call.Args) == 0 {
		return m, false
	}
	if kind == "Desc" && len(call.Args) > 2 {
		return Metric{Name: word(call.Args[0]), Kind: "gauge", Help: word(call.Args[1]), Labels: wordsOf(call.Args[2])}, true
	}
	m.Kind = strings.ToLower(strings.TrimSuffix(kind, "Vec"))
	options, is := call.Args[0].(*ast.CompositeLit)
	if !is || m.Kind != "counter" && m.Kind != "gauge" && m.Kind != "histogram" {
		return m, false
	}
	for _, e := range options.Elts {
		pair, is := e.(*ast.KeyValueExpr)
		if !is {
			continue
		}
		switch word(pair.Key) {
		case "Name":
			m.Name = word(pair.Value)
		case "Help":
			m.Help = word(pair.Value)
		}
	}
	if len(call.Args) > 1 {
		m.Labels = wordsOf(call.Args[1])
	}
	return m, true
}

// word is a literal's text, or a name.
func word(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value) // what is none is found nowhere
		return text
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return word(e.X) + "." + e.Sel.Name
	}
	return ""
}

func wordsOf(e ast.Expr) (all []string) {
	if list, is := e.(*ast.CompositeLit); is {
		for _, e := range list.Elts {
			all = append(all, word(e))
		}
	}
	return all
}
