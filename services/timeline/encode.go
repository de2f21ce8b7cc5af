package timeline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/clarity-loop/clarity/services/health"
)

// The columns of a chunk, numbers as varints unless said otherwise:
//
//	day
//	number of types; of each its name and how many samples it has
//	dictionaries of zone, unit, original unit, source (four strings an entry),
//	  metadata, raw: number of entries, then the entries, by first appearance;
//	  of each string how many bytes it begins and ends with like that of the
//	  entry before, and what is between
//	start of each sample, as the difference to the one before it of its type
//	  (of the first: to the day's start in UTC), in milliseconds
//	end less start of each sample
//	for each dictionary of more than one entry: the entry of each sample
//	user entered: one bit a sample, the lowest first
//	values of each type: a coding (one byte) and the numbers
//	original values of each type, likewise
//
// A string is its length and its bytes.

// The codings of a type's numbers.
const (
	// 0 to maxDecimals: multiplied by that power of ten all are integers, and
	// divided again what they were; differences from one to the next.
	maxDecimals = 6
	codeBits    = 7 // eight bytes a number, little-endian
	codeSame    = 8 // original values only: equal to the values
)

var powersOfTen = [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}

const exactInteger = 1 << 53

// Encode is a function of the set of samples: equal chunks, equal bytes. The
// error is ErrFull.
func Encode(c Chunk) (data []byte, digest string, err error) {
	ids, columns := encodeColumns(c)
	if len(columns) > maxColumns || len(c.Samples) > MaxSamples {
		return nil, "", fmt.Errorf("encode a day: %w: %d samples, %d bytes", ErrFull, len(c.Samples), len(columns))
	}
	return seal(kindChunk, ids, columns), digestOf(ids, columns), nil
}

// Digest names the set of samples: the hexadecimal SHA-256 of the encoding
// before compression. Equal sets have equal digests, whatever compressed them.
func Digest(c Chunk) string { return digestOf(encodeColumns(c)) }

func digestOf(ids, columns []byte) string {
	h := sha256.New()
	h.Write([]byte(magic))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(ids))))
	h.Write(ids)
	h.Write(columns)
	return hex.EncodeToString(h.Sum(nil))
}

func encodeColumns(c Chunk) (ids, columns []byte) {
	ids = make([]byte, 0, 16*len(c.Samples))
	for i := range c.Samples {
		ids = append(ids, c.Samples[i].UUID[:]...)
	}
	out := make([]byte, 0, 24*len(c.Samples)+1024)
	out = binary.AppendVarint(out, int64(c.Day))
	runs := runsOf(c.Samples)
	out = binary.AppendUvarint(out, uint64(len(runs)))
	for _, run := range runs {
		out = appendString(out, run[0].Type)
		out = binary.AppendUvarint(out, uint64(len(run)))
	}
	var indexes [][]uint32
	for _, field := range fields {
		var index []uint32
		out, index = appendDictionary(out, c.Samples, field)
		indexes = append(indexes, index)
	}
	out = appendTimes(out, c.Day, runs, c.Samples)
	for _, index := range indexes {
		for _, entry := range index {
			out = binary.AppendUvarint(out, uint64(entry))
		}
	}
	out = appendFlags(out, c.Samples)
	var values, originals []float64
	for _, run := range runs {
		values = values[:0]
		for i := range run {
			values = append(values, run[i].Value)
		}
		out = appendNumbers(out, values)
	}
	for _, run := range runs {
		values, originals = values[:0], originals[:0]
		for i := range run {
			values, originals = append(values, run[i].Value), append(originals, run[i].OriginalValue)
		}
		if sameBits(values, originals) {
			out = append(out, codeSame)
			continue
		}
		out = appendNumbers(out, originals)
	}
	return ids, out
}

// runsOf cuts the sorted samples by type.
func runsOf(samples []health.Sample) [][]health.Sample {
	var runs [][]health.Sample
	from := 0
	for i := range samples {
		if i+1 == len(samples) || samples[i+1].Type != samples[i].Type {
			runs = append(runs, samples[from:i+1])
			from = i + 1
		}
	}
	return runs
}

func appendString(out []byte, s string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(s))), s...)
}

// A dictionary's entry; those of one string use the first.
type entry [4]string

// fields are the columns that have a dictionary, with how many strings an entry has.
var fields = []field{
	{1, func(s *health.Sample) entry { return entry{s.Zone} }, func(s *health.Sample, e *entry) { s.Zone = e[0] }},
	{1, func(s *health.Sample) entry { return entry{s.Unit} }, func(s *health.Sample, e *entry) { s.Unit = e[0] }},
	{1, func(s *health.Sample) entry { return entry{s.OriginalUnit} }, func(s *health.Sample, e *entry) { s.OriginalUnit = e[0] }},
	{4, func(s *health.Sample) entry {
		return entry{s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Source.OSVersion}
	}, func(s *health.Sample, e *entry) {
		s.Source = health.Source{BundleID: e[0], Name: e[1], ProductType: e[2], OSVersion: e[3]}
	}},
	{1, func(s *health.Sample) entry { return entry{s.Metadata} }, func(s *health.Sample, e *entry) { s.Metadata = e[0] }},
	{1, func(s *health.Sample) entry { return entry{s.Raw} }, func(s *health.Sample, e *entry) { s.Raw = e[0] }},
}

type field struct {
	width int
	get   func(*health.Sample) entry
	set   func(*health.Sample, *entry)
}

// appendDictionary writes the entries and returns that of each sample; nil
// where there is only one.
func appendDictionary(out []byte, samples []health.Sample, f field) ([]byte, []uint32) {
	places := map[entry]uint32{}
	var entries []entry
	index := make([]uint32, len(samples))
	for i := range samples {
		e := f.get(&samples[i])
		if i > 0 && e == entries[index[i-1]] {
			index[i] = index[i-1]
			continue
		}
		place, ok := places[e]
		if !ok {
			place = uint32(len(entries))
			places[e] = place
			entries = append(entries, e)
		}
		index[i] = place
	}
	out = binary.AppendUvarint(out, uint64(len(entries)))
	var before entry
	for _, e := range entries {
		for i, s := range e[:f.width] {
			head, tail := shared(before[i], s)
			out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(head)), uint64(tail))
			out = appendString(out, s[head:len(s)-tail])
		}
		before = e
	}
	if len(entries) <= 1 {
		index = nil
	}
	return out, index
}

// shared is how many bytes two strings begin and end with alike, without overlap.
func shared(a, b string) (head, tail int) {
	most := min(len(a), len(b))
	for head < most && a[head] == b[head] {
		head++
	}
	for tail < most-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

const dayMillis = 24 * 60 * 60 * 1000

func appendTimes(out []byte, day health.Day, runs [][]health.Sample, samples []health.Sample) []byte {
	for _, run := range runs {
		before := health.Instant(day) * dayMillis
		for i := range run {
			out = binary.AppendVarint(out, int64(run[i].Start-before))
			before = run[i].Start
		}
	}
	for i := range samples {
		out = binary.AppendUvarint(out, uint64(samples[i].End-samples[i].Start))
	}
	return out
}

func appendFlags(out []byte, samples []health.Sample) []byte {
	for i := 0; i < len(samples); i += 8 {
		var flags byte
		for bit := range min(8, len(samples)-i) {
			if samples[i+bit].UserEntered {
				flags |= 1 << bit
			}
		}
		out = append(out, flags)
	}
	return out
}

func appendNumbers(out []byte, numbers []float64) []byte {
	for decimals := range maxDecimals + 1 {
		if !areDecimal(numbers, powersOfTen[decimals]) {
			continue
		}
		out = append(out, byte(decimals))
		var before int64
		for _, v := range numbers {
			m := int64(math.Round(v * powersOfTen[decimals]))
			out = binary.AppendVarint(out, m-before)
			before = m
		}
		return out
	}
	out = append(out, codeBits)
	for _, v := range numbers {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
	}
	return out
}

// areDecimal says whether each number is exactly an integer divided by scale.
func areDecimal(numbers []float64, scale float64) bool {
	for _, v := range numbers {
		m := math.Round(v * scale)
		if !(math.Abs(m) < exactInteger) || math.Float64bits(float64(int64(m))/scale) != math.Float64bits(v) {
			return false
		}
	}
	return true
}

func sameBits(a, b []float64) bool {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}
