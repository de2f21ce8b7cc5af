package insights

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
)

// Why the template wrote in place of the Writer: what Insight.FellBack says.
const (
	NoConsent  = "no_consent"    // the person has not agreed to a language model
	Timeout    = "timeout"       // the Writer took longer than it may
	Failed     = "writer_failed" // the Writer returned an error, or panicked
	Ungrounded = "ungrounded"    // the text said more than its facts
)

// errTemplate means a fault of ours: the template is deterministic and says
// nothing but facts.
var errTemplate = errors.New("the template's text is not grounded")

// same says whether the Insight is what the Result and its facts would give.
func same(in analysis.Insight, r analysis.Result, facts []analysis.Fact) bool {
	return in.InputDigest == r.Lineage.InputDigest && slices.Equal(in.Facts, facts) &&
		slices.Equal(in.Disclaimers, disclaimers(r.Input))
}

// write is the Insight of a Result: the Writer's words, or the template's.
func (s *Stage) write(ctx context.Context, uid string, r analysis.Result, facts []analysis.Fact) (analysis.Insight, error) {
	in := analysis.Insight{
		Window: r.Window, Facts: facts, Grounded: true,
		InputDigest: r.Lineage.InputDigest, Disclaimers: disclaimers(r.Input),
	}
	if s.Writer.Name() != s.Template.Name() {
		granted, err := s.Store.Consented(ctx, uid, record.PurposeNarrative)
		if err != nil {
			return in, err
		}
		if in.FellBack = NoConsent; granted {
			in.Sentences, in.FellBack = s.attempt(ctx, facts)
		}
		if in.FellBack == "" {
			in.Writer = s.Writer.Name()
			return in, nil
		}
		if err := ctx.Err(); err != nil { // the process stops: the Writer was not to blame
			return in, err
		}
	}
	claims, err := s.Template.Write(ctx, facts)
	if err == nil {
		err = narrative.Check(facts, claims)
	}
	if ctx.Err() != nil {
		return in, ctx.Err()
	}
	if err != nil {
		return in, fmt.Errorf("%w: %w", errTemplate, err)
	}
	in.Sentences, in.Writer = claims, s.Template.Name()
	return in, nil
}

// attempt has the Writer put the facts into words, and says why not where the
// text cannot be used. It does not wait longer than Patience, whatever the
// Writer does.
func (s *Stage) attempt(ctx context.Context, facts []analysis.Fact) (claims []analysis.Claim, why string) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	type outcome struct {
		claims []analysis.Claim
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if recover() != nil { // what it says may hold facts: it is not told
				done <- outcome{err: errors.New("the writer panicked")}
			}
		}()
		claims, err := s.Writer.Write(ctx, slices.Clone(facts))
		done <- outcome{claims, err}
	}()
	select {
	case <-ctx.Done():
		return nil, Timeout
	case o := <-done:
		switch {
		case ctx.Err() != nil:
			return nil, Timeout
		case o.err != nil:
			return nil, Failed
		case narrative.Check(facts, o.claims) != nil:
			return nil, Ungrounded
		}
		return o.claims, ""
	}
}

// announce records the Insight in the audit log and tells the person's devices.
func (s *Stage) announce(ctx context.Context, ready flow.ResultReady, in analysis.Insight) error {
	date := ready.End.String()
	if _, err := s.Audit.Append(ctx, audit.Event{Action: audit.InsightStored, UID: ready.UID, Object: date, Outcome: "ok"}); err != nil {
		return fmt.Errorf("audit insight: %w", err)
	}
	version, err := versionOf(in)
	if err != nil {
		return err
	}
	m, err := queue.JSON(flow.TopicEvents, ready.UID,
		flow.Event{UID: ready.UID, Kind: flow.InsightReady, Ref: date, Version: version})
	if err != nil {
		return err
	}
	if err := s.Queue.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish insight: %w", err)
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
