package trace_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/trace"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]trace.Parent{
		sampled:                                  {Trace: "0af7651916cd43dd8448eb211c80319c", Span: "b7ad6b7169203331", Sampled: true},
		unsampled:                                {Trace: "0af7651916cd43dd8448eb211c80319c", Span: "b7ad6b7169203331"},
		strings.TrimSuffix(sampled, "01") + "ff": {Trace: "0af7651916cd43dd8448eb211c80319c", Span: "b7ad6b7169203331", Sampled: true},
	} {
		if got, ok := trace.Parse(text); !ok || got != want {
			t.Errorf("%q is %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "00", sampled + "-", sampled + "\n", "01" + sampled[2:], "ff" + sampled[2:], strings.ToUpper(sampled), strings.Replace(sampled, "-", "_", 2),
		"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-" + strings.Repeat("0", 16) + "-01",
		strings.TrimSuffix(sampled, "01") + "0g", strings.TrimSuffix(sampled, "01") + "g0",
	} {
		if got, ok := trace.Parse(text); ok || got != (trace.Parent{}) {
			t.Errorf("%q is %+v, %v", text, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sampled)
	f.Add(unsampled)
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := trace.Parse(text)
		if !ok {
			return
		}
		flags := "00-" + p.Trace + "-" + p.Span + "-" + text[len(text)-2:]
		if flags != text || len(p.Trace) != 32 || len(p.Span) != 16 {
			t.Errorf("%q is %+v", text, p)
		}
	})
}

func nth(i int, flags string) string { return fmt.Sprintf("00-%032x-%016x-%s", i+1, i+1, flags) }

// Whose doing something is, is told of so many, and of those first that are kept.
func TestJoin(t *testing.T) {
	var all []string
	for i := range 12 {
		all = trace.Join(all, nth(i, "00"))
	}
	if len(all) != trace.MaxCauses || all[0] != nth(0, "00") {
		t.Fatalf("of those that are not kept: %v", all)
	}
	all = trace.Join(all, nth(20, "01"))
	if len(all) != trace.MaxCauses || all[0] != nth(20, "01") || all[1] != nth(1, "00") {
		t.Errorf("the first that is: %v", all)
	}
	for i := range 12 {
		all = trace.Join(all, nth(30+i, "01"))
	}
	want := []string{nth(20, "01"), nth(30, "01"), nth(31, "01"), nth(32, "01"), nth(33, "01"), nth(34, "01"), nth(35, "01"), nth(36, "01")}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("of those that are (-want +got):\n%s", diff)
	}
	for _, none := range []string{"", "x", nth(20, "01")} {
		if diff := cmp.Diff(all, trace.Join(all, none)); diff != "" {
			t.Errorf("%q adds (-want +got):\n%s", none, diff)
		}
	}
	before := []string{nth(0, "00")}
	if trace.Join(before, nth(1, "01")); before[0] != nth(0, "00") {
		t.Error("what was handed in is changed")
	}
}

// A recorder that notes how spans begin.
type noted struct{ starts *[]trace.Start }

type notedSpan struct {
	noted
	parent string
}

func (n noted) Start(s trace.Start) trace.Span {
	*n.starts = append(*n.starts, s)
	return notedSpan{n, s.Name}
}
func (s notedSpan) Begin(below trace.Start) trace.Span {
	below.Parent = s.parent
	return s.Start(below)
}
func (s notedSpan) Parent() string { return s.parent }
func (notedSpan) Set(...slog.Attr) {}
func (notedSpan) End(string)       {}

// What is sent is of the work that sends it, else of those that it is because of.
func TestWhoseDoingAMessageIs(t *testing.T) {
	var starts []trace.Start
	r := noted{&starts}
	ctx := trace.Because(t.Context(), "one", "two", "three")
	trace.Outgoing(ctx, r, trace.Start{Name: "because"})
	trace.Outgoing(trace.With(ctx, r.Start(trace.Start{Name: "work"})), r, trace.Start{Name: "of work"})
	trace.Outgoing(t.Context(), r, trace.Start{Name: "alone"})
	inner, _ := trace.Begin(trace.With(t.Context(), r.Start(trace.Start{Name: "outer"})), "inner")
	trace.Begin(inner, "innermost")
	want := []trace.Start{
		{Name: "because", Parent: "one", Links: []string{"two", "three"}},
		{Name: "work"}, {Name: "of work", Parent: "work"}, {Name: "alone"},
		{Name: "outer"}, {Name: "inner", Parent: "outer"}, {Name: "innermost", Parent: "inner"},
	}
	if diff := cmp.Diff(want, starts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a recorder nothing is recorded, and nobody has to ask.
func TestNobodyRecords(t *testing.T) {
	ctx, s := trace.Begin(context.Background(), "a")
	s.Set(slog.Int("n", 1))
	s.End("")
	below := trace.Outgoing(ctx, trace.None(), trace.Start{Name: "b"}).Begin(trace.Start{})
	if s.Parent() != "" || below.Parent() != "" || trace.From(t.Context()).Parent() != "" {
		t.Error("somebody records")
	}
}
