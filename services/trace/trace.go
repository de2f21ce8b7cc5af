// Package trace is the contract for traces: spans, each a piece of work that took its
// time, that say by whose doing they are. So one sees the whole way of an upload through
// the processes that had a part in it.
//
// A Recorder records spans. A span is the child of one before it, in this process or,
// by what a message carries, in another; where it is the doing of several it is the
// child of the first, and linked to the others. What begins by itself begins a trace.
//
// # What travels
//
// A message carries the traceparent of W3C's Trace Context, and nothing else: no
// tracestate, no baggage. It is read strictly, and what is none is as nothing. It comes
// from processes of ours alone. What a phone says of its own traces is not read at all:
// it raises no sampling, names no trace of ours, and stands nowhere.
//
// # What is kept
//
// A driver keeps the traces it was told to, and beside those what failed: all spans of
// the one piece of work in this process in which a span failed. What other processes
// did for the same trace is not called back.
//
// # What a span may say
//
// A span's name and what it has are constants of the code, and words from written lists:
// a route's template, a topic, a class of fault. Never a uid, a token, an id that a phone
// made, a key, a path, a query, the text of an error, or a value.
//
// Recording never fails and holds nobody up: what cannot be sent is dropped.
package trace

import (
	"context"
	"log/slog"
	"time"
)

// A Recorder records spans.
type Recorder interface {
	// Start begins a span that has none above it in this process.
	Start(s Start) Span
}

// A Start is how a span begins.
type Start struct {
	Name   string
	Kind   Kind
	Parent string    // the traceparent of another process's span; "" begins a trace
	Links  []string  // those of others whose doing it is, too
	At     time.Time // zero is now
	Attrs  []slog.Attr
}

// A Span is a piece of work that goes on. Its methods may be called concurrently.
type Span interface {
	// Parent is the traceparent of what the span brings about; "" where nobody records.
	Parent() string
	// Begin begins a span below.
	Begin(s Start) Span
	// Set says more of it.
	Set(attrs ...slog.Attr)
	// End ends it, once. failed says in a word from a written list why it failed; "" where
	// it did not.
	End(failed string)
}

// A Kind is a span's part in what travels.
type Kind int

// The kinds, as OpenTelemetry has them.
const (
	Internal Kind = iota
	Server        // answers a request
	Client        // waits for an answer
	Producer      // sends a message
	Consumer      // handles one
)

// None records nothing.
func None() Recorder { return nothing{} }

type nothing struct{}

func (nothing) Start(Start) Span { return nothing{} }
func (nothing) Begin(Start) Span { return nothing{} }
func (nothing) Parent() string   { return "" }
func (nothing) Set(...slog.Attr) {}
func (nothing) End(string)       {}

type spanKey struct{}

// With is the context of work that is the span's.
func With(ctx context.Context, s Span) context.Context { return context.WithValue(ctx, spanKey{}, s) }

// From is the span whose work the context is of; one that records nothing where there
// is none.
func From(ctx context.Context) Span {
	if s, is := ctx.Value(spanKey{}).(Span); is {
		return s
	}
	return nothing{}
}

// Begin begins a span within this process, below the context's.
func Begin(ctx context.Context, name string, attrs ...slog.Attr) (context.Context, Span) {
	s := From(ctx).Begin(Start{Name: name, Attrs: attrs})
	return With(ctx, s), s
}

type causesKey struct{}

// Because is the context of work that is the doing of others: their traceparents, the
// first of which is its parent. It is for work without a span of its own.
func Because(ctx context.Context, causes ...string) context.Context {
	return context.WithValue(ctx, causesKey{}, causes)
}

// Outgoing begins the span of a message that is sent: below the context's, or as the
// doing of those that it is because of.
func Outgoing(ctx context.Context, r Recorder, s Start) Span {
	if above := From(ctx); above.Parent() != "" {
		return above.Begin(s)
	}
	if causes, _ := ctx.Value(causesKey{}).([]string); len(causes) > 0 {
		s.Parent, s.Links = causes[0], causes[1:]
	}
	return r.Start(s)
}
