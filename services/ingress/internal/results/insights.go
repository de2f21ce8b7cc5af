package results

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A writtenInsight is an Insight and when it was written.
type writtenInsight struct {
	Date      string           `json:"date" format:"date" doc:"the window's last day"`
	WrittenAt reply.Time       `json:"writtenAt"`
	Insight   analysis.Insight `json:"insight"`
}

func viewInsight(r store.Record[record.Insight]) writtenInsight {
	in := r.Value.Insight
	in.Sentences, in.Facts, in.Disclaimers = slices.Clone(reply.OrEmpty(in.Sentences)), reply.OrEmpty(in.Facts), reply.OrEmpty(in.Disclaimers)
	for i := range in.Sentences {
		in.Sentences[i].Facts = reply.OrEmpty(in.Sentences[i].Facts)
	}
	return writtenInsight{Date: r.Key, WrittenAt: reply.Time(r.Value.WrittenAt), Insight: in}
}

func (r *Room) listInsights(ctx context.Context, in *reply.RangeInput) (*reply.PageOutput[writtenInsight], error) {
	return reply.ListRange(ctx, r.Insights, *in, nil, viewInsight)
}

type insightOutput struct{ Body writtenInsight }

func (r *Room) getInsight(ctx context.Context, in *reply.DateInput) (*insightOutput, error) {
	found, err := r.Insights.Get(ctx, reply.UID(ctx), in.Date)
	if err != nil {
		return nil, err
	}
	return &insightOutput{viewInsight(found)}, nil
}

const writeInsightDetail = `Takes the facts of the stored insight of the date and has them put into words anew. The reply is NDJSON: a line a
sentence, {"text", "facts"}, and a last line {"done": true, "writer", "fellBack"}. A text is checked as a whole before its
first line is sent: what was said cannot be taken back. Nothing is stored. Bounded a person and UTC day. A writer that is a language model needs consent to the purpose narrative.`

type insightRequest struct {
	Date string `json:"date" format:"date" doc:"last day of the window" example:"2026-11-20"`
}

type writeInsightInput struct{ Body insightRequest }

type lastLine struct {
	Done     bool   `json:"done"`
	Writer   string `json:"writer"`
	FellBack string `json:"fellBack,omitempty"`
}

func (r *Room) writeInsight(ctx context.Context, in *writeInsightInput) (*reply.BodyOutput, error) {
	uid := reply.UID(ctx)
	account, err := r.Accounts.Get(ctx, uid)
	switch {
	case err != nil:
		return nil, err
	case !account.Agreed(record.PurposeProcessing):
		return nil, analysis.ErrNoConsent
	case r.Words.NeedsConsent() && !account.Agreed(record.PurposeNarrative):
		return nil, reply.ConsentRequired(record.PurposeNarrative)
	}
	stored, err := r.Insights.Get(ctx, uid, in.Body.Date)
	if err != nil {
		return nil, err
	}
	if retry, err := r.OnDemand.Take(ctx, uid); err != nil {
		return nil, err
	} else if retry > 0 {
		return nil, problem.OverLimit(BudgetSpent, "today's insights on demand are used up", "insights", int64(r.InsightsPerDay)).
			With("Retry-After", fmt.Sprint(edge.Seconds(retry)))
	}
	words, err := r.Words.Write(ctx, grounded.Ask{UID: uid, Agreed: true, Facts: stored.Value.Insight.Facts})
	if err != nil {
		return nil, err
	}
	text, err := lines(words.Claims, lastLine{Done: true, Writer: words.Writer, FellBack: words.FellBack})
	if err != nil {
		return nil, err
	}
	return &reply.BodyOutput{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", reply.NDJSON)
		hc.SetStatus(200)
		_, _ = hc.BodyWriter().Write(text) // into the reply's buffer
	}}, nil
}

// lines are the sentences, a line each, and the last line.
func lines(claims []analysis.Claim, last lastLine) ([]byte, error) {
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	for _, c := range claims {
		c.Facts = reply.OrEmpty(c.Facts)
		if err := out.Encode(c); err != nil {
			return nil, fmt.Errorf("write an insight's sentence: %w", err)
		}
	}
	if err := out.Encode(last); err != nil {
		return nil, fmt.Errorf("write an insight's end: %w", err)
	}
	return text.Bytes(), nil
}
