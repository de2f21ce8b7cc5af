package candidate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// A Tally is what the golden vectors came to at the server.
type Tally struct {
	// Cases are those of the golden set, Passed those within the tolerance.
	Cases, Passed int
	// MaxError is the largest deviation of a case that could be compared (see
	// bundle.GoldenCase.Deviation): relative to the output's largest value.
	MaxError float64
	// Compared counts the cases that could be.
	Compared int
}

// Error is MaxError in two digits, or inf; "" where no case could be compared.
func (t Tally) Error() string {
	if t.Compared == 0 {
		return ""
	}
	if math.IsInf(t.MaxError, 0) {
		return "inf"
	}
	return strconv.FormatFloat(t.MaxError, 'g', 2, 64)
}

// A Server is a model that is served, with a connection to end.
type Server interface {
	model.Model
	Close()
}

// A Dialer connects to the candidate's server. Its error is, or wraps, a
// *model.Refusal where something else is served there.
type Dialer func(ctx context.Context) (Server, error)

// pause is the time between two tries to reach the server.
const pause = time.Second

// Validate waits until the server answers, which ctx bounds, and asks it for
// each golden case. What a server that is not reached in time, that serves
// another digest until then, or that computes something else means is a Failure.
func Validate(ctx context.Context, dial Dialer, g bundle.Golden, tolerance float64) (Tally, error) {
	t := Tally{Cases: len(g.Cases)}
	server, err := reach(ctx, dial)
	if err != nil {
		return t, err
	}
	defer server.Close()
	var first error
	for _, c := range g.Cases {
		far, err := ask(ctx, server, c)
		var refused *model.Refusal
		switch {
		case errors.As(err, &refused):
		case err != nil:
			return t, &Failure{termination.ValidationTimeout, false, fmt.Errorf("case %q: %w", c.Name, err)}
		default:
			t.Compared++
			t.MaxError = max(t.MaxError, far.worst)
			if far.worst <= tolerance {
				t.Passed++
				continue
			}
			err = fmt.Errorf("case %q: %s is %.2g off, relative to its largest value; %g is allowed", c.Name, far.output, far.worst, tolerance)
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return t, final(termination.ValidationFailed, fmt.Errorf("%d of %d cases fail; %w", t.Cases-t.Passed, t.Cases, first))
	}
	return t, nil
}

// reach dials until it succeeds or ctx ends.
func reach(ctx context.Context, dial Dialer) (Server, error) {
	var last error
	for {
		server, err := dial(ctx)
		if err == nil {
			return server, nil
		}
		if ctx.Err() == nil || last == nil { // what ended the waiting says less than what was waited for
			last = err
		}
		select {
		case <-ctx.Done():
			var refused *model.Refusal
			switch {
			case errors.Is(last, model.DigestMismatch):
				return nil, final(termination.DigestMismatch, last)
			case errors.As(last, &refused):
				return nil, final(termination.Unreadable, last)
			}
			return nil, &Failure{termination.ValidationTimeout, false, last}
		case <-time.After(pause):
		}
	}
}

type deviation struct {
	worst  float64
	output string
}

// ask has the server compute one case. It asks again where the server is busy
// or gone for a moment, until ctx ends.
func ask(ctx context.Context, server model.Model, c bundle.GoldenCase) (deviation, error) {
	for {
		into := make([]model.Inference, 1)
		err := server.Infer(ctx, []model.Window{c.Window()}, into)
		var refused *model.Refusal
		if err == nil || errors.As(err, &refused) {
			if err != nil {
				return deviation{}, err
			}
			worst, output, err := c.Deviation(server.Identity(), &into[0])
			return deviation{worst, output}, err
		}
		select {
		case <-ctx.Done():
			return deviation{}, err
		case <-time.After(pause):
		}
	}
}

// ParseTolerance reads a largest relative error, 0 to 1.
func ParseTolerance(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return 0, fmt.Errorf("the tolerance %.20q is not a number from 0 to 1", s)
	}
	return v, nil
}
