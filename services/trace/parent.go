package trace

import "slices"

// A Parent is what a traceparent says.
type Parent struct {
	Trace, Span string // in hexadecimal
	Sampled     bool
}

// The parts of a traceparent: 00-TRACE-SPAN-FLAGS.
const (
	traceAt   = 3
	traceEnds = traceAt + 32
	spanAt    = traceEnds + 1
	spanEnds  = spanAt + 16
	flagsAt   = spanEnds + 1
	length    = flagsAt + 2
)

// Parse reads a traceparent of version 00; ok is false for what is none.
func Parse(traceparent string) (p Parent, ok bool) {
	if len(traceparent) != length || traceparent[:traceAt] != "00-" || traceparent[traceEnds] != '-' || traceparent[spanEnds] != '-' {
		return Parent{}, false
	}
	p.Trace, p.Span = traceparent[traceAt:traceEnds], traceparent[spanAt:spanEnds]
	high, okHigh := digit(traceparent[flagsAt])
	low, okLow := digit(traceparent[flagsAt+1])
	if !number(p.Trace) || !number(p.Span) || !okHigh || !okLow {
		return Parent{}, false
	}
	p.Sampled = (high<<4|low)&1 == 1
	return p, true
}

// number says whether the text is a number in lower hexadecimal digits, and not 0.
func number(text string) bool {
	is := false
	for i := range len(text) {
		n, ok := digit(text[i])
		if !ok {
			return false
		}
		is = is || n > 0
	}
	return is
}

func digit(c byte) (n int, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10, true
	}
	return 0, false
}

// MaxCauses is of how many others one piece of work says that it is their doing.
const MaxCauses = 8

// Join adds a traceparent to those whose doing one piece of work is: at the front where
// it is the first that is kept, so that what comes of it is kept, too; and where there is
// no room more, in the place of one that is not.
func Join(causes []string, traceparent string) []string {
	p, ok := Parse(traceparent)
	if !ok || slices.Contains(causes, traceparent) {
		return causes
	}
	kept := func(cause string) bool { other, _ := Parse(cause); return other.Sampled }
	causes = slices.Clone(causes)
	if len(causes) >= MaxCauses {
		i := slices.IndexFunc(causes, func(cause string) bool { return !kept(cause) })
		if !p.Sampled || i < 0 {
			return causes
		}
		causes = slices.Delete(causes, i, i+1)
	}
	if p.Sampled && !slices.ContainsFunc(causes, kept) {
		return slices.Insert(causes, 0, traceparent)
	}
	return append(causes, traceparent)
}
