package candidate

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// outcome is the golden case's outputs, each times the factor.
func outcome(b *bundle.Bundle, i int, factor float64) model.Inference {
	c := b.Golden.Cases[i]
	in := model.Inference{WornMinutes: c.WornMinutes}
	for _, o := range b.Contract.Outputs {
		var values []float32
		for _, v := range c.Outputs[o.Name] {
			values = append(values, float32(v*factor))
		}
		in.Values = append(in.Values, values)
	}
	return in
}

func TestValidateCountsCases(t *testing.T) {
	_, b, _ := aVersion(t)
	busy := errors.New("the queue is full")
	tests := map[string]struct {
		infer  func(call int, into []model.Inference) error
		passed int
		worst  float64 // NaN: no case could be compared
		want   termination.Reason
		final  bool
	}{
		"all as they should be": {func(n int, into []model.Inference) error { into[0] = outcome(b, n-1, 1); return nil }, 2, 0, "", false},
		"a little off":          {func(n int, into []model.Inference) error { into[0] = outcome(b, n-1, 1.0005); return nil }, 2, 5e-4, "", false},
		"the second is too far": {func(n int, into []model.Inference) error {
			into[0] = outcome(b, n-1, 1+0.01*float64(n-1))
			return nil
		}, 1, 0.01, termination.ValidationFailed, true},
		"refused, every one": {func(_ int, into []model.Inference) error {
			into[0].Refused = model.Refuse(model.Malformed, "not finite")
			return nil
		}, 0, math.NaN(), termination.ValidationFailed, true},
		"a malformed answer": {func(int, []model.Inference) error { return model.Refuse(model.Malformed, "another shape") }, 0, math.NaN(), termination.ValidationFailed, true},
		"busy once": {func(n int, into []model.Inference) error {
			if n == 1 {
				return busy
			}
			into[0] = outcome(b, n-2, 1)
			return nil
		}, 2, 0, "", false},
		"busy for good": {func(int, []model.Inference) error { return busy }, 0, math.NaN(), termination.ValidationTimeout, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{id: b.Identity(), infer: tt.infer}
			ctx, cancel := context.WithTimeout(t.Context(), patience(tt.want, 1500*time.Millisecond))
			defer cancel()
			tally, err := Validate(ctx, func(context.Context) (Server, error) { return f, nil }, b.Golden, 1e-3)
			var v *Failure
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &v) || v.Reason != tt.want || v.Final != tt.final) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if tally.Cases != 2 || tally.Passed != tt.passed || !f.closed {
				t.Errorf("%+v, closed %v; want 2 cases, %d passed", tally, f.closed, tt.passed)
			}
			if math.IsNaN(tt.worst) != (tally.Error() == "") || !math.IsNaN(tt.worst) && math.Abs(tally.MaxError-tt.worst) > 1e-6 {
				t.Errorf("largest error %v (%q), want %v", tally.MaxError, tally.Error(), tt.worst)
			}
		})
	}
}

// patience is short where it runs out, and else as long as a machine may take.
func patience(want termination.Reason, short time.Duration) time.Duration {
	if want == termination.ValidationTimeout || want == termination.DigestMismatch { // a pod of another digest may be replaced
		return short
	}
	return time.Minute
}

func TestTallyErrorIsADecimalOrInf(t *testing.T) {
	for want, tally := range map[string]Tally{"": {Cases: 1}, "0": {Compared: 1}, "1.2e-05": {Compared: 1, MaxError: 1.23e-5}, "0.33": {Compared: 1, MaxError: 1.0 / 3},
		"inf": {Compared: 2, MaxError: math.Inf(1)}} {
		if got := tally.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The same through the wire, with a stand-in for Triton.
func TestValidateThroughTheWire(t *testing.T) {
	_, b, _ := aVersion(t)
	tests := map[string]struct {
		faults tritontest.Faults
		seed   float64
		passed int
		want   termination.Reason
		final  bool
		says   string
	}{
		"the version":        {tritontest.Faults{}, 1, 2, "", false, ""},
		"other weights":      {tritontest.Faults{}, 2, 0, termination.ValidationFailed, true, "2 of 2 cases fail"},
		"drifting":           {tritontest.Faults{Drift: 0.2}, 1, 0, termination.ValidationFailed, true, "0.001 is allowed"},
		"not a number":       {tritontest.Faults{NaN: true}, 1, 0, termination.ValidationFailed, true, ""},
		"another digest":     {tritontest.Faults{Digest: bundle.DigestOf(nil)}, 1, 0, termination.DigestMismatch, true, ""},
		"never ready":        {tritontest.Faults{NotReady: true}, 1, 0, termination.ValidationTimeout, false, ""},
		"unavailable always": {tritontest.Faults{Rate: 1, Code: codes.Unavailable}, 1, 0, termination.ValidationTimeout, false, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := tritontest.Start(t, tritontest.Config{Bundle: b, Model: "sleep", Backend: tritontest.Synthetic{Seed: tt.seed}})
			server.Set(tt.faults)
			ctx, cancel := context.WithTimeout(t.Context(), patience(tt.want, 3*time.Second))
			defer cancel()
			tally, err := Validate(ctx, func(ctx context.Context) (Server, error) {
				return triton.Dial(ctx, server.Addr(), triton.Version{Model: "sleep", Digest: b.Digest}, triton.Options{})
			}, b.Golden, 1e-3)
			var v *Failure
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &v) || v.Reason != tt.want || v.Final != tt.final || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%v, want %s with %q", err, tt.want, tt.says)
			}
			if tally.Cases != 2 || tally.Passed != tt.passed {
				t.Errorf("%+v, want %d passed", tally, tt.passed)
			}
		})
	}
}

func TestValidateWaitsForTheServer(t *testing.T) {
	_, b, _ := aVersion(t)
	f := &fake{id: b.Identity(), infer: func(n int, into []model.Inference) error { into[0] = outcome(b, n-1, 1); return nil }}
	dials := 0
	dial := func(context.Context) (Server, error) {
		if dials++; dials < 3 {
			return nil, model.Refuse(model.DigestMismatch, "another version's pod has the address still")
		}
		return f, nil
	}
	if tally, err := Validate(t.Context(), dial, b.Golden, 1e-3); err != nil || tally.Passed != 2 || dials != 3 {
		t.Errorf("%+v, %v after %d dials", tally, err, dials)
	}
}
