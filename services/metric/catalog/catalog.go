// Package catalog is the ordered list of all metrics.
package catalog

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/activity"
	"github.com/clarity-loop/clarity/services/metric/cardio"
	"github.com/clarity-loop/clarity/services/metric/circadian"
	"github.com/clarity-loop/clarity/services/metric/sleep"
	"github.com/clarity-loop/clarity/services/metric/wear"
)

// Definitions are all metrics, family by family. A new family is a line here;
// a new metric, a line in its family's Definitions.
func Definitions() []metric.Definition {
	return slices.Concat(
		wear.Definitions(),
		sleep.Definitions(),
		circadian.Definitions(),
		activity.Definitions(),
		cardio.Definitions(),
	)
}

// A Value is what one metric came to: a number, or why there is none.
type Value struct {
	metric.Definition
	Number  float64
	Lacking *metric.Insufficient // nil where Number holds
}

// Compute computes every metric, in the catalog's order. It returns an error
// only where a metric breaks its contract.
func Compute(in *metric.Input) ([]Value, error) {
	definitions := Definitions()
	values := make([]Value, len(definitions))
	for i, d := range definitions {
		number, err := d.Compute(in)
		values[i] = Value{Definition: d, Number: number}
		switch {
		case err != nil:
			values[i].Number = 0
			if !errors.As(err, &values[i].Lacking) {
				return nil, fmt.Errorf("compute %s: %w", d.ID(), err)
			}
		case math.IsNaN(number) || math.IsInf(number, 0):
			values[i].Number = 0
			values[i].Lacking = &metric.Insufficient{Reason: metric.NotFinite, Detail: "the input's numbers are too large for the formula"}
		}
	}
	return values, nil
}
