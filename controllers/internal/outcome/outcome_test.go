package outcome_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

func TestRunStopsAtTheFirstPhaseThatDoesNotContinue(t *testing.T) {
	broken := errors.New("broken")
	says := func(name string, o outcome.Outcome, err error) outcome.Phase[*[]string] {
		return func(_ context.Context, ran *[]string) (outcome.Outcome, error) {
			*ran = append(*ran, name)
			return o, err
		}
	}
	tests := map[string]struct {
		second  outcome.Phase[*[]string]
		want    outcome.Outcome
		wantErr error
		wantRan []string
	}{
		"all continue":         {says("b", outcome.Continue{}, nil), outcome.Done{}, nil, []string{"a", "b", "c"}},
		"the second waits":     {says("b", outcome.Waiting{After: 1}, nil), outcome.Waiting{After: 1}, nil, []string{"a", "b"}},
		"the second is stuck":  {says("b", outcome.Stalled{Reason: "No"}, nil), outcome.Stalled{Reason: "No"}, nil, []string{"a", "b"}},
		"the second is broken": {says("b", nil, broken), nil, broken, []string{"a", "b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var ran []string
			got, err := outcome.Run(t.Context(), &ran,
				says("a", outcome.Continue{}, nil), tt.second, says("c", outcome.Continue{}, nil))
			if !errors.Is(err, tt.wantErr) {
				t.Errorf("error %v, want %v", err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantRan, ran); diff != "" {
				t.Errorf("phases that ran (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResultIsTheSoonestWake(t *testing.T) {
	tests := map[string]struct {
		outcome outcome.Outcome
		wakes   []time.Duration
		want    time.Duration
	}{
		"nothing asks":                     {outcome.Done{}, nil, 0},
		"zero and negative wakes are none": {outcome.Done{}, []time.Duration{0, -time.Second}, 0},
		"a deadline":                       {outcome.Done{}, []time.Duration{0, time.Minute}, time.Minute},
		"the outcome asks sooner":          {outcome.Waiting{After: time.Second}, []time.Duration{time.Minute}, time.Second},
		"a deadline comes before the look": {outcome.Stalled{After: time.Hour}, []time.Duration{time.Minute}, time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outcome.Result(tt.outcome, tt.wakes...).RequeueAfter; got != tt.want {
				t.Errorf("RequeueAfter %v, want %v", got, tt.want)
			}
		})
	}
}
