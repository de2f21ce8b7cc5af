// Package narrative is the contract for putting facts into words.
//
// A Writer is given facts and nothing else: no identity, no free text of the
// person's. It MUST return sentences in which every number is one of the facts,
// cited by id. What it returns is checked (Check) before anyone reads it; a
// text that fails is discarded and the template's is used.
package narrative

import (
	"context"

	"github.com/clarity-loop/clarity/services/analysis"
)

// A Writer puts facts into words.
type Writer interface {
	// Name is what Insight.Writer says: "template", or the language model and the
	// version of what it is asked with.
	Name() string
	Write(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error)
}
