package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
)

func TestExport(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Samples = func(context.Context, string, record.Day) ([]health.Sample, error) {
			return []health.Sample{{Type: "HKQuantityTypeIdentifierHeartRate", Value: 61, Unit: "/min", Metadata: `{"a":1}`}}, nil
		}
	})
	furnish(w)
	created := w.do("POST", "/v1/exports", anna, nil)
	var e exportView
	created.json(t, &e)
	if created.status != 201 || created.header.Get("Location") != "/v1/exports/"+e.ExportID || e.State != "ready" {
		t.Fatalf("%d %s", created.status, created.body)
	}
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicEvents, flow.Feed); depth.Waiting != 1 {
		t.Errorf("depth %+v: the devices are told", depth)
	}
	got := w.do("GET", e.Download, anna, nil)
	kinds := map[string]int{}
	lines := bytes.Split(bytes.TrimSpace(got.body), []byte("\n"))
	for _, line := range lines {
		var l exportLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kinds[l.Kind]++
		if l.Kind == "end" && l.Lines != len(lines)-1 {
			t.Errorf("the end counts %d lines of %d", l.Lines, len(lines)-1)
		}
	}
	want := map[string]int{"profile": 1, "consent": 1, "upload": 1, "cursor": 1, "day": 1, "sample": 1, "result": 1, "insight": 1, "end": 1}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if w.audit.count(audit.ExportCreated) != 1 || w.audit.count(audit.DataRead) != 1 {
		t.Error("the export and its download are audited")
	}
}

func TestInsightsOnDemand(t *testing.T) {
	var writer scripted
	w := newWorld(t, func(d *Deps) {
		d.Limits.InsightsPerDay, d.Writer = 3, &writer
		d.Grounded = func(_ []analysis.Fact, claims []analysis.Claim) error {
			if len(claims) > 0 && strings.Contains(claims[0].Text, "planted") {
				return errors.New("says more than the facts")
			}
			return nil
		}
	})
	furnish(w)
	ask := func() reply { return w.do("POST", "/v1/insights", anna, []byte(`{"date":"2026-11-20"}`), asJSON) }
	if r := ask(); r.status != 403 || !strings.Contains(string(r.body), "narrative") {
		t.Errorf("a model without consent: %d %s", r.status, r.body)
	}
	w.do("PUT", "/v1/consents/narrative", anna, []byte(`{"granted":true,"version":"1"}`), asJSON)
	for i, want := range []string{`"writer":"scripted"}`, `"fellBack":"ungrounded"}`, `"fellBack":"writer_failed"}`} {
		writer.mode = i
		r := ask()
		if r.status != 200 || !strings.HasSuffix(strings.TrimSpace(string(r.body)), want) || strings.Contains(string(r.body), "planted") {
			t.Errorf("%d %s, want …%s", r.status, r.body, want)
		}
	}
	over := ask()
	if over.status != 429 || over.code() != "budget_spent" || over.header.Get("Retry-After") == "" {
		t.Errorf("over the budget: %d %s", over.status, over.body)
	}
	w.clock.advance(24 * time.Hour)
	if r := ask(); r.status != 200 {
		t.Errorf("the next day: %d", r.status)
	}
}

type scripted struct{ mode int }

func (*scripted) Name() string { return "scripted" }

func (s *scripted) Write(_ context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	switch s.mode {
	case 0:
		return []analysis.Claim{{Text: "A sentence.", Facts: []string{facts[0].ID}}}, nil
	case 1:
		return []analysis.Claim{{Text: "A planted number: 42."}}, nil
	}
	return nil, errors.New("quota")
}
