package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// An writtenInsight is an Insight and when it was written.
type writtenInsight struct {
	Date      string           `json:"date" format:"date" doc:"the window's last day"`
	WrittenAt time.Time        `json:"writtenAt"`
	Insight   analysis.Insight `json:"insight"`
}

func viewInsight(r store.Record[record.Insight]) writtenInsight {
	in := r.Value.Insight
	in.Sentences, in.Facts, in.Disclaimers = slices.Clone(list0(in.Sentences)), list0(in.Facts), list0(in.Disclaimers)
	for i := range in.Sentences {
		in.Sentences[i].Facts = list0(in.Sentences[i].Facts)
	}
	return writtenInsight{Date: r.Key, WrittenAt: r.Value.WrittenAt.UTC(), Insight: in}
}

func (s *Server) listInsights(ctx context.Context, in *rangeInput) (*pageOutput[writtenInsight], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return list(ctx, s.Store.Insights, in.page(), q, viewInsight)
}

type insightOutput struct{ Body writtenInsight }

func (s *Server) getInsight(ctx context.Context, in *dateInput) (*insightOutput, error) {
	r, err := s.Store.Insights.Get(ctx, uidOf(ctx), in.Date)
	if err != nil {
		return nil, err
	}
	return &insightOutput{viewInsight(r)}, nil
}

const writeInsightDetail = `Takes the facts of the stored insight of the date and has them put into words anew. The reply is NDJSON: a line a
sentence, {"text", "facts"}, and a last line {"done": true, "writer", "fellBack"}. A text is checked as a whole before its
first line is sent: what was said cannot be taken back. Nothing is stored. Bounded a person and UTC day (in memory of the
process: a restart forgets what was spent). A writer that is a language model needs consent to the purpose narrative.`

type insightRequest struct {
	Date string `json:"date" format:"date" doc:"last day of the window" example:"2026-11-20"`
}

type writeInsightInput struct{ Body insightRequest }

type bodyOutput struct {
	Body func(huma.Context)
}

type lastLine struct {
	Done     bool   `json:"done"`
	Writer   string `json:"writer"`
	FellBack string `json:"fellBack,omitempty"`
}

func (s *Server) writeInsight(ctx context.Context, in *writeInsightInput) (*bodyOutput, error) {
	uid := uidOf(ctx)
	who, err := s.people.get(ctx, uid)
	switch {
	case err != nil:
		return nil, err
	case !who.processing:
		return nil, analysis.ErrNoConsent
	case s.Writer.Name() != s.Template.Name() && !who.narrative:
		return nil, consentRequired(record.PurposeNarrative)
	}
	stored, err := s.Store.Insights.Get(ctx, uid, in.Body.Date)
	if err != nil {
		return nil, err
	}
	if retry, ok := s.insights.spend(uid); !ok {
		return nil, problem.OverLimit(problem.BudgetSpent, "today's insights on demand are used up", "insights", int64(s.Limits.InsightsPerDay)).
			With("Retry-After", fmt.Sprint(seconds(retry)))
	}
	claims, last, err := s.put(ctx, stored.Value.Insight.Facts)
	if err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	out.SetEscapeHTML(false)
	for _, c := range claims {
		c.Facts = list0(c.Facts)
		if err := out.Encode(c); err != nil {
			return nil, fmt.Errorf("write an insight's sentence: %w", err)
		}
	}
	if err := out.Encode(last); err != nil {
		return nil, fmt.Errorf("write an insight's end: %w", err)
	}
	return &bodyOutput{func(hc huma.Context) {
		hc.SetHeader("Content-Type", ndjson)
		hc.SetStatus(200)
		_, _ = hc.BodyWriter().Write(lines.Bytes()) // into the reply's buffer
	}}, nil
}

const ndjson = "application/x-ndjson"

// put has the facts put into words: by the Writer, or by the Template where
// the Writer fails, stalls or says more than the facts.
func (s *Server) put(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, lastLine, error) {
	patience, cancel := context.WithTimeout(ctx, s.Limits.HandlerTimeout/2)
	defer cancel()
	claims, why := s.attempt(patience, s.Writer, facts)
	if why == "" {
		return claims, lastLine{Done: true, Writer: s.Writer.Name()}, nil
	}
	claims, templateWhy := s.attempt(ctx, s.Template, facts)
	if templateWhy != "" {
		return nil, lastLine{}, fmt.Errorf("put facts into words: the template failed: %s", templateWhy)
	}
	return claims, lastLine{Done: true, Writer: s.Template.Name(), FellBack: why}, nil
}

func (s *Server) attempt(ctx context.Context, w narrative.Writer, facts []analysis.Fact) (claims []analysis.Claim, why string) {
	claims, err := w.Write(ctx, facts)
	switch {
	case ctx.Err() != nil:
		return nil, "timeout"
	case err != nil:
		return nil, "writer_failed"
	case s.Grounded(facts, claims) != nil:
		return nil, "ungrounded"
	}
	return claims, ""
}

// A budget counts what a person may do a UTC day.
type budget struct {
	most int
	now  func() time.Time

	mu    sync.Mutex
	day   int64
	spent map[string]int
}

func newBudget(most int, now func() time.Time) *budget {
	return &budget{most: most, now: now, spent: map[string]int{}}
}

// spend takes one of the person's; where none is left it tells how long to wait.
func (b *budget) spend(uid string) (retry time.Duration, ok bool) {
	now := b.now().UTC()
	b.mu.Lock()
	defer b.mu.Unlock()
	if day := now.Unix() / 86400; day != b.day {
		b.day = day
		clear(b.spent)
	}
	if b.spent[uid] >= b.most {
		return time.Unix((b.day+1)*86400, 0).Sub(now), false
	}
	b.spent[uid]++
	return 0, true
}
