package termination

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// A Result is what a check of a version says when it ends.
type Result struct {
	// Verified says that the version is what was declared.
	Verified bool `json:"verified,omitempty"`
	// Tally is how the golden vectors came out; nil where the command asks for none.
	*Tally
	// Reason says in a word why the version may not go on; "" where it may. A
	// worker of another version may say one that is not among Reasons.
	Reason Reason `json:"reason,omitempty"`
	// Message says it in a sentence.
	Message string `json:"message,omitempty"`
}

// A Tally is how a version's golden vectors came out.
type Tally struct {
	// Cases is how many there are.
	Cases int32 `json:"cases"`
	// Passed is how many came out within the tolerance.
	Passed int32 `json:"passed"`
	// MaxError is the largest relative error seen, a decimal.
	MaxError string `json:"maxError,omitempty"`
}

// Counts is the tally; without one it is that of no case.
func (r Result) Counts() Tally {
	if r.Tally == nil {
		return Tally{}
	}
	return *r.Tally
}

var decimal = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]{1,10})?([eE][-+]?[0-9]{1,3})?$|^\+?[iI]nf$|^[nN]a[nN]$`)

// ParseResult reads a termination message. It refuses what is not exactly a
// result: what a pod writes there stands in the status afterwards.
func ParseResult(message string) (Result, error) {
	var r Result
	if len(message) > MaxMessage {
		return Result{}, fmt.Errorf("read result of %d bytes: more than %d", len(message), MaxMessage)
	}
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return Result{}, errors.New("read result: not the JSON of a result") // the cause quotes the message
	}
	switch n := r.Counts(); {
	case r.Reason != "" && !IsWord(string(r.Reason)):
		return Result{}, errors.New("read result: a reason that is not a word")
	case n.Cases < 0 || n.Passed < 0 || n.Passed > n.Cases:
		return Result{}, errors.New("read result: counts that are not counts")
	case n.MaxError != "" && !decimal.MatchString(n.MaxError):
		return Result{}, errors.New("read result: maxError is not a number")
	}
	for _, c := range r.Message {
		if c < ' ' {
			return Result{}, errors.New("read result: a message with control characters")
		}
	}
	return r, nil
}
