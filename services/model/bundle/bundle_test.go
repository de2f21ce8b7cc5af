package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

func sample() *Bundle {
	g := SimulatedWeek(2)
	g.Name, g.Outputs = "one", map[string][]float64{"embedding": {1, 2, 3}}
	return &Bundle{
		Contract: Contract{Name: "sample", Architecture: "PAT-S", Label: "not trained", Input: Input{"activity", "1"},
			Outputs: []model.Output{{Name: "embedding", Length: 3, Unit: "1", Visibility: model.Internal, Doc: "three numbers"}}},
		Weights: []byte("weights"), Preprocessing: preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{1}, SD: []float64{2}},
		Golden: NewGolden(g), Card: "# Sample",
	}
}

func write(t testing.TB, b *Bundle) []byte {
	t.Helper()
	raw, err := Write(b)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRoundTrip(t *testing.T) {
	b := sample()
	raw := write(t, b)
	got, err := Read(raw, b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, got); diff != "" {
		t.Errorf("after writing and reading (-want +got):\n%s", diff)
	}
	if !bytes.Equal(raw, write(t, sample())) {
		t.Error("the same parts gave other bytes")
	}
	other := sample()
	other.Preprocessing.SD[0] = 3
	if write(t, other); other.Digest == b.Digest {
		t.Error("another scaler has the same digest")
	}
	path := filepath.Join(t.TempDir(), "model.tar")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(path, b.Digest); err != nil || got.Digest != b.Digest {
		t.Errorf("opened %v, %v", got, err)
	}
	if _, err := Open(path+".not", ""); !errors.Is(err, model.NoWeights) {
		t.Errorf("a bundle that is not there: %v", err)
	}
}

// entry is one file of a tar in the making.
type entry struct {
	name string
	data []byte
	kind byte
}

func entries(t testing.TB, raw []byte) []entry {
	t.Helper()
	var out []entry
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, entry{head.Name, data, tar.TypeReg})
	}
}

func join(t testing.TB, list []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range list {
		head := tar.Header{Typeflag: e.kind, Name: e.name, Size: int64(len(e.data)), Mode: 0o644}
		if e.kind != tar.TypeReg {
			head.Size, head.Linkname = 0, "/etc/passwd"
		}
		if err := w.WriteHeader(&head); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			if _, err := w.Write(e.data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReadRefuses(t *testing.T) {
	raw := write(t, sample())
	list := entries(t, raw)
	with := func(change func(l []entry) []entry) []byte { return join(t, change(append([]entry(nil), list...))) }
	swap := func(old, new string) []byte {
		out := strings.Replace(string(raw), old, new, 1)
		if out == string(raw) {
			t.Fatalf("no %q to spoil", old)
		}
		return []byte(out)
	}
	lie := append([]byte(nil), raw...)
	copy(lie[512*2+124:], "77777777777\x00") // the second entry's size, 8 GiB
	tests := map[string]struct {
		data []byte
		want model.Reason
	}{
		"nothing":                         {nil, model.Malformed},
		"text":                            {[]byte(strings.Repeat("hello ", 200)), model.Malformed},
		"a tar that is cut":               {raw[:len(raw)/2], model.Malformed},
		"a size that lies":                {lie, model.Malformed},
		"weights with one bit off":        {swap("weights", "veights"), model.DigestMismatch},
		"a card with one bit off":         {swap("# Sample", "# Sampld"), model.DigestMismatch},
		"another layout":                  {swap("1.0.0", "2.0.0"), model.Malformed},
		"a link":                          {with(func(l []entry) []entry { return append(l, entry{"blobs/x", nil, tar.TypeSymlink}) }), model.Malformed},
		"an entry twice":                  {with(func(l []entry) []entry { return append(l, l[0]) }), model.Malformed},
		"a blob that nobody asked for":    {with(func(l []entry) []entry { return append(l, entry{"more", []byte("x"), tar.TypeReg}) }), model.Malformed},
		"a way out of the folder":         {with(func(l []entry) []entry { return append(l, entry{"../../etc/cron.d/x", []byte("x"), tar.TypeReg}) }), model.Malformed},
		"a blob missing":                  {with(func(l []entry) []entry { return l[:len(l)-1] }), model.Malformed},
		"an index of a second model":      {swap(`}]}`, `},{}]`), model.Malformed},
		"a digest that climbs":            {swap(`"digest":"sha256:`, `"digest":"sha256/../`), model.Malformed},
		"hundreds of entries":             {with(func(l []entry) []entry { return many(l) }), model.Malformed},
		"more bytes than a bundle may be": {make([]byte, maxFile+1), model.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(tt.data, ""); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Read(raw, DigestOf([]byte("another"))); !errors.Is(err, model.DigestMismatch) {
		t.Errorf("another digest was asked for: %v", err)
	}
}

func many(l []entry) []entry {
	for i := range 300 {
		l = append(l, entry{"e" + string(rune('a'+i%26)) + string(rune('a'+i/26)), []byte("x"), tar.TypeReg})
	}
	return l
}

func TestWriteRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(b *Bundle)
		want  model.Reason
	}{
		"no weights":                     {func(b *Bundle) { b.Weights = nil }, model.NoWeights},
		"no card":                        {func(b *Bundle) { b.Card = "" }, model.Malformed},
		"no golden vectors":              {func(b *Bundle) { b.Golden.Cases = nil }, model.Malformed},
		"a tolerance that passes all":    {func(b *Bundle) { b.Golden.Tolerance = 1 }, model.Malformed},
		"a golden output missing":        {func(b *Bundle) { b.Golden.Cases[0].Outputs = nil }, model.Malformed},
		"a golden mask beyond the week":  {func(b *Bundle) { b.Golden.Cases[0].Missing = [][2]int{{10000, 1 << 62}} }, model.Malformed},
		"a golden week that is short":    {func(b *Bundle) { b.Golden.Cases[0].Counts = []float64{1} }, model.Malformed},
		"a preview without a label":      {func(b *Bundle) { b.Contract.Label = ""; b.Contract.Outputs[0].Visibility = model.Preview }, model.Malformed},
		"an output for whom it may wish": {func(b *Bundle) { b.Contract.Outputs[0].Visibility = "everyone" }, model.Malformed},
		"no outputs":                     {func(b *Bundle) { b.Contract.Outputs = nil }, model.Malformed},
		"a name with a path":             {func(b *Bundle) { b.Contract.Name = "../x" }, model.Malformed},
		"unknown preprocessing":          {func(b *Bundle) { b.Preprocessing = preprocess.Spec{ID: "mystery/1"} }, model.UnknownPreprocessing},
		"a scaler that divides by zero":  {func(b *Bundle) { b.Preprocessing.SD[0] = 0 }, model.Malformed},
		"weights beyond the bound":       {func(b *Bundle) { b.Weights = make([]byte, maxWeights+1) }, model.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := sample()
			tt.spoil(b)
			if _, err := Write(b); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	b := sample()
	write(t, b)
	g, id := b.Golden.Cases[0], b.Identity()
	in := func(v ...float32) *model.Inference {
		return &model.Inference{Values: [][]float32{v}, WornMinutes: g.WornMinutes}
	}
	if err := b.Golden.Compare(g, id, in(1, 2, 3)); err != nil {
		t.Error(err)
	}
	off := in(1, 2, 3)
	off.WornMinutes++
	refused := in(1, 2, 3)
	refused.Refused = model.TooLittleData
	for name, bad := range map[string]*model.Inference{"a value off": in(1, 2, 3.01), "a value short": in(1, 2), "another mask": off, "refused": refused} {
		if err := b.Golden.Compare(g, id, bad); !errors.Is(err, model.GoldenMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSimulatedWeeksAreWeeks(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		if err := SimulatedWeek(seed).Window().Check(); err != nil {
			t.Error(err)
		}
	}
	if cmp.Equal(SimulatedWeek(1).Counts, SimulatedWeek(2).Counts) {
		t.Error("two seeds give the same week")
	}
}

func FuzzRead(f *testing.F) {
	raw := write(f, sample())
	f.Add(raw)
	f.Add(raw[:1024])
	f.Add(binary.LittleEndian.AppendUint64(nil, 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(data, "")
		if err != nil {
			if r := new(model.Refusal); !errors.As(err, &r) {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if err := b.check(); err != nil {
			t.Errorf("a bundle that does not check was read: %v", err)
		}
	})
}

func TestCheckFindsAnotherBundleAsItComes(t *testing.T) {
	b := sample()
	raw := write(t, b)
	other := sample()
	other.Card = "# Other"
	otherRaw := write(t, other)
	flipped := bytes.Clone(raw)
	flipped[bytes.Index(flipped, []byte("# Sample"))] ^= 1
	var noIndex bytes.Buffer
	w := tar.NewWriter(&noIndex)
	if err := packFile(w, "oci-layout", 2, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	tests := map[string]struct {
		raw  []byte
		want error
	}{
		"the bundle":                  {raw, nil},
		"another bundle":              {otherRaw, model.DigestMismatch},
		"one bit of a blob flipped":   {flipped, model.DigestMismatch},
		"cut in a blob":               {raw[:len(raw)/2], model.Malformed},
		"no tar at all":               {[]byte(strings.Repeat("health ", 200)), model.Malformed},
		"nothing":                     {nil, model.Malformed},
		"an index that is missing":    {noIndex.Bytes(), model.Malformed},
		"the manifest's blob is gone": {raw[:bytes.Index(raw, []byte("blobs/"))], model.DigestMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := Check(bytes.NewReader(tt.raw), b.Digest); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	early := &countingReader{r: bytes.NewReader(otherRaw)}
	if err := Check(early, b.Digest); !errors.Is(err, model.DigestMismatch) || early.n > 4096 {
		t.Errorf("read %d bytes of another bundle before %v", early.n, err)
	}
	broken := errors.New("the network is gone")
	if err := Check(io.MultiReader(bytes.NewReader(raw[:2000]), failing{broken}), b.Digest); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// However a bundle travels, its file is the same.
func TestPackMakesTheSameFileOfTheParts(t *testing.T) {
	b := sample()
	raw := write(t, b)
	files, err := Layout(raw)
	if err != nil {
		t.Fatal(err)
	}
	manifest := files[blobName(b.Digest)]
	open := func(digest string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files[blobName(digest)])), nil
	}
	var out bytes.Buffer
	if err := Pack(&out, manifest, open); err != nil || !bytes.Equal(out.Bytes(), raw) {
		t.Errorf("other bytes, or %v", err)
	}
	short := func(digest string) (io.ReadCloser, error) {
		c := files[blobName(digest)]
		return io.NopCloser(bytes.NewReader(c[:len(c)-1])), nil
	}
	if err := Pack(io.Discard, manifest, short); err == nil {
		t.Error("a blob that is too short was packed")
	}
	long := func(digest string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(append(bytes.Clone(files[blobName(digest)]), 0))), nil
	}
	if err := Pack(io.Discard, manifest, long); err == nil {
		t.Error("a blob that is too long was packed")
	}
	for name, change := range map[string][2]string{
		"a layer of a terabyte": {`"size":7,`, `"size":1099511627776,`},
		"an illegal digest":     {`"digest":"sha256:`, `"digest":"sha512:`},
		"another artifact":      {ArtifactType, "application/x"},
	} {
		changed := bytes.Replace(manifest, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, manifest) {
			t.Fatalf("%s: nothing to change", name)
		}
		if err := Pack(io.Discard, changed, open); !errors.Is(err, model.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadGoldenTakesABundlesOwnPart(t *testing.T) {
	b := sample()
	files, err := Layout(write(t, b))
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for _, content := range files {
		if bytes.HasPrefix(content, []byte(`{"schema":"`+goldenSchema)) {
			raw = content
		}
	}
	got, err := ReadGolden(raw, b.Contract.Outputs)
	if diff := cmp.Diff(b.Golden, got); err != nil || diff != "" {
		t.Errorf("%v; golden vectors (-want +got):\n%s", err, diff)
	}
	for name, bad := range map[string][]byte{
		"nothing":         nil,
		"an unknown name": bytes.Replace(raw, []byte(`"schema"`), []byte(`"scheme"`), 1),
		"two documents":   append(bytes.Clone(raw), raw...),
		"other outputs":   bytes.Replace(raw, []byte(`"embedding"`), []byte(`"sleep"`), 1),
		"too large":       make([]byte, maxGolden+1),
	} {
		if _, err := ReadGolden(bad, b.Contract.Outputs); !errors.Is(err, model.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeviationIsRelativeToTheLargestValue(t *testing.T) {
	b := sample()
	id, c := b.Identity(), b.Golden.Cases[0]
	nan := float32(math.NaN())
	tests := map[string]struct {
		got   []float32
		want  float64
		fails bool
	}{
		"the same":            {[]float32{1, 2, 3}, 0, false},
		"a third of the last": {[]float32{1, 2, 4}, 1.0 / 3, false},
		"the smallest is off": {[]float32{1.5, 2, 3}, 0.5 / 3, false},
		"not a number":        {[]float32{1, nan, 3}, 0, true},
		"infinite":            {[]float32{1, float32(math.Inf(1)), 3}, 0, true},
		"too few":             {[]float32{1, 2}, 0, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := model.Inference{Values: [][]float32{tt.got}, WornMinutes: c.WornMinutes}
			far, _, err := c.Deviation(id, &got)
			if (err != nil) != tt.fails || math.Abs(far-tt.want) > 1e-9 {
				t.Errorf("%v, %v; want %v", far, err, tt.want)
			}
		})
	}
	c.Outputs = map[string][]float64{"embedding": {0, 0, 0}}
	got := model.Inference{Values: [][]float32{{0, 0, 1e-9}}, WornMinutes: c.WornMinutes}
	if far, _, err := c.Deviation(id, &got); err != nil || !math.IsInf(far, 1) {
		t.Errorf("where all should be zero: %v, %v", far, err)
	}
}

func FuzzCheck(f *testing.F) {
	b := sample()
	raw := write(f, b)
	f.Add(raw)
	f.Add(raw[:len(raw)/3])
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(bytes.NewReader(data), b.Digest) == nil {
			if got, err := Read(data, ""); err == nil && got.Digest != b.Digest {
				t.Errorf("Check took %s for %s", got.Digest, b.Digest)
			}
		}
	})
}

func FuzzReadGolden(f *testing.F) {
	b := sample()
	files, err := Layout(write(f, b))
	if err != nil {
		f.Fatal(err)
	}
	for _, content := range files {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := ReadGolden(data, b.Contract.Outputs)
		if err != nil {
			return
		}
		for _, c := range g.Cases {
			got := model.Inference{Values: [][]float32{{1, 2, 3}}, WornMinutes: c.WornMinutes}
			if _, _, err := c.Deviation(b.Identity(), &got); err != nil {
				t.Errorf("a case that passed cannot be compared: %v", err)
			}
		}
	})
}
