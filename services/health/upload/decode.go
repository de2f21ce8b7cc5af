package upload

import (
	"strconv"
	"sync"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// Decode reads an inflated body in one pass. now bounds how far ahead a sample
// may start; whoever decodes a body again passes the same now, and gets the
// same verdicts.
//
// The error is an *Error where the whole body is refused: it is not JSON, not
// an upload, or too much. A sample that is merely wrong is a Rejection in the
// Envelope and costs no other sample.
//
// When the body was read to its end and accepted, emit is called for each
// accepted sample or series in order. The Sample is emit's during the call only; the
// strings in it are copies and may be kept. With a nil emit nothing is built
// for a sample and nothing allocated; the verdicts are the same.
func Decode(body []byte, now health.Instant, emit func(*health.Sample)) (*Envelope, error) {
	d, ok := decoders.Get().(*decoder)
	if !ok {
		d = newDecoder()
	}
	defer d.release()
	d.data, d.latest, d.keep = body, now+futureAllowance, emit != nil
	d.env = &Envelope{Stage: Daily}
	d.where, d.kind, d.index = "", "", -1
	if i := d.envelope(d.space(0)); i < 0 || d.finishEnvelope(i) < 0 {
		return nil, d.err
	}
	for i := range d.samples {
		s := &d.samples[i]
		if s.Zone == "" {
			s.Zone = d.env.TimeZone
		}
		emit(s)
	}
	return d.env, nil
}

// futureAllowance is how far ahead of the server a phone's clock may be.
const futureAllowance = 24 * 60 * 60 * 1000

// A decoder is the state of one pass; it is used again for other bodies.
type decoder struct {
	data   []byte
	latest health.Instant // a sample may start
	keep   bool           // build samples
	env    *Envelope
	err    *Error

	// Where in the envelope: for the error's path.
	where string // "", "/samples", …
	kind  string // of the upload: its schema
	index int    // entry of a list, or -1

	// The sample being read. strict: look for repeated names and huge numbers,
	// which ends with the first rejection. halfPair: a string had half a
	// surrogate pair.
	record      record
	code        reject.Code
	detail      string
	strict      bool
	halfPair    bool
	limit       int // the place up to which strict holds
	limitDetail string

	names      [][]byte // of the objects being read, outermost first
	members    []member // of the metadata
	arena      []byte   // strings without their escapes
	canon      []byte
	date       lastDate
	zones      zones
	sources    [4]seenSource
	nextSource int
	rejected   []health.Rejection
	warnings   [warnKinds]health.Warning
	samples    []health.Sample
	interned   map[string]string
	measures   []measure // of a location
}

var decoders sync.Pool

func newDecoder() *decoder {
	return &decoder{date: lastDate{date: ^uint64(0)}, interned: map[string]string{}, measures: measures(), zones: zones{valid: map[string]string{}}}
}

// release forgets everything of the body and puts the decoder back, unless the
// body made it large.
func (d *decoder) release() {
	if cap(d.samples) > 4096 || cap(d.rejected) > 4096 || cap(d.arena)+cap(d.canon) > 1<<18 || len(d.interned) > 4096 ||
		cap(d.names)+cap(d.members) > 512 {
		return
	}
	d.data, d.env, d.err = nil, nil, nil
	d.record, d.code, d.detail, d.halfPair = record{}, "", "", false
	d.sources, d.nextSource = [4]seenSource{}, 0
	clear(d.samples)
	clear(d.names[:cap(d.names)])
	clear(d.members[:cap(d.members)])
	clear(d.arena[:cap(d.arena)])
	clear(d.canon[:cap(d.canon)])
	clear(d.interned)
	d.samples, d.rejected, d.names, d.members = d.samples[:0], d.rejected[:0], d.names[:0], d.members[:0]
	d.arena, d.canon = d.arena[:0], d.canon[:0]
	d.warnings = [warnKinds]health.Warning{}
	d.zones.forget()
	decoders.Put(d)
}

func (d *decoder) fail(code ErrorCode, offset int, detail string) int {
	if d.err == nil {
		path := d.where
		if d.index >= 0 {
			path += "/" + strconv.Itoa(d.index)
		}
		d.err = &Error{Code: code, Offset: offset, Path: path, Detail: detail + " (byte " + strconv.Itoa(offset) + ")"}
	}
	return -1
}

func (d *decoder) malformed(offset int, detail string) int {
	return d.fail(Malformed, offset, detail)
}

// unexpected is the error of a place that should hold something else.
func (d *decoder) unexpected(i int, want string) int {
	switch {
	case i < 0:
		return i
	case i >= len(d.data):
		return d.malformed(len(d.data), "the body ends where "+want+" should be")
	}
	return d.malformed(i, "there should be "+want)
}

func (d *decoder) tooDeep(i int) int {
	return d.fail(TooDeep, i, "the body is nested more than "+strconv.Itoa(MaxDepth)+" deep")
}

func (d *decoder) invalid(i int, detail string) int { return d.fail(BadEnvelope, i, detail) }

// reject notes why the present sample is not taken; the first reason stays.
func (d *decoder) reject(code reject.Code, detail string) {
	if d.code == "" {
		d.code, d.detail = code, detail
	}
	d.strict = false
}

// intern copies a string once a body.
func (d *decoder) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	s, ok := d.interned[string(b)]
	if !ok {
		s = string(b)
		d.interned[s] = s
	}
	return s
}
