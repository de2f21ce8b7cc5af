package candidate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// A shelf is a Fetcher over files in memory, by URI.
type shelf map[string][]byte

func (s shelf) Bundle(_ context.Context, uri, digest, path string) error {
	raw, ok := s[uri]
	if !ok {
		return artifact.ErrNotFound
	}
	if err := bundle.Check(bytes.NewReader(raw), digest); err != nil {
		return errors.Join(artifact.ErrDigest, err)
	}
	return os.WriteFile(path, raw, 0o400)
}

func (s shelf) File(_ context.Context, uri, digest string, _ int64, path string) error {
	raw, ok := s[uri]
	switch {
	case !ok:
		return artifact.ErrNotFound
	case uri == "gs://m/down":
		return errors.New("the network is gone")
	case bundle.DigestOf(raw) != digest:
		return artifact.ErrDigest
	}
	return os.WriteFile(path, raw, 0o400)
}

// aVersion is a bundle that a stand-in of Triton can serve, on a shelf with its golden set.
func aVersion(t *testing.T) (s shelf, b *bundle.Bundle, golden []byte) {
	t.Helper()
	b, err := tritontest.NewBundle("pat", 1)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := bundle.Write(b)
	if err != nil {
		t.Fatal(err)
	}
	golden, err = json.Marshal(b.Golden)
	if err != nil {
		t.Fatal(err)
	}
	return shelf{"gs://m/pat.tar": raw, "gs://m/golden.json": golden, "gs://m/down": nil}, b, golden
}

func declared(b *bundle.Bundle) string {
	return `{"inputs":[{"name":"activity","dtype":"FP32","dims":[10080]}],
		"outputs":[{"name":"sleep","dtype":"FP32","dims":[560],"kind":"Sequence"},{"name":"embedding","dtype":"FP32","dims":[96],"kind":"Embedding"}],
		"window":{"epochSeconds":60,"epochs":10080},
		"preprocessing":{"name":"` + b.Contract.Preprocessing.ID + `","digest":"` + b.Contract.Preprocessing.Digest + `"}}`
}

func at(uri, digest string) worker.Artifact { return worker.Artifact{URI: uri, Digest: digest} }

func TestVerifySaysWhatIsWrong(t *testing.T) {
	s, b, golden := aVersion(t)
	s["gs://m/other.json"] = bytes.Replace(golden, []byte(`"embedding"`), []byte(`"embedded"`), 1)
	s["gs://m/text"] = []byte("golden")
	good := at("gs://m/pat.tar", b.Digest)
	vectors := at("gs://m/golden.json", bundle.DigestOf(golden))
	tests := map[string]struct {
		model, golden worker.Artifact
		change        [2]string // of the contract
		want          termination.Reason
		final         bool
		says          string
	}{
		"as declared":                 {good, vectors, [2]string{}, "", false, ""},
		"another digest":              {at(good.URI, "sha256:"+strings.Repeat("0", 64)), vectors, [2]string{}, termination.DigestMismatch, true, "sha256:0000"},
		"no bundle there":             {at("gs://m/none", b.Digest), vectors, [2]string{}, termination.ArtifactNotFound, false, "nothing there"},
		"no golden set there":         {good, at("gs://m/none", vectors.Digest), [2]string{}, termination.ArtifactNotFound, false, "nothing there"},
		"another golden set":          {good, at(vectors.URI, bundle.DigestOf(nil)), [2]string{}, termination.GoldenSetMismatch, true, "another digest"},
		"a golden set that is a text": {good, at("gs://m/text", bundle.DigestOf([]byte("golden"))), [2]string{}, termination.GoldenSetMismatch, true, "gs://m/text"},
		"another model's golden set":  {good, at("gs://m/other.json", bundle.DigestOf(s["gs://m/other.json"])), [2]string{}, termination.GoldenSetMismatch, true, "embedding"},
		"a store that is down":        {good, at("gs://m/down", vectors.Digest), [2]string{}, termination.Unreadable, false, "network is gone"},
		"a shorter window":            {good, vectors, [2]string{`"epochs":10080`, `"epochs":1440`}, termination.ContractMismatch, true, "10080 epochs of 60 s, declared are 1440 of 60 s"},
		"other epochs":                {good, vectors, [2]string{`"epochSeconds":60`, `"epochSeconds":30`}, termination.ContractMismatch, true, "declared are 10080 of 30 s"},
		"other preprocessing":         {good, vectors, [2]string{b.Contract.Preprocessing.ID, "cohort-zscore/1"}, termination.ContractMismatch, true, `declared is "cohort-zscore/1"`},
		"another scaler":              {good, vectors, [2]string{b.Contract.Preprocessing.Digest, bundle.DigestOf(nil)}, termination.ContractMismatch, true, "preprocessing's digest"},
		"an input by another name":    {good, vectors, [2]string{`"activity"`, `"counts"`}, termination.ContractMismatch, true, `input activity is not declared; there is no input "counts"`},
		"an output of other length":   {good, vectors, [2]string{"[96]", "[128]"}, termination.ContractMismatch, true, `embedding is FP32 [96], declared is "FP32" [128]`},
		"an output of half precision": {good, vectors, [2]string{`"embedding","dtype":"FP32"`, `"embedding","dtype":"FP16"`}, termination.ContractMismatch, true, `declared is "FP16"`},
		"an output twice":             {good, vectors, [2]string{`"name":"sleep","dtype":"FP32","dims":[560]`, `"name":"embedding","dtype":"FP32","dims":[96]`}, termination.ContractMismatch, true, `declared twice`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(declared(b), tt.change[0], tt.change[1], 1)
			contract, err := ParseContract([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			err = Verify(t.Context(), s, tt.model, tt.golden, contract, dir)
			var v *Failure
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &v) || v.Reason != tt.want || v.Final != tt.final || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%+v, want %s, final %v, with %q", err, tt.want, tt.final, tt.says)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

func TestParseContract(t *testing.T) {
	_, b, _ := aVersion(t)
	good := declared(b)
	tests := map[string]string{
		"nothing":          "",
		"a list":           "[]",
		"no outputs":       strings.Replace(good, `"outputs"`, `"results"`, 1),
		"two documents":    good + good,
		"no input":         `{"inputs":[],"outputs":[{"name":"x","dims":[1]}]}`,
		"no dimension":     strings.Replace(good, "[560]", "[]", 1),
		"five dimensions":  strings.Replace(good, "[560]", "[1,1,1,1,1]", 1),
		"no name":          strings.Replace(good, `"activity"`, `""`, 1),
		"a dim of letters": strings.Replace(good, "[560]", `["a"]`, 1),
		"a large one":      `{"x":"` + strings.Repeat("x", maxContract) + `"}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseContract([]byte(text)); !errors.Is(err, errContract) {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzParseContract(f *testing.F) {
	f.Add([]byte(`{"inputs":[{"name":"a","dtype":"FP32","dims":[1]}],"outputs":[{"name":"b","dtype":"FP32","dims":[-1],"kind":"Class"}],"window":{"epochs":1},"preprocessing":{}}`))
	b, err := tritontest.NewBundle("pat", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(declared(b)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseContract(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseContract(again)
		if len(again) <= maxContract && (err != nil || !cmp.Equal(c, back)) {
			t.Errorf("written again it is %+v, %v", back, err)
		}
		var v *Failure
		if err := c.Compare(b); err != nil && (!errors.As(err, &v) || v.Reason != termination.ContractMismatch || err.Error() == "") {
			t.Errorf("compared: %v", err)
		}
	})
}

func someFiles() map[string][]byte {
	return map[string][]byte{"pat/config.pbtxt": []byte("name: \"pat\""), "pat/1/model.onnx": []byte("onnx"), "pat/MODEL_CARD.md": []byte("# Card")}
}

func TestInstallIsWholeOrNotThere(t *testing.T) {
	repository := t.TempDir()
	stamp := Stamp{Digest: "sha256:a", MaxBatch: 8, GPU: true}
	is := func(s Stamp) bool {
		t.Helper()
		there, err := Installed(repository, "pat", s)
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
	if is(stamp) {
		t.Error("installed before it is")
	}
	// A kill in the middle left this behind.
	if err := os.MkdirAll(filepath.Join(repository, making+"123", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Install(repository, "pat", someFiles(), stamp); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(repository)
	if err != nil || len(entries) != 1 || entries[0].Name() != "pat" {
		t.Errorf("the repository holds %v, %v; want the model alone, or the server would load the rest", entries, err)
	}
	for name, want := range someFiles() {
		got, err := os.ReadFile(filepath.Join(repository, name))
		info, statErr := os.Stat(filepath.Join(repository, name))
		if err != nil || statErr != nil || !bytes.Equal(got, want) || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: %q, %v, %v", name, got, err, statErr)
		}
	}
	if !is(stamp) {
		t.Error("not installed after it is")
	}
	for what, other := range map[string]Stamp{"another digest": {"sha256:b", 8, true}, "another batch": {"sha256:a", 4, true}, "on the CPU": {"sha256:a", 8, false}} {
		if is(other) {
			t.Errorf("installed with %s", what)
		}
	}
	damage := map[string]func(path string) error{
		"a byte is changed": func(p string) error {
			return errors.Join(os.Chmod(p, 0o600), os.WriteFile(p, []byte("onnX"), 0o400))
		},
		"a file is gone": os.Remove,
	}
	for what, do := range damage {
		if err := do(filepath.Join(repository, "pat/1/model.onnx")); err != nil {
			t.Fatal(err)
		}
		if is(stamp) {
			t.Errorf("%s, and it counts as installed", what)
		}
		if err := Install(repository, "pat", someFiles(), stamp); err != nil || !is(stamp) {
			t.Errorf("installed again: %v", err)
		}
	}
}

func TestInstallRefusesWhatLeadsElsewhere(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"another model's folder": {"other/x": nil}, "above the repository": {"pat/../../x": nil}, "an absolute path": {"/etc/x": nil}, "its own list": {"pat/" + installed: nil},
	} {
		repository := t.TempDir()
		if err := Install(repository, "pat", files, Stamp{}); err == nil {
			t.Errorf("%s: taken", name)
		}
		if left, err := os.ReadDir(repository); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v %v", name, left, err)
		}
	}
	for _, m := range []string{"", "..", "Pat", "a/b", ".hidden", strings.Repeat("a", 41)} {
		if err := Install(t.TempDir(), m, nil, Stamp{}); err == nil {
			t.Errorf("model %q: taken", m)
		}
		if _, err := Installed(t.TempDir(), m, Stamp{}); err == nil {
			t.Errorf("model %q: looked for", m)
		}
	}
	if err := Install(filepath.Join(t.TempDir(), "none"), "pat", someFiles(), Stamp{}); err == nil {
		t.Error("a repository that is not there was made")
	}
}

func FuzzParseInstallation(f *testing.F) {
	f.Add([]byte(`{"digest":"sha256:a","maxBatch":8,"gpu":true,"files":{"1/model.onnx":"ab"}}`))
	f.Add([]byte(`{"files":{"../x":"ab"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := parseInstallation(raw)
		if err != nil {
			return
		}
		for name := range in.Files {
			if strings.Contains(name, "..") && !filepath.IsLocal(name) || strings.HasPrefix(name, "/") {
				t.Errorf("a file %q", name)
			}
		}
	})
}

// A fake is a Server that says what a test wants.
type fake struct {
	id     model.Identity
	infer  func(call int, into []model.Inference) error
	calls  int
	closed bool
}

func (f *fake) Identity() model.Identity { return f.id }
func (f *fake) Close()                   { f.closed = true }
func (f *fake) Infer(_ context.Context, _ []model.Window, into []model.Inference) error {
	f.calls++
	return f.infer(f.calls, into)
}

func TestParseTolerance(t *testing.T) {
	for text, want := range map[string]float64{"1e-3": 1e-3, "0.001": 0.001, ".5": 0.5, "0": 0, "1": 1} {
		if got, err := ParseTolerance(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "2", "NaN", "Inf", "1e999", "x"} {
		if _, err := ParseTolerance(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
