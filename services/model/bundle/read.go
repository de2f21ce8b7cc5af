package bundle

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
)

// Read parses a bundle; want, if not "", is the digest it must have.
func Read(data []byte, want string) (*Bundle, error) {
	files, err := unpack(data)
	if err != nil {
		return nil, err
	}
	raw, m, digest, err := readManifest(files)
	if err != nil {
		return nil, err
	}
	if want != "" && want != digest {
		return nil, model.Refuse(model.DigestMismatch, "the bundle is %s, not %.80s", digest, want)
	}
	if len(files) != len(parts)+4 { // the layout, the index, the manifest and the contract besides
		return nil, model.Refuse(model.Malformed, "%d files: a bundle has %d", len(files), len(parts)+4)
	}
	contents, err := readParts(files, m)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Digest: digest, Weights: contents[1], Card: string(contents[4]), Papers: Papers{raw, contents[0], contents[2]}}
	if err := b.readPapers(); err != nil {
		return nil, err
	}
	if err := strict(contents[3], &b.Golden); err != nil {
		return nil, model.Refuse(model.Malformed, "the golden vectors: %v", err)
	}
	return b, b.check()
}

func readManifest(files map[string][]byte) (raw []byte, m manifest, digest string, err error) {
	var l layout
	if err := strict(files[layoutFile], &l); err != nil || l.Version != layoutVersion {
		return nil, manifest{}, "", model.Refuse(model.Malformed, "not an OCI image layout of version %s", layoutVersion)
	}
	var i index
	if err := strict(files[indexFile], &i); err != nil || len(i.Manifests) != 1 || i.Manifests[0].ArtifactType != ArtifactType {
		return nil, manifest{}, "", model.Refuse(model.Malformed, "the index does not name one model")
	}
	d := i.Manifests[0]
	if raw, err = blob(files, d, maxManifest); err != nil {
		return nil, manifest{}, "", err
	}
	m, err = parseManifest(raw)
	return raw, m, d.Digest, err
}

func parseManifest(raw []byte) (m manifest, err error) {
	if err := strict(raw, &m); err != nil {
		return m, model.Refuse(model.Malformed, "the manifest: %v", err)
	}
	if m.ArtifactType != ArtifactType || m.Config.MediaType != mediaConfig || len(m.Layers) != len(parts) {
		return m, model.Refuse(model.Malformed, "the manifest is not a model's")
	}
	return m, nil
}

// readParts returns the contract and the layers.
func readParts(files map[string][]byte, m manifest) ([][]byte, error) {
	contract, err := blob(files, m.Config, maxManifest)
	if err != nil {
		return nil, err
	}
	out := [][]byte{contract}
	for i, p := range parts {
		if m.Layers[i].MediaType != p.media {
			return nil, model.Refuse(model.Malformed, "layer %d is %.80q, want %s", i, m.Layers[i].MediaType, p.media)
		}
		content, err := blob(files, m.Layers[i], p.limit)
		if err != nil {
			return nil, err
		}
		out = append(out, content)
	}
	return out, nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// blob is what a descriptor points at; unpack has checked its digest.
func blob(files map[string][]byte, d descriptor, limit int64) ([]byte, error) {
	if !digestForm.MatchString(d.Digest) {
		return nil, model.Refuse(model.Malformed, "%.100q is no SHA-256 digest", d.Digest)
	}
	content, ok := files[blobName(d.Digest)]
	switch {
	case !ok:
		return nil, model.Refuse(model.DigestMismatch, "there is no blob with digest %s", d.Digest)
	case int64(len(content)) != d.Size:
		return nil, model.Refuse(model.Malformed, "blob %s has %d bytes, its descriptor says %d", d.Digest, len(content), d.Size)
	case d.Size > limit:
		return nil, model.Refuse(model.Malformed, "blob %s has %d bytes, at most %d are allowed there", d.Digest, d.Size, limit)
	}
	return content, nil
}

// strict decodes one JSON document without unknown fields.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return io.ErrUnexpectedEOF
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (b *Bundle) check() error {
	switch {
	case len(b.Weights) == 0:
		return model.Refuse(model.NoWeights, "the weights are empty")
	case len(b.Card) == 0 || !utf8.ValidString(b.Card):
		return model.Refuse(model.Malformed, "there is no model card")
	}
	if err := b.checkContract(); err != nil {
		return err
	}
	return b.Golden.check(b.Contract.Outputs)
}

// checkContract looks at the contract and the preprocessing.
func (b *Bundle) checkContract() error {
	c := b.Contract
	switch {
	case c.Schema != contractSchema:
		return model.Refuse(model.Malformed, "contract of schema %.40q, want %s", c.Schema, contractSchema)
	case !nameForm.MatchString(c.Name):
		return model.Refuse(model.Malformed, "%.80q is no model name", c.Name)
	case c.Window != Window{model.Minutes, 60}:
		return model.Refuse(model.Malformed, "a window of %d epochs of %d s, want %d of 60 s", c.Window.Minutes, c.Window.EpochSeconds, model.Minutes)
	}
	if err := b.checkOutputs(); err != nil {
		return err
	}
	return b.Preprocessing.Check()
}

func (b *Bundle) checkOutputs() error {
	seen := map[string]bool{}
	for _, o := range b.Contract.Outputs {
		if !nameForm.MatchString(o.Name) || seen[o.Name] || o.Length < 1 || o.Length > model.Minutes {
			return model.Refuse(model.Malformed, "output %.80q of length %d", o.Name, o.Length)
		}
		if !slices.Contains([]model.Visibility{model.Internal, model.Preview, model.Public}, o.Visibility) {
			return model.Refuse(model.Malformed, "output %s is visible to %.40q", o.Name, o.Visibility)
		}
		if o.Visibility == model.Preview && b.Contract.Label == "" {
			return model.Refuse(model.Malformed, "output %s is a preview, but the contract has no label for it", o.Name)
		}
		seen[o.Name] = true
	}
	if len(seen) == 0 {
		return model.Refuse(model.Malformed, "the contract names no output")
	}
	return nil
}

// ReadGolden parses a file of golden vectors for a model with these outputs:
// the same document as a bundle's own golden part.
func ReadGolden(raw []byte, outputs []model.Output) (Golden, error) {
	if len(raw) > maxGolden {
		return Golden{}, model.Refuse(model.Malformed, "golden vectors of %d bytes, at most %d", len(raw), maxGolden)
	}
	var g Golden
	if err := strict(raw, &g); err != nil {
		return Golden{}, model.Refuse(model.Malformed, "the golden vectors: %v", err)
	}
	return g, g.check(outputs)
}

func (g Golden) check(outputs []model.Output) error {
	if g.Schema != goldenSchema || !(g.Tolerance > 0 && g.Tolerance <= maxGoldenTolerant) || len(g.Cases) == 0 || len(g.Cases) > maxGoldenCases {
		return model.Refuse(model.Malformed, "golden vectors of schema %.40q, tolerance %g, %d cases", g.Schema, g.Tolerance, len(g.Cases))
	}
	for _, c := range g.Cases {
		if err := c.Window().Check(); err != nil {
			return model.Refuse(model.Malformed, "golden case %.40q: %v", c.Name, err)
		}
		for _, run := range c.Missing {
			if run[0] < 0 || run[1] < 1 || run[0] > model.Minutes-run[1] {
				return model.Refuse(model.Malformed, "golden case %.40q: missing minutes %v", c.Name, run)
			}
		}
		for _, o := range outputs {
			if len(c.Outputs[o.Name]) != o.Length {
				return model.Refuse(model.Malformed, "golden case %.40q: %d values of %s, want %d", c.Name, len(c.Outputs[o.Name]), o.Name, o.Length)
			}
			for _, v := range c.Outputs[o.Name] {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return model.Refuse(model.Malformed, "golden case %.40q: %s is not finite", c.Name, o.Name)
				}
			}
		}
	}
	return nil
}

// Window is the case's input.
func (c GoldenCase) Window() model.Window {
	w := model.Window{Kind: actigraphy.InputKind(c.Kind), StartMinute: c.StartMinute, Counts: c.Counts, Missing: make([]bool, len(c.Counts))}
	for _, run := range c.Missing {
		for i := max(0, run[0]); i < len(w.Missing) && i-run[0] < run[1]; i++ {
			w.Missing[i] = true
		}
	}
	return w
}

// Identity is what results say of the version.
func (b *Bundle) Identity() model.Identity {
	return model.Identity{
		Name: b.Contract.Name, Digest: b.Digest, Preprocessing: b.Preprocessing.ID, Scaling: b.Preprocessing.Scaling(),
		Label: b.Contract.Label, Outputs: slices.Clone(b.Contract.Outputs),
	}
}

// Compare says how far an inference is from the case, if farther than the tolerance.
func (g Golden) Compare(c GoldenCase, id model.Identity, got *model.Inference) error {
	far, output, err := c.Deviation(id, got)
	if err == nil && !(far <= g.Tolerance) {
		err = model.Refuse(model.GoldenMismatch, "case %q: %s is %.2g off, relative to its largest value", c.Name, output, far)
	}
	return err
}

// Deviation is how far an inference is from the case: of the outputs, the
// largest difference relative to that output's largest value, and that output's
// name. An output whose values should all be zero is off by 0 or infinitely.
// What cannot be compared, a refusal or a value that is not finite, is an error.
func (c GoldenCase) Deviation(id model.Identity, got *model.Inference) (worst float64, output string, err error) {
	if got.Refused != nil {
		return 0, "", model.Refuse(model.GoldenMismatch, "case %q is refused: %v", c.Name, got.Refused)
	}
	if got.WornMinutes != c.WornMinutes {
		return 0, "", model.Refuse(model.GoldenMismatch, "case %q: %d worn minutes, want %d", c.Name, got.WornMinutes, c.WornMinutes)
	}
	for _, o := range id.Outputs {
		want, values := c.Outputs[o.Name], got.Value(id, o.Name)
		if len(values) != len(want) {
			return 0, "", model.Refuse(model.GoldenMismatch, "case %q: %d values of %s, want %d", c.Name, len(values), o.Name, len(want))
		}
		far, size := 0.0, 0.0
		for i, v := range want {
			if is := float64(values[i]); math.IsNaN(is) || math.IsInf(is, 0) {
				return 0, "", model.Refuse(model.GoldenMismatch, "case %q: a value of %s is not finite", c.Name, o.Name)
			}
			far, size = max(far, math.Abs(float64(values[i])-v)), max(size, math.Abs(v))
		}
		if far > 0 {
			far /= size // by nothing is infinitely far
		}
		if output == "" || far > worst {
			worst, output = far, o.Name
		}
	}
	return worst, output, nil
}
