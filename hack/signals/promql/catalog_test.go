package promql

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../../.."

// A metric is a row of the page of metrics.
type metric struct {
	kind   string
	labels []string
}

// A catalog is what can be asked for, by name.
type catalog map[string]metric

// documented are the metrics of docs/operations/metrics.md, and what is recorded of them.
func documented(t *testing.T) catalog {
	t.Helper()
	c := catalog{}
	for _, line := range strings.Split(read(t, "docs/operations/metrics.md"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		m := metric{kind: strings.TrimSpace(cells[2])}
		labels := cells[3]
		if len(cells) == 5 { // of a library: name, labels, help
			m.kind, labels = "", cells[2]
		}
		for _, l := range strings.Split(labels, ",") {
			if l = strings.TrimSpace(l); l != "" {
				m.labels = append(m.labels, l)
			}
		}
		c[name] = m
	}
	if len(c) < 50 {
		t.Fatalf("only %d metrics are documented", len(c))
	}
	return c
}

// everywhere are the labels that whoever reads a program's metrics gives them.
var everywhere = []string{"namespace", "pod", "instance", "job", "cluster", "location", "project_id"}

// fault says what is wrong with a selector of a metric that has matchers of these labels, ""
// where nothing is.
func (c catalog) fault(name string, labels []string) string {
	base, part := name, ""
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if cut, is := strings.CutSuffix(name, suffix); is {
			if m, there := c[cut]; there && (m.kind == "histogram" || m.kind == "") {
				base, part = cut, suffix
			}
		}
	}
	m, there := c[base]
	if !there {
		return "nobody tells " + name
	}
	if m.kind == "histogram" && part == "" {
		return name + " is a histogram: ask for its _bucket, _count or _sum"
	}
	for _, l := range labels {
		if !c.has(m, part, l) {
			return name + " has no label " + l
		}
	}
	return ""
}

func (c catalog) has(m metric, part, label string) bool {
	return slices.Contains(m.labels, label) || slices.Contains(everywhere, label) || label == "le" && part == "_bucket"
}

// labelsOf are those of a metric that stands in a query.
func (c catalog) labelsOf(name string) []string {
	for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
		if base, is := strings.CutSuffix(name, suffix); is {
			if m, there := c[base]; there {
				labels := append(slices.Clone(m.labels), everywhere...)
				if suffix == "_bucket" {
					labels = append(labels, "le")
				}
				return labels
			}
		}
	}
	return nil
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
