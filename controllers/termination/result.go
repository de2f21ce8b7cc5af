package termination

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Result is what a check of a model says when it ends, as JSON.
type Result struct {
	Verified bool `json:"verified"`
	v1alpha1.ValidationStatus
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

var decimal = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]{1,10})?([eE][-+]?[0-9]{1,3})?$|^\+?[iI]nf$|^[nN]a[nN]$`)

// ParseResult reads a termination message. It refuses what is not exactly a
// result: what a pod writes there stands in the status afterwards.
func ParseResult(message string) (Result, error) {
	var r Result
	if len(message) > maxMessage {
		return Result{}, fmt.Errorf("read result of %d bytes: more than %d", len(message), maxMessage)
	}
	if err := json.Unmarshal([]byte(message), &r); err != nil {
		return Result{}, errors.New("read result: not the JSON of a result") // the cause quotes the message
	}
	switch {
	case r.Reason != "" && !IsReason(r.Reason):
		return Result{}, errors.New("read result: a reason that is not a word")
	case r.Cases < 0 || r.Passed < 0 || r.Passed > r.Cases:
		return Result{}, errors.New("read result: counts that are not counts")
	case r.MaxError != "" && !decimal.MatchString(r.MaxError):
		return Result{}, errors.New("read result: maxError is not a number")
	}
	for _, c := range r.Message {
		if c < ' ' {
			return Result{}, errors.New("read result: a message with control characters")
		}
	}
	return r, nil
}
