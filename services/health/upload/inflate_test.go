package upload_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

func zstandard(t testing.TB, body []byte, o ...zstd.EOption) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, o...)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close() //nolint:errcheck // nothing was streamed
	return z.EncodeAll(body, nil)
}

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func TestInflateUndoesTheEncodings(t *testing.T) {
	for name, body := range map[string][]byte{
		"an upload":             uploadtest.Body(500, uploadtest.Options{}),
		"nothing":               {},
		"a byte":                {'x'},
		"64 KiB of zeros":       make([]byte, 64<<10),
		"noise of a MiB":        noise(1 << 20),
		"32 MiB at ratio below": bytes.Repeat(noise(2000), 32<<20/2000),
	} {
		t.Run(name, func(t *testing.T) {
			for encoding, packed := range map[string][]byte{
				"": body, "identity": body, "gzip": uploadtest.Gzip(body), "zstd": zstandard(t, body, zstd.WithEncoderLevel(zstd.SpeedFastest)),
			} {
				if len(packed)*upload.MaxRatio < len(body) && len(body) > 64<<10 {
					continue // too good to be true, see below
				}
				for _, dst := range [][]byte{nil, make([]byte, 10, 100), make([]byte, 0, 33<<20)} {
					got, err := upload.Inflate(dst, encoding, packed)
					if len(packed) == 0 && encoding == "zstd" {
						continue // EncodeAll makes no frame of nothing
					}
					if err != nil || !bytes.Equal(got, body) {
						t.Fatalf("%q of %d bytes: %d bytes, %v", encoding, len(packed), len(got), err)
					}
				}
			}
		})
	}
}

func TestInflateRefuses(t *testing.T) {
	body := uploadtest.Body(50, uploadtest.Options{})
	gz, zs := uploadtest.Gzip(body), zstandard(t, body)
	zeros := make([]byte, 16<<20)
	nested := uploadtest.Gzip(uploadtest.Gzip(zeros))
	var members []byte // each of them small
	for range 2000 {
		members = append(members, uploadtest.Gzip(zeros[:32<<10])...)
	}
	broken := bytes.Clone(gz)
	broken[len(broken)/2] ^= 0xff
	claims := bytes.Clone(gz) // a trailer that claims 4 GiB
	copy(claims[len(claims)-4:], "\xff\xff\xff\xff")
	window := zstandard(t, noise(10<<20), zstd.WithWindowSize(16<<20))
	tests := map[string]struct {
		encoding string
		body     []byte
		code     upload.ErrorCode
	}{
		"another encoding":                       {"br", body, upload.UnknownEncoding},
		"an encoding in capitals":                {"GZIP", gz, upload.UnknownEncoding},
		"two encodings":                          {"gzip, gzip", gz, upload.UnknownEncoding},
		"33 MiB as they are":                     {"identity", make([]byte, upload.MaxBodyBytes+1), upload.TooLarge},
		"33 MiB of noise":                        {"gzip", uploadtest.Gzip(noise(upload.MaxBodyBytes + 1)), upload.TooLarge},
		"a bomb of gzip":                         {"gzip", uploadtest.Gzip(zeros), upload.BadRatio},
		"a bomb of zstd":                         {"zstd", zstandard(t, zeros), upload.BadRatio},
		"a bomb in many members":                 {"gzip", members, upload.BadRatio},
		"a bomb in many frames":                  {"zstd", bytes.Repeat(zstandard(t, zeros[:4<<20]), 3), upload.BadRatio},
		"not gzip":                               {"gzip", body, upload.BadEncoding},
		"not zstd":                               {"zstd", body, upload.BadEncoding},
		"nothing as gzip":                        {"gzip", nil, upload.BadEncoding},
		"nothing as zstd":                        {"zstd", nil, upload.BadEncoding},
		"gzip, cut":                              {"gzip", gz[:len(gz)-9], upload.BadEncoding},
		"gzip without its trailer":               {"gzip", gz[:len(gz)-8], upload.BadEncoding},
		"gzip's header alone":                    {"gzip", gz[:10], upload.BadEncoding},
		"gzip with a byte behind it":             {"gzip", append(bytes.Clone(gz), 0), upload.BadEncoding},
		"gzip with a changed byte":               {"gzip", broken, upload.BadEncoding},
		"gzip whose trailer lies":                {"gzip", claims, upload.BadEncoding},
		"zstd, cut":                              {"zstd", zs[:len(zs)-5], upload.BadEncoding},
		"zstd with a byte behind it":             {"zstd", append(bytes.Clone(zs), 0), upload.BadEncoding},
		"zstd with a window of 16 MiB":           {"zstd", window, upload.BadEncoding},
		"gzip in gzip is not looked into":        {"gzip", nested, ""},
		"64 KiB of zeros are below every notice": {"gzip", uploadtest.Gzip(zeros[:64<<10]), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []byte
			var err error
			took := allocated(func() { got, err = upload.Inflate(nil, tt.encoding, tt.body) })
			var code upload.ErrorCode
			var e *upload.Error
			if errors.As(err, &e) {
				code = e.Code
			}
			if code != tt.code || err != nil && (got != nil || e.Offset > len(tt.body)) {
				t.Errorf("code %q (%v) and %d bytes, want %q", code, err, len(got), tt.code)
			}
			if most := uint64(3*upload.MaxBodyBytes + 8<<20); took > most {
				t.Errorf("took %d bytes of memory", took)
			}
			if code == upload.BadRatio && took > uint64(4*upload.MaxRatio*len(tt.body))+12<<20 {
				t.Errorf("a bomb of %d bytes took %d bytes of memory", len(tt.body), took)
			}
			again, err := upload.Inflate(nil, "gzip", gz) // the pooled readers have recovered
			if err != nil || !bytes.Equal(again, body) {
				t.Errorf("the next body: %v", err)
			}
			if again, err = upload.Inflate(nil, "zstd", zs); err != nil || !bytes.Equal(again, body) {
				t.Errorf("the next body: %v", err)
			}
		})
	}
}

// An honest body takes memory for itself once: gzip says how long it is, and what
// is large is measured before it is kept. A bomb takes what it may inflate to in
// steps, and no more than the step at which it is measured.
func TestWhatABodyTakesToInflate(t *testing.T) {
	const mib = 1 << 20
	small, large := noise(900<<10), noise(20*mib)
	bomb := make([]byte, 31*mib)
	tests := map[string]struct {
		encoding string
		packed   []byte
		most     int
	}{
		"a body that says its length":     {"gzip", uploadtest.Gzip(small), len(small) + 100<<10},
		"a large one that says its own":   {"gzip", uploadtest.Gzip(large), len(large) + 8*mib},
		"a large one that does not":       {"zstd", zstandard(t, large), len(large) + 12*mib},
		"a bomb that says its length":     {"gzip", uploadtest.Gzip(bomb), 9 * mib},
		"a bomb that does not":            {"zstd", zstandard(t, bomb), 12 * mib},
		"a bomb that says it is 20 bytes": {"gzip", liar(uploadtest.Gzip(bomb), 20), 9 * mib},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _ = upload.Inflate(nil, tt.encoding, tt.packed) // its reader is in the pool
			least := uint64(1 << 62)
			for range 5 { // unless the collector, or the race detector, has just taken it
				least = min(least, allocated(func() { _, _ = upload.Inflate(nil, tt.encoding, tt.packed) }))
			}
			if least > uint64(tt.most) {
				t.Errorf("took %d KiB, want at most %d", least>>10, tt.most>>10)
			}
		})
	}
}

// liar is a gzip body whose trailer says that it is so long.
func liar(packed []byte, size byte) []byte {
	packed = bytes.Clone(packed)
	copy(packed[len(packed)-4:], []byte{size, 0, 0, 0})
	return packed
}

func TestGzipInMembersIsOneBody(t *testing.T) {
	body := uploadtest.Body(20, uploadtest.Options{})
	var packed bytes.Buffer
	for _, part := range [][]byte{body[:100], nil, body[100:]} {
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(part); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := upload.Inflate(nil, "gzip", packed.Bytes()); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func FuzzInflate(f *testing.F) {
	body := uploadtest.Body(2, uploadtest.Options{})
	f.Add(uploadtest.Gzip(body))
	f.Add(zstandard(f, body))
	f.Fuzz(func(t *testing.T, packed []byte) {
		for _, encoding := range []string{"gzip", "zstd"} {
			got, err := upload.Inflate(nil, encoding, packed)
			var e *upload.Error
			if err != nil && (!errors.As(err, &e) || e.Code == "" || e.Offset < 0 || e.Offset > len(packed)) {
				t.Fatalf("error %#v", err)
			}
			if len(got) > max(64<<10, upload.MaxRatio*len(packed)) {
				t.Fatalf("%d bytes of %d", len(got), len(packed))
			}
		}
	})
}
