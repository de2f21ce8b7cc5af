package insights

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// same says whether the Insight says what the Result and its facts would have it
// say. What else the Result rests on is nothing to say again.
func same(in analysis.Insight, r analysis.Result, facts []analysis.Fact) bool {
	return in.Window == r.Window && slices.Equal(in.Facts, facts) && slices.Equal(in.Disclaimers, disclaimers(r.Input))
}

// write is the Insight of a Result: the Writer's words, or the template's.
func (s *Stage) write(ctx context.Context, uid string, agreed bool, r analysis.Result, facts []analysis.Fact) (analysis.Insight, error) {
	words, err := s.Words.Write(ctx, grounded.Ask{UID: uid, Agreed: agreed, Facts: facts})
	if err != nil {
		return analysis.Insight{}, err
	}
	return analysis.Insight{
		Window: r.Window, Facts: facts, Grounded: true, InputDigest: r.Lineage.InputDigest, Disclaimers: disclaimers(r.Input),
		Sentences: words.Claims, Writer: words.Writer, FellBack: words.FellBack,
	}, nil
}

// written tells of the Insight, and records it in the audit log: where that is away the
// message is handled again, unless another delivery of it comes to its end before.
func (s *Stage) written(ctx context.Context, ready analysis.Request, in analysis.Insight, recordVersion int64, tell func(flow.Event)) error {
	date := ready.End.String()
	version, err := versionOf(in)
	if err != nil {
		return err
	}
	tell(flow.Event{Kind: flow.InsightReady, Ref: date, Version: version, Change: recordVersion})
	if err := s.Audit.Append(ctx, audit.Event{Action: audit.InsightStored, UID: ready.UID, Own: date, Outcome: "ok"}); err != nil {
		return fmt.Errorf("audit insight: %w", err)
	}
	return nil
}

// wording is the version of the record with which its text was written: a text that is of
// another Result by now is told as it was.
func wording(r store.Record[record.Insight]) int64 { return cmp.Or(r.Value.Written, r.Version) }

// publish tells the person's devices.
func (s *Stage) publish(ctx context.Context, uid string, news []flow.Event) error {
	if len(news) == 0 {
		return nil
	}
	m, err := queue.JSON(flow.TopicEvents, uid, flow.Told{Event: flow.Event{UID: uid}, Events: news})
	if err != nil {
		return err
	}
	if err := s.Queue.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish insights: %w", err)
	}
	return nil
}

// versionOf tells one text from the next: half a SHA-256 over the Insight.
func versionOf(in analysis.Insight) (string, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("encode insight: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}

// disclaimers say what the text rests on and what it is not.
func disclaimers(in analysis.Input) []string {
	said := []string{"This describes what your devices recorded. It is not medical advice."}
	switch {
	case in.Proxy && in.Kind == actigraphy.Steps:
		said = append(said, "Rhythm and activity are estimated from steps, not from an accelerometer.")
	case in.Proxy:
		said = append(said, "Rhythm and activity are estimated from active energy, not from an accelerometer.")
	}
	if in.SleepSource == "counts" {
		said = append(said, "Sleep is estimated from movement, not from recorded sleep stages.")
	}
	return said
}
