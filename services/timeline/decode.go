package timeline

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
)

// Decode reads what Encode wrote. Of other bytes it makes a well-formed Chunk
// (samples distinct and in order, none with its end before its start) or
// ErrDamaged, and takes memory in proportion to what they hold.
func Decode(data []byte) (Chunk, error) {
	ids, columns, err := unseal(kindChunk, data)
	if err != nil {
		return Chunk{}, fmt.Errorf("decode a day: %w", err)
	}
	if len(ids) > 16*MaxSamples {
		return Chunk{}, fmt.Errorf("decode a day: %w: more than %d samples", ErrDamaged, MaxSamples)
	}
	r := &reader{rest: columns}
	c := Chunk{Samples: make([]health.Sample, len(ids)/16)}
	for i := range c.Samples {
		c.Samples[i].UUID = health.UUID(ids[16*i:])
	}
	day := r.varint()
	if c.Day = health.Day(day); int64(c.Day) != day {
		r.fail()
	}
	runs := r.types(c.Samples)
	var tables [][]entry
	for _, f := range fields {
		tables = append(tables, r.dictionary(f, len(c.Samples)))
	}
	r.times(c.Day, runs, c.Samples)
	for i, f := range fields {
		r.entries(f, tables[i], c.Samples)
	}
	r.flags(c.Samples)
	for _, run := range runs {
		r.numbers(run, false)
	}
	for _, run := range runs {
		r.numbers(run, true)
	}
	if r.bad || len(r.rest) != 0 {
		return Chunk{}, fmt.Errorf("decode a day: %w: the columns do not fit", ErrDamaged)
	}
	for i := 1; i < len(c.Samples); i++ {
		if Compare(&c.Samples[i-1], &c.Samples[i]) >= 0 {
			return Chunk{}, fmt.Errorf("decode a day: %w: the samples are not in order", ErrDamaged)
		}
	}
	return c, nil
}

// A reader reads columns. After the first that does not fit it is bad and reads zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		return r.fail()
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		return int64(r.fail())
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) fail() uint64 {
	r.rest, r.bad = nil, true
	return 0
}

// count reads a number of things of which each takes at least one byte.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		n = r.fail()
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.count()
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) types(samples []health.Sample) (runs [][]health.Sample) {
	left := samples
	for range r.count() {
		name, n := string(r.bytes()), r.uvarint()
		if n == 0 || n > uint64(len(left)) {
			r.fail()
			return nil
		}
		for i := range left[:n] {
			left[i].Type = name
		}
		runs, left = append(runs, left[:n]), left[n:]
	}
	if len(left) != 0 {
		r.fail()
	}
	return runs
}

func (r *reader) dictionary(f field, samples int) []entry {
	n := r.count()
	if n > samples || n == 0 && samples > 0 {
		r.fail()
		return nil
	}
	type span struct{ from, to int }
	var text strings.Builder // of all entries
	if n > 100 {
		text.Grow(4 * len(r.rest))
	}
	spans := make([]span, n*f.width)
	for i := range spans {
		before := ""
		if i >= f.width {
			before = text.String()[spans[i-f.width].from:spans[i-f.width].to]
		}
		head, tail := r.uvarint(), r.uvarint()
		middle := r.bytes()
		if size := uint64(len(before)); head > size || tail > size-head || text.Len()+len(before)+len(middle) > maxColumns {
			r.fail()
			return nil
		}
		from := text.Len()
		text.WriteString(before[:head])
		text.Write(middle)
		text.WriteString(before[uint64(len(before))-tail:])
		spans[i] = span{from, text.Len()}
	}
	all, table := text.String(), make([]entry, n)
	for i, s := range spans {
		table[i/f.width][i%f.width] = all[s.from:s.to]
	}
	return table
}

func (r *reader) times(day health.Day, runs [][]health.Sample, samples []health.Sample) {
	for _, run := range runs {
		before := health.Instant(day) * dayMillis
		for i := range run {
			before += health.Instant(r.varint())
			run[i].Start = before
		}
	}
	for i := range samples {
		s := &samples[i]
		lasts := r.uvarint()
		if s.End = s.Start + health.Instant(lasts); lasts > math.MaxInt64 || s.End < s.Start {
			r.fail()
			return
		}
	}
}

func (r *reader) entries(f field, table []entry, samples []health.Sample) {
	if r.bad {
		return
	}
	for i := range samples {
		n := uint64(0)
		if len(table) > 1 {
			n = r.uvarint()
		}
		if n >= uint64(len(table)) {
			r.fail()
			return
		}
		f.set(&samples[i], &table[n])
	}
}

func (r *reader) flags(samples []health.Sample) {
	n := (len(samples) + 7) / 8
	if n > len(r.rest) {
		r.fail()
		return
	}
	for i := range samples {
		samples[i].UserEntered = r.rest[i/8]>>(i%8)&1 != 0
	}
	r.rest = r.rest[n:]
}

func (r *reader) numbers(run []health.Sample, originals bool) {
	if len(r.rest) == 0 {
		r.fail()
		return
	}
	code := r.rest[0]
	r.rest = r.rest[1:]
	put := func(s *health.Sample, v float64) {
		if originals {
			s.OriginalValue = v
		} else {
			s.Value = v
		}
	}
	switch {
	case code <= maxDecimals:
		var m int64
		for i := range run {
			m += r.varint()
			put(&run[i], float64(m)/powersOfTen[code])
		}
	case code == codeBits && 8*len(run) <= len(r.rest):
		for i := range run {
			put(&run[i], math.Float64frombits(binary.LittleEndian.Uint64(r.rest[8*i:])))
		}
		r.rest = r.rest[8*len(run):]
	case code == codeSame && originals:
		for i := range run {
			run[i].OriginalValue = run[i].Value
		}
	default:
		r.fail()
	}
}
