// Package grounded is the product's promise about words: what a writer says is
// told only if every word of it keeps to the facts, and else the template's
// words are. It is one place, for the stage that writes each night and for
// whoever asks for a text now.
package grounded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// Why the template wrote in place of the writer: what Text.FellBack says.
const (
	NoConsent  = "no_consent"    // the person has not agreed to a language model
	Spent      = "budget_spent"  // as many texts as a person may have of the day were asked for
	Timeout    = "timeout"       // the writer took longer than it may
	Failed     = "writer_failed" // the writer returned an error, or panicked
	Ungrounded = "ungrounded"    // the text said more than its facts
)

// ErrTemplate says that the template's own text does not keep to its facts: a
// fault of ours, since it is deterministic and says nothing but facts.
var ErrTemplate = errors.New("the template's text is not grounded")

// An Ask is what is put into words. The writer is given its facts alone.
type Ask struct {
	UID    string // whose budget it is
	Agreed bool   // to have facts put into words by a language model
	Facts  []analysis.Fact
}

// A Budget bounds how often a language model is asked for a person: Take takes one,
// or tells how long it is until there is one.
type Budget interface {
	Take(ctx context.Context, uid string) (wait time.Duration, err error)
}

// A Text is facts in words.
type Text struct {
	Claims   []analysis.Claim
	Writer   string // whose words they are
	FellBack string // why they are the template's instead, "" where they need not be
}

// A Writer puts facts into words that keep to them.
type Writer struct {
	writer, template narrative.Writer
	budget           Budget
	timeout          time.Duration
}

// New has the writer write, as often as the budget allows and for as long as the
// timeout, and the template where the writer may not, fails, stalls, panics or says
// more than its facts. They may be the same. A nil budget is of who is bounded already.
func New(writer, template narrative.Writer, budget Budget, timeout time.Duration) *Writer {
	return &Writer{writer, template, budget, timeout}
}

// NeedsConsent says whether the writer is one that a person has to agree to: a
// language model, and not the template.
func (w *Writer) NeedsConsent() bool { return w.writer.Name() != w.template.Name() }

// Write puts the facts into the writer's words, or into the template's. The
// error is that of a context that ended, of a budget that cannot be read, or wraps
// ErrTemplate.
func (w *Writer) Write(ctx context.Context, ask Ask) (Text, error) {
	if !w.NeedsConsent() {
		return w.instead(ctx, ask.Facts, "")
	}
	why, err := w.refused(ctx, ask)
	if err != nil {
		return Text{}, err
	}
	if why != "" {
		return w.instead(ctx, ask.Facts, why)
	}
	claims, why := w.attempt(ctx, ask.Facts)
	if why == "" {
		return Text{Claims: claims, Writer: w.writer.Name()}, nil
	}
	if err := ctx.Err(); err != nil { // whoever asked has gone: the writer was not to blame
		return Text{}, fmt.Errorf("put facts into words: %w", err)
	}
	return w.instead(ctx, ask.Facts, why)
}

// refused says why the writer may not be asked, "" where it may. What it is asked for
// is taken from the budget.
func (w *Writer) refused(ctx context.Context, ask Ask) (why string, err error) {
	if !ask.Agreed {
		return NoConsent, nil
	}
	if w.budget == nil {
		return "", nil
	}
	wait, err := w.budget.Take(ctx, ask.UID)
	if err != nil {
		return "", fmt.Errorf("take from the budget of texts: %w", err)
	}
	if wait > 0 {
		return Spent, nil
	}
	return "", nil
}

// instead puts the facts into the template's words; why is what FellBack says.
func (w *Writer) instead(ctx context.Context, facts []analysis.Fact, why string) (Text, error) {
	claims, err := w.template.Write(ctx, facts)
	if err == nil {
		err = narrative.Check(facts, claims)
	}
	if ctx.Err() != nil {
		return Text{}, fmt.Errorf("put facts into words: %w", ctx.Err())
	}
	if err != nil {
		return Text{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return Text{Claims: claims, Writer: w.template.Name(), FellBack: why}, nil
}

// attempt has the writer put the facts into words, and says why not where the
// text cannot be used. It waits no longer than the timeout, whatever the writer does.
func (w *Writer) attempt(ctx context.Context, facts []analysis.Fact) (claims []analysis.Claim, why string) {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
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
		claims, err := w.writer.Write(ctx, slices.Clone(facts))
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
