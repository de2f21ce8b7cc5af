package otlp

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// A sampler samples what goes on as its parent was, and of what begins as many as roots
// says. All else is recorded, for a keeper.
type sampler struct{ roots sdk.Sampler }

// ShouldSample decides when a span begins.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	parent := otel.SpanContextFromContext(p.ParentContext)
	sampled := parent.IsSampled()
	if !parent.IsValid() {
		sampled = s.roots.ShouldSample(p).Decision == sdk.RecordAndSample
	}
	if sampled {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return sdk.SamplingResult{Decision: sdk.RecordOnly}
}

// Description is for people.
func (s sampler) Description() string { return "as the parent, else " + s.roots.Description() }

// mostSpans is how many spans of one piece of work wait for its end.
const mostSpans = 256

// A keeper hands on what is sampled as it ends, and what is not once the work that it is
// of has ended, where that failed.
type keeper struct {
	sdk.SpanProcessor

	mu   sync.Mutex
	open map[otel.SpanID]*work // of spans that are not sampled
}

// A work is what a process does for one request or message: the spans below one that
// has none above it here.
type work struct {
	root         otel.SpanID
	ended        []sdk.ReadOnlySpan
	failed, over bool
}

func newKeeper(to sdk.SpanProcessor) *keeper {
	return &keeper{SpanProcessor: to, open: map[otel.SpanID]*work{}}
}

// OnStart finds the work that a span is of.
func (k *keeper) OnStart(ctx context.Context, s sdk.ReadWriteSpan) {
	k.SpanProcessor.OnStart(ctx, s)
	if s.SpanContext().IsSampled() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	id := s.SpanContext().SpanID()
	w := k.open[s.Parent().SpanID()]
	if w == nil || s.Parent().IsRemote() {
		w = &work{root: id}
	}
	k.open[id] = w
}

// OnEnd hands on.
func (k *keeper) OnEnd(s sdk.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		k.SpanProcessor.OnEnd(s)
		return
	}
	for _, kept := range k.end(s) {
		k.SpanProcessor.OnEnd(sampled{kept})
	}
}

// end is what is to be handed on once the span has ended.
func (k *keeper) end(s sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := s.SpanContext().SpanID()
	w := k.open[id]
	delete(k.open, id)
	if w == nil {
		return nil
	}
	w.failed = w.failed || s.Status().Code == codes.Error
	w.over = w.over || id == w.root
	if len(w.ended) < mostSpans || id == w.root {
		w.ended = append(w.ended, s)
	}
	if !w.over {
		return nil
	}
	ended := w.ended
	w.ended = nil
	if !w.failed {
		return nil
	}
	return ended
}

// A sampled is a span that is handed on although its trace is not.
type sampled struct{ sdk.ReadOnlySpan }

// SpanContext says that it is.
func (s sampled) SpanContext() otel.SpanContext {
	c := s.ReadOnlySpan.SpanContext()
	return c.WithTraceFlags(c.TraceFlags().WithSampled(true))
}
