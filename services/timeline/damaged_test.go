package timeline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
)

// The parts of a chunk's columns: two samples of the type "a" at 1 and 2 ms.
type parts struct{ day, types, zone, rest, starts, lengths, entries, flags, values, originals []byte }

func wellFormed() parts {
	return parts{
		day: []byte{0}, types: []byte{1, 1, 'a', 2},
		zone: []byte{1, 0, 0, 0}, // one entry: no byte like the one before, and none of its own
		// units, the source with four texts, metadata and raw: one empty entry each
		rest:   slices.Concat([]byte{1, 0, 0, 0}, []byte{1, 0, 0, 0}, append([]byte{1}, make([]byte, 12)...), []byte{1, 0, 0, 0}, []byte{1, 0, 0, 0}),
		starts: []byte{2, 2}, lengths: []byte{0, 0}, flags: []byte{0}, values: []byte{0, 0, 0}, originals: []byte{codeSame},
	}
}

func (p parts) columns() []byte {
	return slices.Concat(p.day, p.types, p.zone, p.rest, p.starts, p.lengths, p.entries, p.flags, p.values, p.originals)
}

func eightBytes(values ...float64) []byte {
	out := []byte{codeBits}
	for _, v := range values {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
	}
	return out
}

func unending(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

func TestColumnsThatAreNoneAreDamage(t *testing.T) {
	ids := make([]byte, 32)
	const unfit, disorder = "the columns do not fit", "the samples are not in order"
	tests := map[string]struct {
		change func(p *parts)
		want   string // "" where it is well-formed
	}{
		"as they are":                           {func(*parts) {}, ""},
		"values in eight bytes to the very end": {func(p *parts) { p.values, p.originals = eightBytes(1, 2), eightBytes(3, 4) }, ""},
		"two zones":                             {func(p *parts) { p.zone, p.entries = []byte{2, 0, 0, 1, 'A', 0, 1, 1, 'B'}, []byte{0, 1} }, ""},
		"a byte behind them":                    {func(p *parts) { p.originals = []byte{codeSame, 0} }, unfit},
		"a day beyond all calendars":            {func(p *parts) { p.day = binary.AppendVarint(nil, math.MaxInt32+1) }, unfit},
		"a day that does not end":               {func(p *parts) { p.day = unending(11) }, unfit},
		"a type of no samples":                  {func(p *parts) { p.types = []byte{2, 1, 'a', 2, 1, 'b', 0} }, unfit},
		"a type of more than there are":         {func(p *parts) { p.types = []byte{1, 1, 'a', 3} }, unfit},
		"types of fewer than there are":         {func(p *parts) { p.types = []byte{1, 1, 'a', 1}; p.starts = []byte{2} }, unfit},
		"a number of types that does not end":   {func(p *parts) { p.types = unending(11) }, unfit},
		"more zones than samples":               {func(p *parts) { p.zone, p.entries = []byte{3, 0, 0, 1, 'A', 0, 0, 1, 'B', 0, 0, 1, 'C'}, []byte{0, 1} }, unfit},
		"no zone":                               {func(p *parts) { p.zone = []byte{0} }, unfit},
		"a text that begins like none":          {func(p *parts) { p.zone = []byte{1, 1, 0, 0} }, unfit},
		"a text that ends like none":            {func(p *parts) { p.zone = []byte{1, 0, 1, 0} }, unfit},
		"a text that overlaps itself":           {func(p *parts) { p.zone, p.entries = []byte{2, 0, 0, 2, 'A', 'B', 1, 2, 0}, []byte{0, 1} }, unfit},
		"an entry that is none":                 {func(p *parts) { p.zone, p.entries = []byte{2, 0, 0, 1, 'A', 0, 0, 1, 'B'}, []byte{0, 2} }, unfit},
		"a start that does not end":             {func(p *parts) { p.starts = unending(12) }, unfit},
		"an end before all time":                {func(p *parts) { p.lengths = append(binary.AppendUvarint(nil, math.MaxInt64+1), 0) }, unfit},
		"an end that comes around":              {func(p *parts) { p.lengths = append(binary.AppendUvarint(nil, math.MaxInt64), 0) }, unfit},
		"a coding that is none":                 {func(p *parts) { p.values = []byte{9, 0, 0} }, unfit},
		"values like the originals":             {func(p *parts) { p.values, p.originals = []byte{codeSame}, []byte{codeSame} }, unfit},
		"a byte too few of eight a value":       {func(p *parts) { p.values, p.originals = eightBytes(1, 2), eightBytes(3, 4)[:16] }, unfit},
		"a sample twice":                        {func(p *parts) { p.starts = []byte{2, 0} }, disorder},
		"a sample after a later one":            {func(p *parts) { p.starts = []byte{4, 1} }, disorder},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := wellFormed()
			tt.change(&p)
			c, err := Decode(seal(kindChunk, ids, p.columns()))
			switch {
			case tt.want == "" && (err != nil || len(c.Samples) != 2 || c.Samples[1].Start != 2):
				t.Errorf("%+v, %v", c, err)
			case tt.want != "" && (!errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), tt.want)):
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
	whole := wellFormed().columns()
	for n := 1; n < len(whole); n++ {
		if _, err := Decode(seal(kindChunk, ids, whole[:n])); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestManySmallTextsComeBack(t *testing.T) {
	for _, n := range []int{100, 101, 102, 400} { // above 100 their room is made at once
		c := Chunk{Samples: make([]health.Sample, n)}
		for i := range c.Samples {
			c.Samples[i].Start, c.Samples[i].End = health.Instant(i), health.Instant(i)
			c.Samples[i].Metadata = strings.Repeat("ä", i%7) + string(rune('a'+i%26)) + strings.Repeat("z", i%5)
		}
		data, _, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Samples {
			if back.Samples[i] != c.Samples[i] {
				t.Fatalf("%d samples: sample %d is %+v", n, i, back.Samples[i])
			}
		}
	}
}

func TestMoreSamplesThanADayHoldsAreDamage(t *testing.T) {
	for n, want := range map[int]string{
		MaxSamples:     "decode a day: timeline: damaged encoding: the columns do not fit", // there are none for so many
		MaxSamples + 1: "decode a day: timeline: damaged encoding: more than 200000 samples",
	} {
		_, err := Decode(seal(kindChunk, make([]byte, 16*n), []byte{0, 0}))
		if err == nil || err.Error() != want {
			t.Errorf("%d samples: %v, want %s", n, err, want)
		}
	}
}

func TestWhatIsWrongWithAFrame(t *testing.T) {
	ids, columns := make([]byte, 32), wellFormed().columns()
	sealed := func(change func(d []byte)) []byte {
		d := seal(kindChunk, ids, columns)
		change(d)
		return d
	}
	resummed := func(change func(d []byte)) []byte {
		return sealed(func(d []byte) {
			change(d)
			binary.LittleEndian.PutUint32(d[5:], crc32.Checksum(d[9:], castagnoli))
		})
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"nothing":                    {nil, "it has another header"},
		"a byte less than a header":  {sealed(func([]byte) {})[:headerBytes-1], "it has another header"},
		"a header alone":             {sealed(func([]byte) {})[:headerBytes], "the checksum differs"},
		"another kind":               {seal(kindTombstones, ids, nil), "it has another header"},
		"a flipped bit":              {sealed(func(d []byte) { d[20] ^= 1 }), "the checksum differs"},
		"more columns than may be":   {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[13:], maxColumns+1) }), "the header contradicts the length"},
		"as many as may be":          {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[13:], maxColumns) }), "the columns have another length"},
		"more uuids than fit":        {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[9:], uint32(len(d)-headerBytes)/16+1) }), "the header contradicts the length"},
		"no columns, but bytes":      {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[13:], 0) }), "the header contradicts the length"},
		"a column less than said":    {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[13:], uint32(len(columns)+1)) }), "the columns have another length"},
		"columns that are not zstd":  {resummed(func(d []byte) { d[headerBytes+32] ^= 1 }), "invalid input: magic number mismatch"},
		"columns that take too much": {resummed(func(d []byte) { binary.LittleEndian.PutUint32(d[13:], uint32(len(columns)-1)) }), "decompressed size exceeds configured limit"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := unseal(kindChunk, tt.data)
			if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// Columns that become far longer than they are packed need several tries for
// their room.
func TestColumnsThatPackWellComeBack(t *testing.T) {
	for _, n := range []int{1, 64 << 10, 64<<10 + 16, 1 << 20, 5 << 20} {
		columns := make([]byte, n)
		_, got, err := unseal(kindChunk, seal(kindChunk, nil, columns))
		if err != nil || !bytes.Equal(got, columns) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
	}
}

func TestTombstonesThatAreNoneAreDamage(t *testing.T) {
	one, two := health.UUID{1}, health.UUID{2}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"columns":      {seal(kindTombstones, one[:], []byte{0}), "damaged encoding"},
		"out of order": {seal(kindTombstones, append(two[:], one[:]...), nil), "they are not in order"},
		"one twice":    {seal(kindTombstones, append(one[:], one[:]...), nil), "they are not in order"},
		"too many":     {seal(kindTombstones, make([]byte, 16*(MaxTombstones+1)), nil), "damaged encoding"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			set, err := DecodeTombstones(tt.data)
			if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), tt.want) || set.Len() != 0 {
				t.Errorf("%d, error %v, want %s", set.Len(), err, tt.want)
			}
		})
	}
}

func TestAPersonHasAMostOfTombstones(t *testing.T) {
	most := make([]health.UUID, MaxTombstones)
	for i := range most {
		binary.BigEndian.PutUint32(most[i][:], uint32(i))
	}
	set, news, err := Tombstones{}.Add(most)
	if err != nil || news != MaxTombstones {
		t.Fatalf("%d new, %v", news, err)
	}
	if back, err := DecodeTombstones(set.Encode()); err != nil || back.Len() != MaxTombstones {
		t.Errorf("%d come back, %v", back.Len(), err)
	}
	if _, _, err := set.Add([]health.UUID{{15: 1}}); err == nil || err.Error() != "add tombstones: timeline: too much: more than 2000000" {
		t.Errorf("one more: %v", err)
	}
}

// A filter is kept beside its chunk: another function would read the kept ones
// wrongly, and a deletion would miss its day.
func TestTheFilterStaysWhatItIs(t *testing.T) {
	c := Chunk{Samples: []health.Sample{{UUID: health.UUID{1}}, {UUID: health.UUID{15: 2}}, {UUID: health.UUID{0xbd, 0xac, 0x71, 0xf6, 0x33, 0x98, 0x4b, 0xdd, 0xa5, 0x6c, 0x7b, 0xd5, 9, 0x88, 0xd8, 0x7a}}}}
	if got, want := c.Filter(), []byte{0x73, 0x21, 0xfc, 0x16}; !bytes.Equal(got, want) {
		t.Errorf("filter %#v, want %#v", got, want)
	}
}

// What repeats is written once, and what begins or ends like the text before it
// is not written again. The digest is of these bytes: they are kept, too.
func TestADictionaryHoldsEachTextOnce(t *testing.T) {
	var samples []health.Sample
	for i, text := range []string{"abc1", "abc2", "abc1", "xbc2", "abc1"} {
		samples = append(samples, health.Sample{Metadata: text, Start: health.Instant(i), End: health.Instant(i)})
	}
	metadata := fields[4]
	got, index := appendDictionary(nil, samples, metadata)
	want := slices.Concat([]byte{3}, []byte{0, 0, 4}, []byte("abc1"), []byte{3, 0, 1}, []byte("2"), []byte{0, 3, 1}, []byte("x"))
	if !bytes.Equal(got, want) {
		t.Errorf("dictionary %q, want %q", got, want)
	}
	if !slices.Equal(index, []uint32{0, 1, 0, 2, 0}) {
		t.Errorf("entries %v", index)
	}
}

// How much text a day holds is counted as it is encoded: what repeats, once.
func TestTextIsCountedAsItIsEncoded(t *testing.T) {
	watch, phone := health.Source{BundleID: "12", Name: "123", ProductType: "1234", OSVersion: "12345"}, health.Source{Name: "1234567"}
	a := health.Sample{Type: "a", Unit: "12", OriginalUnit: "1234", Zone: "12345678"} // 15 bytes
	with := func(s health.Sample, change func(s *health.Sample)) health.Sample {
		change(&s)
		return s
	}
	tests := map[string]struct {
		samples []health.Sample
		want    int
	}{
		"nothing":                          {nil, 0},
		"one sample":                       {[]health.Sample{a}, 15},
		"the same texts again":             {[]health.Sample{a, a, a}, 15},
		"another type":                     {[]health.Sample{a, with(a, func(s *health.Sample) { s.Type = "b" })}, 30},
		"another unit as it was sent":      {[]health.Sample{a, with(a, func(s *health.Sample) { s.OriginalUnit = "1" })}, 27},
		"another zone":                     {[]health.Sample{a, with(a, func(s *health.Sample) { s.Zone = "" })}, 22},
		"metadata and raw, always":         {slices.Repeat([]health.Sample{with(a, func(s *health.Sample) { s.Metadata, s.Raw = "123", "12345" })}, 2), 31},
		"a source":                         {slices.Repeat([]health.Sample{{Source: watch}}, 2), 14},
		"sources by turns, each time anew": {[]health.Sample{{Source: watch}, {Source: phone}, {Source: watch}}, 35},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := textBytes(tt.samples); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
	for more, full := range map[int]bool{0: false, 1: true} {
		_, _, err := Merge(Chunk{}, []health.Sample{{Raw: strings.Repeat("x", maxText+more)}}, Tombstones{})
		if errors.Is(err, ErrFull) != full {
			t.Errorf("%d bytes more than may be: %v", more, err)
		}
	}
}

func TestFalseComesBeforeTrue(t *testing.T) {
	no, yes := health.Sample{}, health.Sample{UserEntered: true}
	if Compare(&no, &yes) != -1 || Compare(&yes, &no) != 1 || Compare(&yes, &yes) != 0 {
		t.Errorf("%d, %d, %d", Compare(&no, &yes), Compare(&yes, &no), Compare(&yes, &yes))
	}
}

func TestSamplesOfSeveralDaysAreInOrder(t *testing.T) {
	at := func(id byte, start health.Instant) health.Sample {
		return health.Sample{UUID: health.UUID{id}, Type: "a", Start: start, End: start}
	}
	v := NewView(Chunk{Day: 2, Samples: []health.Sample{at(1, 20), at(2, 21)}}, Chunk{Day: 1, Samples: []health.Sample{at(3, 10), at(4, 30)}})
	var starts []health.Instant
	for _, s := range v.Samples("a") {
		starts = append(starts, s.Start)
	}
	if want := []health.Instant{10, 20, 21, 30}; !slices.Equal(starts, want) {
		t.Errorf("starts %v, want %v", starts, want)
	}
}

func TestOfZonesAsFrequentTheFirstByNameCounts(t *testing.T) {
	for range 20 { // whatever the order of the map
		var c Chunk
		for _, zone := range []string{"D", "C", "B", "E", "B", "D"} {
			c.Samples = append(c.Samples, health.Sample{Zone: zone})
		}
		if got := c.Zone(); got != "B" {
			t.Fatalf("zone %s", got)
		}
	}
}
