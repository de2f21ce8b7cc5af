package signals_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/cmd/internal/platform/signals"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
)

const (
	kept   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unkept = "00-0af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00"
)

// book notes spans as they end: "NAME of PARENT+LINKS: FAILED".
type book struct {
	ended  []string
	begun  int
	flags  string
	starts []trace.Start
}

type page struct {
	of     *book
	start  trace.Start
	parent string
}

func (b *book) Start(s trace.Start) trace.Span {
	b.begun++
	b.starts = append(b.starts, s)
	return &page{b, s, fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%016x-%s", b.begun, b.flags)}
}

func (p *page) Begin(s trace.Start) trace.Span {
	s.Parent = p.parent
	return p.of.Start(s)
}
func (p *page) Parent() string { return p.parent }
func (*page) Set(...slog.Attr) {}
func (p *page) End(failed string) {
	line := p.start.Name
	for _, of := range append([]string{p.start.Parent}, p.start.Links...) {
		if parent, ok := trace.Parse(of); ok {
			line += " " + strings.TrimLeft(parent.Span, "0")
		}
	}
	if failed != "" {
		line += ": " + failed
	}
	p.of.ended = append(p.of.ended, line)
}

// counted are the lines of a registry with the prefix, sorted.
func counted(t *testing.T, of prometheus.Collector, prefix string) (lines []string) {
	t.Helper()
	r := prometheus.NewRegistry()
	if err := r.Register(of); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			line := f.GetName()
			for _, l := range m.Label {
				line += " " + l.GetValue()
			}
			n := m.GetCounter().GetValue()
			if m.Histogram != nil {
				n = float64(m.Histogram.GetSampleCount())
			}
			if strings.HasPrefix(line, prefix) {
				lines = append(lines, fmt.Sprintf("%s %v", strings.TrimPrefix(line, prefix), n))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// What is sent carries the trace of who sends it, and is handled in that; a message tells
// what became of it.
func TestMessagesCarryTheTrace(t *testing.T) {
	b := &book{flags: "01"}
	below := queuetest.Memory(time.Now).Open(queue.Consumers{"uploads": {"intake"}})
	m := signals.NewMessages(below, "memory", b, signals.NewCalls())
	work := b.Start(trace.Start{Name: "work"})
	publish := func(ctx context.Context, body string) {
		t.Helper()
		if err := m.Publish(ctx, queue.Message{Topic: "uploads", Key: body, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	publish(trace.With(t.Context(), work), "done")
	publish(trace.Because(t.Context(), kept, unkept), "dead")
	for _, body := range []string{"failed", "postponed", "retried", "panics"} {
		publish(t.Context(), body)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	seen := map[string]bool{}
	err := m.Receive(ctx, queue.Subscription{Topic: "uploads", Name: "intake"}, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		body := string(d.Body)
		if seen[body] {
			return queue.Ack()
		}
		seen[body] = true
		if len(seen) == 6 {
			stop()
		}
		if trace.From(ctx).Parent() == "" {
			t.Errorf("%s is handled without a trace", body)
		}
		switch body {
		case "dead":
			return queue.Dead("poison")
		case "failed":
			return queue.Postpone(time.Hour, "").Failing()
		case "postponed":
			return queue.Postpone(time.Hour, "")
		case "retried":
			return queue.Retry(time.Hour, "")
		case "panics":
			panic("it does")
		}
		return queue.Ack()
	})
	if err != nil || len(seen) != 6 {
		t.Fatalf("handled %v, %v", seen, err)
	}
	slices.Sort(b.ended)
	want := []string{
		"process uploads 2", "process uploads 3: dead", "process uploads 4: failed", "process uploads 5", "process uploads 6: retried", "process uploads 7: fallen",
		"send uploads", "send uploads", "send uploads", "send uploads", "send uploads 1", "send uploads b7ad6b7169203331 c7ad6b7169203331",
	}
	if diff := cmp.Diff(want, b.ended); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	wantTimes := []string{"intake uploads dead 1", "intake uploads done 1", "intake uploads failed 1", "intake uploads fallen 1", "intake uploads postponed 1", "intake uploads retried 1"}
	if diff := cmp.Diff(wantTimes, counted(t, m, "clarity_message_seconds ")); diff != "" {
		t.Errorf("times (-want +got):\n%s", diff)
	}
	for _, s := range b.starts {
		for _, a := range s.Attrs {
			if v := a.Value.String(); !slices.Contains([]string{"memory", "uploads", "intake", "send", "process"}, v) {
				t.Errorf("%s says %s=%s", s.Name, a.Key, v)
			}
		}
	}
}

// fails is a driver of documents that does.
type fails struct {
	store.Driver
	with error
}

func (f fails) Get(context.Context, store.Key) (store.Document, error) {
	return store.Document{}, f.with
}

// Calls are timed, and their faults counted by class; a span is of what is sampled, and
// of what failed: an answer is no fault, and who was not the first has not failed.
func TestCallsOfDrivers(t *testing.T) {
	away, raced := store.Fault("get", errors.New("cut off")), store.Fault("get", store.ErrConflict)
	for name, tt := range map[string]struct {
		flags string
		with  error
		spans []string
		fault []string
	}{
		"well":                     {"00", nil, nil, nil},
		"well, sampled":            {"01", nil, []string{"store get 1"}, nil},
		"an answer":                {"00", store.ErrNotFound, nil, nil},
		"not the first":            {"00", raced, nil, []string{"conflict get store 1"}},
		"not the first, sampled":   {"01", raced, []string{"store get 1"}, []string{"conflict get store 1"}},
		"away":                     {"00", away, []string{"store get 1: unavailable"}, []string{"unavailable get store 1"}},
		"nobody waits":             {"00", store.Fault("get", context.Canceled), nil, []string{"canceled get store 1"}},
		"damaged, sampled":         {"01", &fault.Error{Class: fault.Broken}, []string{"store get 1: broken"}, []string{"broken get store 1"}},
		"away, without any record": {"", away, nil, []string{"unavailable get store 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, c := &book{flags: tt.flags}, signals.NewCalls()
			_, err := c.Store(fails{with: tt.with}).Get(trace.With(t.Context(), b.Start(trace.Start{Name: "work"})), store.Key{})
			if !errors.Is(err, tt.with) {
				t.Errorf("it answers %v", err)
			}
			if diff := cmp.Diff(tt.spans, b.ended); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.fault, counted(t, c, "clarity_driver_faults_total ")); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"get store 1"}, counted(t, c, "clarity_driver_call_seconds ")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

type stirs struct{ store.Driver }

func (stirs) Stirring(context.Context, time.Time) ([]int, error) { return []int{7}, nil }

type notarizes struct{ audit.Log }

func (notarizes) Notarize(context.Context, *slog.Logger, func()) error { return nil }

// A driver that is measured can do what it could, and nothing else; one that is not
// measured is itself.
func TestADriverCanDoWhatItCould(t *testing.T) {
	type stirrer interface {
		Stirring(ctx context.Context, before time.Time) ([]int, error)
	}
	type notary interface {
		Notarize(ctx context.Context, log *slog.Logger, well func()) error
	}
	c := signals.NewCalls()
	if s, can := c.Store(stirs{}).(stirrer); !can {
		t.Error("what stirs is no more told")
	} else if shards, err := s.Stirring(t.Context(), time.Now()); err != nil || len(shards) != 1 {
		t.Errorf("stirring %v, %v", shards, err)
	}
	if _, can := c.Store(fails{}).(stirrer); can {
		t.Error("a driver learns to tell what stirs")
	}
	if _, can := c.Audit(notarizes{}).(notary); !can {
		t.Error("a log has no notary any more")
	}
	var nobody *signals.Calls
	if _, is := nobody.Store(stirs{}).(stirs); !is || nobody.Blobs(nil) != nil || nobody.Audit(nil) != nil || nobody.Sealer(nil) != nil || nobody.Verifier(nil) != nil {
		t.Error("nobody measures something")
	}
	if c.Store(nil) != nil || c.Blobs(nil) != nil {
		t.Error("nothing becomes a driver")
	}
}
