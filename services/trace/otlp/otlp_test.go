package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/clarity-loop/clarity/services/trace"
)

// sink keeps what is exported.
type sink struct {
	mu   sync.Mutex
	all  []sdk.ReadOnlySpan
	fail error
}

func (s *sink) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, spans...)
	return s.fail
}

func (*sink) Shutdown(context.Context) error { return nil }

// names are the exported spans', sorted.
func (s *sink) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		names = append(names, one.Name())
	}
	slices.Sort(names)
	return names
}

func (s *sink) named(t *testing.T, name string) sdk.ReadOnlySpan {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		if one.Name() == name {
			return one
		}
	}
	t.Fatalf("no span %q", name)
	return nil
}

func recording(ratio float64) (*Recorder, *sink) {
	to := &sink{}
	return recorder(Config{Ratio: ratio, Service: "worker", Version: "v1"}, to), to
}

const (
	kept    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unkept  = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	another = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
)

// What goes on is sampled as its parent was; of what begins, the ratio.
func TestWhatIsSampled(t *testing.T) {
	for name, tt := range map[string]struct {
		ratio  float64
		parent string
		want   bool
	}{
		"a root, none of which is": {0, "", false},
		"a root, all of which are": {1, "", true},
		"goes on, sampled":         {0, kept, true},
		"goes on, not sampled":     {1, unkept, false},
		"of a parent that is none": {1, "00-zz", true},
		"of a parent in capitals":  {0, strings.ToUpper(kept), false},
	} {
		t.Run(name, func(t *testing.T) {
			r, to := recording(tt.ratio)
			s := r.Start(trace.Start{Name: "a", Parent: tt.parent})
			if p, ok := trace.Parse(s.Parent()); !ok || p.Sampled != tt.want {
				t.Errorf("its traceparent is %q", s.Parent())
			}
			s.End("")
			if err := r.Close(); err != nil || len(to.names()) > 0 != tt.want {
				t.Errorf("exported %v, %v", to.names(), err)
			}
		})
	}
	r, _ := recording(.01)
	sampled := 0
	for range 20_000 {
		if p, _ := trace.Parse(r.Start(trace.Start{Name: "a"}).Parent()); p.Sampled {
			sampled++
		}
	}
	if sampled < 100 || sampled > 320 {
		t.Errorf("%d of 20000 are sampled, want about 200", sampled)
	}
}

// A span that failed has all spans of its work exported, though the trace is not
// sampled; what is of other work, or went well, is not.
func TestWhatFailedIsKept(t *testing.T) {
	for name, tt := range map[string]struct {
		fails string // the span that does
		want  []string
	}{
		"nothing":    {"", nil},
		"the work":   {"work", []string{"below", "deeper", "late", "work"}},
		"deep below": {"deeper", []string{"below", "deeper", "late", "work"}},
		"afterwards": {"late", []string{"late"}},
		"another":    {"other", []string{"other"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, to := recording(0)
			end := func(s trace.Span, name string) {
				failed := ""
				if name == tt.fails {
					failed = "unavailable"
				}
				s.End(failed)
			}
			work, other := r.Start(trace.Start{Name: "work", Parent: unkept}), r.Start(trace.Start{Name: "other", Parent: unkept})
			below := work.Begin(trace.Start{Name: "below"})
			deeper, late := below.Begin(trace.Start{Name: "deeper"}), work.Begin(trace.Start{Name: "late"})
			end(deeper, "deeper")
			end(below, "below")
			end(work, "work")
			end(late, "late")
			end(other, "other")
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, to.names()); diff != "" {
				t.Errorf("exported (-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing is left of spans that have ended, and of one piece of work no more than so
// many wait.
func TestWhatWaitsIsBounded(t *testing.T) {
	to := &sink{}
	k := newKeeper(sdk.NewSimpleSpanProcessor(to))
	p := sdk.NewTracerProvider(sdk.WithSampler(sampler{sdk.NeverSample()}), sdk.WithSpanProcessor(k))
	r := &Recorder{p, p.Tracer(scope)}
	work := r.Start(trace.Start{Name: "work"})
	for i := range 2 * mostSpans {
		work.Begin(trace.Start{Name: fmt.Sprint(i)}).End("")
	}
	work.End("x")
	if len(k.open) != 0 || len(to.names()) != mostSpans+1 {
		t.Errorf("%d are open, %d exported", len(k.open), len(to.names()))
	}
}

// A span says what it is told, whose child it is and what it is linked to; that it failed,
// and never why in words.
func TestWhatASpanSays(t *testing.T) {
	r, to := recording(0)
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := r.Start(trace.Start{Name: "send results", Kind: trace.Producer, Parent: kept, Links: []string{another, "none"}, At: at, Attrs: []slog.Attr{slog.Int("n", 3), slog.Bool("b", true)}})
	s.Begin(trace.Start{Name: "below"}).End("")
	s.Set(slog.String("k", "v"))
	s.End("broken")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	got, below := to.named(t, "send results"), to.named(t, "below")
	if got.Parent().SpanID().String() != "b7ad6b7169203331" || !got.Parent().IsRemote() || len(got.Links()) != 1 || got.Links()[0].SpanContext.SpanID().String() != "c7ad6b7169203331" || !got.StartTime().Equal(at) {
		t.Errorf("parent %v, links %v, at %v", got.Parent(), got.Links(), got.StartTime())
	}
	if below.Parent().SpanID() != got.SpanContext().SpanID() || below.SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("below %v, in %v", below.Parent(), below.SpanContext())
	}
	said := map[string]string{}
	for _, a := range append(got.Attributes(), got.Resource().Attributes()...) {
		said[string(a.Key)] = a.Value.String()
	}
	delete(said, "service.instance.id")
	if diff := cmp.Diff(map[string]string{"n": "3", "b": "true", "k": "v", "error.type": "broken", "service.name": "worker", "service.namespace": "clarity", "service.version": "v1"}, said); diff != "" {
		t.Errorf("it says (-want +got):\n%s", diff)
	}
	if got.Status().Code != codes.Error || got.Status().Description != "" || got.SpanKind().String() != "producer" {
		t.Errorf("status %+v, a %s", got.Status(), got.SpanKind())
	}
}

func TestAnEndpointIsAnAddress(t *testing.T) {
	for endpoint, good := range map[string]bool{
		"http://127.0.0.1:4317": true, "https://collector.example:443": true, "http://[::1]:4317": true,
		"": false, "collector:4317": false, "http://collector": false, "http://:4317": false, "ftp://collector:4317": false,
		"http://user:word@collector:4317": false, "http://collector:4317/v1/traces": false, "http://collector:4317?a=b": false,
	} {
		_, err := Open(t.Context(), Config{Endpoint: endpoint, Log: slog.New(slog.DiscardHandler)})
		if (err == nil) != good {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// A collector that is away is told of once, and again when it is back.
func TestLostTracesAreToldOfOnce(t *testing.T) {
	var log bytes.Buffer
	to := &sink{}
	tells := &teller{SpanExporter: to, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, fail := range []error{nil, errors.New("away"), errors.New("away"), nil, nil} {
		to.fail = fail
		if err := tells.ExportSpans(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "traces are lost") || !strings.Contains(text, "traces are sent again") {
		t.Errorf("the log:\n%s", text)
	}
}
