package google

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/trace"
	"github.com/clarity-loop/clarity/services/trace/otlp"
)

// Traces opens what records traces and sends them to a collector.
func Traces(ctx context.Context, t platform.Traces, e platform.Env) (trace.Recorder, error) {
	r, err := otlp.Open(ctx, otlp.Config{Endpoint: t.To, Ratio: t.Ratio, Service: e.Name, Version: e.Version, Log: e.Log})
	if err != nil {
		return nil, err
	}
	e.Closing("the traces", r)
	return r, nil
}
