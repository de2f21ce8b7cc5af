package gemini

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"google.golang.org/genai"
)

// An outcome is what became of a text: a value of a metric's label, and of nothing else.
type outcome string

// The outcomes. That the model ended for another reason than that it had said everything
// is named by that reason.
const (
	written    outcome = "ok"
	ungrounded outcome = "ungrounded" // it says more than its facts

	busy    outcome = "busy"    // not asked: the process has made its requests of the minute
	resting outcome = "resting" // not asked: the circuit is open

	limited     outcome = "limited"     // 429: the quota is used up
	unavailable outcome = "unavailable" // 5xx, or nobody could be reached
	refused     outcome = "refused"     // another status: a wrong project, model, right or request
	timeout     outcome = "timeout"
	cancelled   outcome = "cancelled" // who asked gave up

	malformed outcome = "malformed" // an answer that is no JSON of the schema
	empty     outcome = "empty"     // an answer without one
	blocked   outcome = "blocked"   // the question was refused for what it holds

	maxTokens  outcome = "max_tokens"
	unsafe     outcome = "safety"
	recitation outcome = "recitation"
	personal   outcome = "spii"
	language   outcome = "language"
	prohibited outcome = "prohibited"
	other      outcome = "other_reason"
)

// outcomes are all of them.
func outcomes() []outcome {
	return []outcome{written, ungrounded, busy, resting, limited, unavailable, refused, timeout, cancelled, malformed, empty, blocked,
		maxTokens, unsafe, recitation, personal, language, prohibited, other}
}

// A refusal is an error of which nothing is told but the outcome and the status: what the
// SDK says holds what was sent and what was answered.
type refusal struct {
	outcome outcome
	status  int // 0 where there is none
}

func (r *refusal) Error() string {
	if r.status == 0 {
		return "ask the model: " + string(r.outcome)
	}
	return fmt.Sprintf("ask the model: %s (status %d)", r.outcome, r.status)
}

// away says whether whoever is asked next will fare no better.
func (r *refusal) away() bool {
	switch r.outcome {
	case limited, unavailable, refused, timeout:
		return true
	}
	return false
}

// outcomeOf is what became of a text that ended with the error.
func outcomeOf(err error) outcome {
	var r *refusal
	switch {
	case err == nil:
		return written
	case errors.As(err, &r):
		return r.outcome
	}
	return other
}

// failure is what the SDK's error is to us, nil where there is none: of a question that
// was asked under ctx, within a time of its own.
func failure(ctx, within context.Context, err error) *refusal {
	var said genai.APIError
	var unreached *url.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return &refusal{outcome: cancelled}
	case within.Err() != nil:
		return &refusal{outcome: timeout}
	case errors.As(err, &said):
		return &refusal{outcome: ofStatus(said.Code), status: said.Code}
	case errors.As(err, &unreached):
		return &refusal{outcome: unavailable}
	}
	return &refusal{outcome: malformed}
}

func ofStatus(code int) outcome {
	switch {
	case code == http.StatusTooManyRequests:
		return limited
	case code >= 500:
		return unavailable
	}
	return refused
}

// ended is the outcome of an answer that ended for the reason.
func ended(reason genai.FinishReason) outcome {
	switch reason {
	case genai.FinishReasonStop:
		return written
	case genai.FinishReasonMaxTokens:
		return maxTokens
	case genai.FinishReasonSafety:
		return unsafe
	case genai.FinishReasonRecitation:
		return recitation
	case genai.FinishReasonSPII:
		return personal
	case genai.FinishReasonLanguage:
		return language
	case genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent:
		return prohibited
	}
	return other
}
