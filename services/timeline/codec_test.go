package timeline_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
	"github.com/clarity-loop/clarity/services/timeline"
)

// realistic is a day as a Watch records it.
func realistic(t testing.TB, n int) timeline.Chunk {
	t.Helper()
	var samples []health.Sample
	body := uploadtest.Body(n, uploadtest.Options{})
	now := health.InstantOf(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
	if _, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) }); err != nil {
		t.Fatal(err)
	}
	day, err := timeline.NewCalendar().Day(&samples[0])
	if err != nil {
		t.Fatal(err)
	}
	return merged(t, timeline.Chunk{Day: day}, samples)
}

func merged(t testing.TB, c timeline.Chunk, add []health.Sample) timeline.Chunk {
	t.Helper()
	c, _, err := timeline.Merge(c, add, timeline.Tombstones{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func encoded(t testing.TB, c timeline.Chunk) []byte {
	t.Helper()
	data, digest, err := timeline.Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	if digest != timeline.Digest(c) {
		t.Fatalf("Encode's digest %s is not Digest's %s", digest, timeline.Digest(c))
	}
	return data
}

// odd are samples with every field at its edges, each with a uuid of its own.
func odd() []health.Sample {
	samples := edges()
	for i := range samples {
		samples[i].UUID[7] = byte(i)
	}
	return samples
}

func edges() []health.Sample {
	return []health.Sample{
		{},
		{Type: "b", Start: -5, End: math.MaxInt64 - 5},
		{Type: "a", Start: math.MinInt64, End: math.MinInt64},
		{Type: "a", Start: 1, End: 2, Value: math.MaxFloat64, OriginalValue: -math.SmallestNonzeroFloat64},
		{Type: "a", Start: 1, End: 2, Value: 1 << 53, OriginalValue: math.Copysign(0, -1)},
		{Type: "a", Start: 1, End: 2, Value: math.Inf(1), OriginalValue: math.NaN()},
		{Type: "c", Value: 0.1, OriginalValue: 0.3}, {Type: "c", Value: 0.25, OriginalValue: 1e-9},
		{Type: "d", Value: 61, OriginalValue: 61, Unit: "/min", OriginalUnit: "count/min", Zone: "Europe/Berlin", UserEntered: true,
			Source: health.Source{BundleID: "b", Name: "n", ProductType: "p", OSVersion: "o"}, Metadata: `{"a":1}`, Raw: `{"type":"d"}`},
		{Type: "d", Value: 61, OriginalValue: 61, Unit: "/min", OriginalUnit: "count/min", Zone: "Asia/Tokyo", UserEntered: true},
		{UUID: health.UUID{255, 15: 1}}, {UUID: health.UUID{15: 2}},
	}
}

func TestADecodedChunkIsTheOneEncoded(t *testing.T) {
	for name, c := range map[string]timeline.Chunk{
		"the zero chunk":      {},
		"an empty day":        {Day: 20000},
		"a day before 1970":   {Day: -20000, Samples: odd()[:1]},
		"one sample":          merged(t, timeline.Chunk{Day: 1}, odd()[8:9]),
		"every field at edge": merged(t, timeline.Chunk{Day: 1}, odd()),
		"a realistic day":     realistic(t, 830),
	} {
		t.Run(name, func(t *testing.T) {
			data := encoded(t, c)
			got, err := timeline.Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Samples) == 0 {
				c.Samples, got.Samples = nil, nil
			}
			if diff := cmp.Diff(c, got, cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			if again := encoded(t, got); !bytes.Equal(again, data) {
				t.Error("encoding it again gives other bytes")
			}
		})
	}
}

func TestEncodingIsAFunctionOfTheSet(t *testing.T) {
	want := realistic(t, 500)
	data := encoded(t, want)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := timeline.Chunk{Day: want.Day}
		for range 4 { // in parts, with repetitions, in any order
			part := make([]health.Sample, 0, 300)
			for range 300 {
				part = append(part, want.Samples[r.IntN(len(want.Samples))])
			}
			c = merged(t, c, part)
			encoded(t, c) // what was encoded between must not matter
		}
		all := append([]health.Sample(nil), want.Samples...)
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		if got := encoded(t, merged(t, c, all)); !bytes.Equal(got, data) {
			t.Fatalf("seed %d: other bytes for the same set", seed)
		}
	}
}

func TestDigestTellsSetsApart(t *testing.T) {
	seen := map[string]int{timeline.Digest(timeline.Chunk{}): -1, timeline.Digest(timeline.Chunk{Day: 1}): -2}
	for i, s := range odd() {
		d := timeline.Digest(timeline.Chunk{Samples: []health.Sample{s}})
		if other, twice := seen[d]; twice {
			t.Errorf("sample %d has the digest of %d", i, other)
		}
		seen[d] = i
	}
}

// The encoding is on disk: a change of these bytes is a new version of it.
func TestTheEncodingStaysWhatItIs(t *testing.T) {
	c := timeline.Chunk{Day: 20000, Samples: edges()[7:]} // several of one uuid, as a release before kept them
	slices.SortFunc(c.Samples, func(a, b health.Sample) int { return timeline.Compare(&a, &b) })
	const digest = "66e7b40e87a23406f89daa7a52a42755db2c201f71016bcd31fede900737c669"
	if got := timeline.Digest(c); got != digest {
		t.Errorf("digest %s, want %s", got, digest)
	}
	kept, err := hex.DecodeString("434c54316325c1784305000000d100000000000000000000000000000000000002ff00000000000000000000000000000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000028b52ffd0000e50400e407c0b8020300020163010164020300000000000a417369612f546f6b796f00000d4575726f70652f4265726c696e02042f6d09636f756e7401620000016e000001700000016f077b2261223a317d0c7b2274797065223a2264227dffff9bcdca6400000102000000010100180000000232007a00080795d626e80b2e113e080b00c00814e12690481980ca60310707d5d05c01337771a16172a932")
	if err != nil {
		t.Fatal(err)
	}
	got, err := timeline.Decode(kept)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("decoded from the bytes of old (-want +got):\n%s", diff)
	}
}

func TestAFlippedBitIsFound(t *testing.T) {
	data := encoded(t, realistic(t, 40))
	for bit := range 8 * len(data) {
		broken := bytes.Clone(data)
		broken[bit/8] ^= 1 << (bit % 8)
		want := timeline.ErrDamaged
		if bit/8 == 3 && broken[3] > data[3] { // the version: a bit of a sealed object does not flip
			want = timeline.ErrNewer
		}
		if _, err := timeline.Decode(broken); !errors.Is(err, want) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for n := range data {
		if _, err := timeline.Decode(data[:n]); !errors.Is(err, timeline.ErrDamaged) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// resum mends the checksum, so that a test comes past it.
func resum(data []byte) []byte {
	data = bytes.Clone(data)
	binary.LittleEndian.PutUint32(data[5:], crc32.Checksum(data[9:], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

func TestALyingHeaderTakesNoMemory(t *testing.T) {
	data := encoded(t, realistic(t, 40))
	for name, lie := range map[string]func([]byte){
		"columns of 64 MiB":     func(d []byte) { binary.LittleEndian.PutUint32(d[13:], 64<<20) },
		"columns of 4 GiB":      func(d []byte) { binary.LittleEndian.PutUint32(d[13:], math.MaxUint32) },
		"no columns":            func(d []byte) { binary.LittleEndian.PutUint32(d[13:], 0) },
		"too many samples":      func(d []byte) { binary.LittleEndian.PutUint32(d[9:], math.MaxUint32) },
		"one sample too many":   func(d []byte) { binary.LittleEndian.PutUint32(d[9:], 41) },
		"one sample too few":    func(d []byte) { binary.LittleEndian.PutUint32(d[9:], 39) },
		"another kind of thing": func(d []byte) { d[4] = 't' },
		"another version":       func(d []byte) { d[3] = '2' },
	} {
		t.Run(name, func(t *testing.T) {
			broken := bytes.Clone(data)
			lie(broken)
			broken = resum(broken)
			var took uint64
			_, err := timeline.Decode(broken)
			took = allocated(func() { _, err = timeline.Decode(broken) })
			want := timeline.ErrDamaged
			if name == "another version" {
				want = timeline.ErrNewer
			}
			if !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
			if took > 1<<20 {
				t.Errorf("took %d bytes of memory for %d", took, len(broken))
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range []timeline.Chunk{{}, {Day: 3, Samples: odd()[:1]}, merged(f, timeline.Chunk{Day: 1}, odd()), realistic(f, 20)} {
		f.Add(encoded(f, c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 17 {
			data = resum(data)
		}
		c, err := timeline.Decode(data)
		if err != nil {
			newer := errors.Is(err, timeline.ErrNewer) && bytes.HasPrefix(data, []byte("CLT")) // its checksum may be anywhere
			if !newer && !errors.Is(err, timeline.ErrDamaged) {
				t.Fatalf("error %v", err)
			}
			return
		}
		for i := range c.Samples {
			if c.Samples[i].End < c.Samples[i].Start || i > 0 && timeline.Compare(&c.Samples[i-1], &c.Samples[i]) >= 0 {
				t.Fatalf("sample %d is out of order", i)
			}
		}
		again, err := timeline.Decode(encoded(t, c))
		if err != nil || timeline.Digest(again) != timeline.Digest(c) {
			t.Fatalf("encoded and decoded again it is another: %v", err)
		}
	})
}

func FuzzDecodeTombstones(f *testing.F) {
	set, _, _ := timeline.Tombstones{}.Add([]health.UUID{{1}, {2}, {15: 9}})
	f.Add(set.Encode())
	f.Add(timeline.Tombstones{}.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 17 {
			data = resum(data)
		}
		set, err := timeline.DecodeTombstones(data)
		if err == nil && !bytes.Equal(set.Encode(), data) {
			t.Fatal("encoded again it has other bytes")
		}
	})
}

// The rich day has metadata that differs in every sample, the lean one none.
func BenchmarkCodec830(b *testing.B) {
	rich := realistic(b, 830)
	lean := timeline.Chunk{Day: rich.Day, Samples: slices.Clone(rich.Samples)}
	for i := range lean.Samples {
		lean.Samples[i].Metadata = ""
	}
	for name, c := range map[string]timeline.Chunk{"rich": rich, "lean": lean} {
		data := encoded(b, c)
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := timeline.Decode(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(data)), "encoded-bytes")
		})
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := timeline.Encode(c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("merge/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				merged(b, c, c.Samples[100:200])
			}
		})
	}
}
