package results_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

func TestInsightsOnDemand(t *testing.T) {
	writer := scripted{end: make(chan struct{})}
	defer close(writer.end)
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.InsightsPerDay, d.Limits.HandlerTimeout, d.Writer = 5, 2*time.Second, &writer
	})
	ingresstest.Furnish(w)
	ask := func() ingresstest.Reply {
		return w.Do("POST", "/v1/insights", ingresstest.Anna, []byte(`{"date":"2026-11-20"}`), ingresstest.AsJSON())
	}
	if r := ask(); r.Status != 403 || !strings.Contains(string(r.Body), "narrative") {
		t.Errorf("a model without consent: %d %s", r.Status, r.Body)
	}
	w.Do("PUT", "/v1/consents/narrative", ingresstest.Anna, []byte(`{"granted":true,"version":"1"}`), ingresstest.AsJSON())
	for i, want := range []string{`"writer":"scripted"}`, `"fellBack":"ungrounded"}`, `"fellBack":"writer_failed"}`, `"fellBack":"writer_failed"}`, `"fellBack":"timeout"}`} {
		writer.mode.Store(int32(i))
		r := ask()
		if r.Status != 200 || !strings.HasSuffix(strings.TrimSpace(string(r.Body)), want) || strings.Contains(string(r.Body), "planted") {
			t.Errorf("%d %s, want …%s", r.Status, r.Body, want)
		}
	}
	over := ask()
	if over.Status != 429 || over.Code() != "budget_spent" || over.Header.Get("Retry-After") == "" {
		t.Errorf("over the budget: %d %s", over.Status, over.Body)
	}
	w.Clock.Advance(24 * time.Hour)
	writer.mode.Store(0)
	if r := ask(); r.Status != 200 {
		t.Errorf("the next day: %d", r.Status)
	}
}

type scripted struct {
	mode atomic.Int32 // a writer that was given up on may still be about to read it
	end  chan struct{}
}

func (*scripted) Name() string { return "scripted" }

func (s *scripted) Write(_ context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	switch s.mode.Load() {
	case 0:
		return []analysis.Claim{{Text: "You slept " + facts[0].Text + ".", Facts: []string{facts[0].ID}}}, nil
	case 1:
		return []analysis.Claim{{Text: "A planted number: 42."}}, nil
	case 3:
		panic("a planted panic: 42")
	case 4:
		<-s.end // deaf to its context
	}
	return nil, errors.New("quota")
}
