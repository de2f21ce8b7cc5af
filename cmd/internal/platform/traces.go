package platform

import (
	"context"
	"strings"

	"github.com/clarity-loop/clarity/services/trace"
)

// Traces is where traces go, and how many.
type Traces struct {
	// To is the collector; "" has none recorded.
	To string `yaml:"to"`
	// Ratio of the traces that begin is kept, 0 to 1; and all that failed.
	Ratio float64 `yaml:"ratio"`
}

func (t Traces) check(can bool) error {
	switch {
	case t.Ratio < 0 || t.Ratio > 1:
		return configErrorf("traces: the ratio is 0 to 1, not %v", t.Ratio)
	case t.To == "":
		return nil
	case !can:
		return configErrorf("traces: this binary sends none")
	}
	if err := trace.CheckCollector(t.To); err != nil {
		return configErrorf("traces: %v", err)
	}
	return nil
}

// openTraces is the recorder of the process.
func openTraces(ctx context.Context, t Traces, d Drivers, e Env) (trace.Recorder, error) {
	if t.To == "" {
		return trace.None(), nil
	}
	return d.Traces(ctx, t, e)
}

// systemOf is what OpenTelemetry calls the queue that a string opens.
func systemOf(spec string) string {
	name, _, _ := strings.Cut(spec, ":")
	if name == "pubsub" {
		return "gcp_pubsub"
	}
	return name
}
