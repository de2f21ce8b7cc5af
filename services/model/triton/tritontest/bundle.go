package tritontest

import (
	"context"
	"fmt"
	"math"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// A Synthetic is a Backend without a model: its outputs are sums over the
// window, another one for each seed, and cost microseconds.
type Synthetic struct{ Seed float64 }

// Forward has each value be a bounded sum of some of the window's minutes.
func (s Synthetic) Forward(_ context.Context, z []float32, into [][]float32) error {
	for i, values := range into {
		for k := range values {
			sum := 0.0
			for m := (i + 7*k) % 331; m < len(z); m += 331 {
				sum += float64(z[m])
			}
			values[k] = float32(math.Tanh(0.1*sum*math.Cos(s.Seed+float64(k))+0.01*s.Seed) + 0.01)
		}
	}
	return nil
}

// NewBundle is a small bundle whose golden vectors are what Synthetic{seed}
// makes of two simulated weeks. Its weights are none that anything could run.
func NewBundle(name string, seed float64) (*bundle.Bundle, error) {
	spec := preprocess.Spec{ID: preprocess.Record} // the cheapest
	b := &bundle.Bundle{
		Contract: bundle.Contract{
			Name: name, Architecture: "synthetic", Label: "not a model", License: "Apache-2.0", Source: "tritontest",
			Input: bundle.Input{Name: "activity", Unit: "1"},
			Outputs: []model.Output{
				{Name: "embedding", Length: 96, Unit: "1", Visibility: model.Internal, Doc: "sums over the window"},
				{Name: "sleep", Length: 560, Unit: "1", Visibility: model.Preview, Doc: "other sums over the window"},
			},
		},
		Weights: fmt.Appendf(nil, "seed %g", seed), Preprocessing: spec, Card: "# Synthetic\n\nGood for tests of servers.",
	}
	var cases []bundle.GoldenCase
	scratch, z := preprocess.NewScratch(), make([]float32, model.Minutes)
	for week := range uint64(2) {
		g := bundle.SimulatedWeek(week + 1)
		stats, err := spec.Apply(g.Window(), scratch, z)
		if err != nil {
			return nil, err
		}
		into := room(b.Contract.Outputs)
		if err := (Synthetic{seed}).Forward(context.Background(), z, into); err != nil {
			return nil, err
		}
		g.Name, g.WornMinutes, g.Outputs = fmt.Sprintf("simulated week %d", week+1), stats.Worn, map[string][]float64{}
		for i, o := range b.Contract.Outputs {
			for _, v := range into[i] {
				g.Outputs[o.Name] = append(g.Outputs[o.Name], float64(v))
			}
		}
		cases = append(cases, g)
	}
	b.Golden = bundle.NewGolden(cases...)
	_, err := bundle.Write(b)
	return b, err
}

func room(outputs []model.Output) [][]float32 {
	into := make([][]float32, len(outputs))
	for i, o := range outputs {
		into[i] = make([]float32, o.Length)
	}
	return into
}
