// Package otlp records traces with OpenTelemetry's SDK and sends them over OTLP/gRPC to
// a collector.
//
// Of the traces that begin here a ratio is sampled, by their id; one that goes on is
// sampled as its parent was. The spans of the others are recorded, too, and wait in
// memory until the work that they are of has ended in this process: where one of them
// failed, all are sent, else none. So every error is seen with what was around it here,
// and no error makes other processes send what they did before.
//
// Spans are sent in batches, two seconds apart. Where the collector is away they are
// tried again for a minute; beyond two thousand that wait they are dropped.
package otlp

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/clarity-loop/clarity/services/trace"
)

const (
	scope    = "github.com/clarity-loop/clarity"
	batches  = 2 * time.Second  // between two
	patience = 10 * time.Second // for one
	lastSend = 4 * time.Second  // of what waits at the end
)

// A Config says where traces go, and whose they are.
type Config struct {
	// Endpoint is http://HOST:PORT, in the clear, or https://HOST:PORT.
	Endpoint string
	// Ratio of the traces that begin here is sampled: 0 to 1.
	Ratio            float64
	Service, Version string
	Log              *slog.Logger
}

// A Recorder is a trace.Recorder.
type Recorder struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
}

var _ trace.Recorder = (*Recorder)(nil)

// Open is a recorder. It asks nobody: a collector that is away costs traces alone.
func Open(ctx context.Context, c Config) (*Recorder, error) {
	if err := trace.CheckCollector(c.Endpoint); err != nil {
		return nil, err
	}
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(c.Endpoint), otlptracegrpc.WithTimeout(patience))
	if err != nil {
		return nil, fmt.Errorf("open a collector's client: %w", err)
	}
	return recorder(c, &teller{SpanExporter: exporter, log: c.Log}), nil
}

func recorder(c Config, to sdk.SpanExporter) *Recorder {
	about := resource.NewSchemaless(attribute.String("service.name", c.Service), attribute.String("service.namespace", "clarity"),
		attribute.String("service.version", c.Version), attribute.String("service.instance.id", rand.Text()))
	p := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(sampler{sdk.TraceIDRatioBased(c.Ratio)}),
		sdk.WithSpanProcessor(newKeeper(sdk.NewBatchSpanProcessor(to, sdk.WithBatchTimeout(batches), sdk.WithExportTimeout(patience)))))
	return &Recorder{p, p.Tracer(scope)}
}

// Close sends what waits, as far as that takes a moment.
func (r *Recorder) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastSend)
	defer cancel()
	_ = r.provider.Shutdown(ctx) // a teller has said why not
	return nil
}

// Start begins a span that has none above it in this process.
func (r *Recorder) Start(s trace.Start) trace.Span {
	ctx := context.Background()
	if parent, ok := remote(s.Parent); ok {
		ctx = otel.ContextWithRemoteSpanContext(ctx, parent)
	}
	return r.begin(ctx, s)
}

func (r *Recorder) begin(ctx context.Context, s trace.Start) trace.Span {
	options := []otel.SpanStartOption{otel.WithSpanKind(kindOf(s.Kind)), otel.WithAttributes(attributes(s.Attrs)...)}
	if !s.At.IsZero() {
		options = append(options, otel.WithTimestamp(s.At))
	}
	for _, link := range s.Links {
		if other, ok := remote(link); ok {
			options = append(options, otel.WithLinks(otel.Link{SpanContext: other}))
		}
	}
	ctx, begun := r.tracer.Start(ctx, s.Name, options...)
	return span{r, ctx, begun}
}

// remote is the span of another process that a traceparent names.
func remote(traceparent string) (otel.SpanContext, bool) {
	p, ok := trace.Parse(traceparent)
	if !ok {
		return otel.SpanContext{}, false
	}
	var c otel.SpanContextConfig
	var wrong [2]error
	c.TraceID, wrong[0] = otel.TraceIDFromHex(p.Trace)
	c.SpanID, wrong[1] = otel.SpanIDFromHex(p.Span)
	c.TraceFlags, c.Remote = c.TraceFlags.WithSampled(p.Sampled), true
	return otel.NewSpanContext(c), wrong == [2]error{}
}

func kindOf(k trace.Kind) otel.SpanKind {
	switch k {
	case trace.Server:
		return otel.SpanKindServer
	case trace.Client:
		return otel.SpanKindClient
	case trace.Producer:
		return otel.SpanKindProducer
	case trace.Consumer:
		return otel.SpanKindConsumer
	case trace.Internal:
	}
	return otel.SpanKindInternal
}

func attributes(attrs []slog.Attr) []attribute.KeyValue {
	all := make([]attribute.KeyValue, len(attrs))
	for i, a := range attrs {
		switch a.Value.Kind() {
		case slog.KindInt64:
			all[i] = attribute.Int64(a.Key, a.Value.Int64())
		case slog.KindBool:
			all[i] = attribute.Bool(a.Key, a.Value.Bool())
		default:
			all[i] = attribute.String(a.Key, a.Value.String())
		}
	}
	return all
}

// A span is one that goes on.
type span struct {
	r    *Recorder
	ctx  context.Context
	otel otel.Span
}

// Parent is the span's traceparent.
func (s span) Parent() string {
	c := s.otel.SpanContext()
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// Begin begins a span below.
func (s span) Begin(below trace.Start) trace.Span { return s.r.begin(s.ctx, below) }

// Set says more of it.
func (s span) Set(attrs ...slog.Attr) { s.otel.SetAttributes(attributes(attrs)...) }

// End ends it.
func (s span) End(failed string) {
	if failed != "" {
		s.otel.SetAttributes(attribute.String("error.type", failed))
		s.otel.SetStatus(codes.Error, "") // the text of an error may name somebody
	}
	s.otel.End()
}

// A teller says in the log when spans begin to be lost, and when they no longer are.
type teller struct {
	sdk.SpanExporter
	log    *slog.Logger
	failed atomic.Bool
}

// ExportSpans sends spans. What it fails with is told here, and not to the SDK, which
// would tell the whole process.
func (t *teller) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := t.SpanExporter.ExportSpans(ctx, spans)
	if was := t.failed.Swap(err != nil); was == (err != nil) {
		return nil
	}
	if err != nil {
		t.log.Warn("traces are lost", "err", err)
	} else {
		t.log.Info("traces are sent again")
	}
	return nil
}
