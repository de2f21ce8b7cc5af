package gate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Check says what is wrong with a gate whatever its source says: no Ask of it
// can end but in Error. The API server refuses most of it; a field of a query
// that nobody fills in it cannot see.
func Check(g v1alpha1.Gate) error {
	if (g.Max == nil) == (g.Min == nil) {
		return fmt.Errorf("check gate %q: exactly one of max and min is required", g.Name)
	}
	if _, err := queryOf(g.Source, Question{}, 0, false); err != nil {
		return fmt.Errorf("check gate %q: %w", g.Name, err)
	}
	return nil
}

// evaluateGate compares a number with the gate's bound. A number that is not finite
// never passes: on the wrong side of the bound it fails, and one on the right
// side, or none at all, is no measurement.
func evaluateGate(g v1alpha1.Gate, what string, value float64) Answer {
	bound, word := g.Max, "max"
	if bound == nil {
		bound, word = g.Min, "min"
	}
	limit, err := decimal(bound)
	if err != nil {
		return failure(err)
	}
	a := Answer{Value: short(value)}
	within := value <= limit
	if word == "min" {
		within = value >= limit
	}
	switch {
	case math.IsNaN(value):
		a.Verdict, a.Message = v1alpha1.VerdictFail, what+" is not a number"
	case within && math.IsInf(value, 0):
		a.Verdict, a.Message = v1alpha1.VerdictError, fmt.Sprintf("%s is %s, which is no measurement", what, a.Value)
	case within:
		a.Verdict, a.Message = v1alpha1.VerdictPass, fmt.Sprintf("%s is %s, within %s %s", what, a.Value, word, short(limit))
	default:
		a.Verdict, a.Message = v1alpha1.VerdictFail, fmt.Sprintf("%s is %s, beyond %s %s", what, a.Value, word, short(limit))
	}
	return a
}

// decimal is a bound as the nearest float, by way of its decimal digits:
// 57 times a hundredth is less than 0.57.
func decimal(q *resource.Quantity) (float64, error) {
	if q == nil {
		return 0, errors.New("the gate has no bound")
	}
	d := q.DeepCopy()
	f, err := strconv.ParseFloat(d.AsDec().String(), 64)
	if err != nil {
		return 0, errors.New("the gate's bound is not a number")
	}
	return f, nil
}

// insufficient is the answer where too little is known.
func insufficient(policy v1alpha1.InsufficientDataPolicy, message string) Answer {
	switch policy {
	case v1alpha1.InsufficientFail:
		return Answer{Verdict: v1alpha1.VerdictFail, Message: message + "; onInsufficientData is Fail"}
	case v1alpha1.InsufficientPass:
		return Answer{Verdict: v1alpha1.VerdictPass, Message: message + "; onInsufficientData is Pass"}
	case v1alpha1.InsufficientWait:
	}
	return Answer{Verdict: v1alpha1.VerdictWait, Message: message}
}

// failure is the answer where the source did not tell.
func failure(err error) Answer {
	return Answer{Verdict: v1alpha1.VerdictError, Message: bound(err.Error())}
}

// maxMessage keeps a message within what a condition holds, with room for what the controller says before it.
const maxMessage = 400

func bound(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:maxMessage], "") + "…"
}

// short is a number in at most 13 bytes, six digits of it.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
