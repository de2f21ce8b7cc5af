package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

const modelHelp = `A model version is one file, a bundle; its digest is its identity.

  clarity model import WEIGHTS --name N --card FILE --out BUNDLE   from Keras HDF5 or safetensors
  clarity model inspect [BUNDLE]         contract and model card; without BUNDLE, of the built-in preview
  clarity model verify [BUNDLE]          run its golden vectors on every vector kernel of this machine
  clarity model golden [BUNDLE] FILE     write its golden vectors, a ModelVersion's golden set, and print their digest
  clarity model push-dir BUNDLE DIR      lay it out as an OCI image layout, from which registry clients push
  clarity model export-onnx BUNDLE DIR   write a Triton model repository: ONNX and config.pbtxt

BUNDLE is a file, with @sha256:… behind it where the digest must be that one, or "preview".`

// A modelTask is one `clarity model` command line.
type modelTask struct {
	*call
	name, card, preprocessing, scaler, label, license, source, out string
	cpu                                                            bool
}

func modelTool(ctx context.Context, c *call) error {
	fs := c.flags(modelHelp)
	t := &modelTask{call: c}
	fs.StringVar(&t.name, "name", "", "import: the version's `NAME`, lower case")
	fs.StringVar(&t.card, "card", "", "import: `FILE` with the model card, Markdown")
	fs.StringVar(&t.preprocessing, "preprocessing", preprocess.Simact, "import: `ID` of the preprocessing: "+strings.Join([]string{preprocess.Simact, preprocess.Cohort, preprocess.Record}, ", "))
	fs.StringVar(&t.scaler, "scaler", "", "import: JSON `FILE` with the cohort's mean and sd, one value or one a minute")
	fs.StringVar(&t.label, "label", "", "import: `TEXT` that must stand beside every output shown")
	fs.StringVar(&t.license, "license", "", "import: SPDX `ID` of the weights' licence")
	fs.StringVar(&t.source, "source", "", "import: `TEXT` saying where the weights are from")
	fs.StringVar(&t.out, "out", "", "import: `FILE` to write")
	fs.BoolVar(&t.cpu, "cpu", false, "export-onnx: serve on CPU")
	args, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return usagef("model needs a verb; `clarity model --help` tells them")
	}
	verbs := map[string]struct {
		least, most int
		takes       string
		run         func(ctx context.Context, args []string) error
	}{
		"import": {1, 1, "WEIGHTS", t.load}, "inspect": {0, 1, "[BUNDLE]", t.inspect}, "verify": {0, 1, "[BUNDLE]", t.verify},
		"golden": {1, 2, "[BUNDLE] FILE", t.golden}, "push-dir": {2, 2, "BUNDLE DIR", t.pushDir}, "export-onnx": {2, 2, "BUNDLE DIR", t.exportONNX},
	}
	v, ok := verbs[args[0]]
	switch rest := args[1:]; {
	case !ok:
		return usagef("model has no verb %q; `clarity model --help` tells them", args[0])
	case len(rest) < v.least || len(rest) > v.most:
		return usagef("model %s takes %s, got %d of them; `clarity model --help` tells more", args[0], v.takes, len(rest))
	case len(rest) == 0:
		return v.run(ctx, []string{models.Preview})
	default:
		return v.run(ctx, rest)
	}
}

func (t *modelTask) load(_ context.Context, args []string) error {
	if missing := t.missing(); len(missing) > 0 {
		return usagef("model import needs %s", strings.Join(missing, ", "))
	}
	weights, err := os.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("import a model: %w", err)
	}
	card, err := os.ReadFile(t.card)
	if err != nil {
		return fmt.Errorf("import a model: %w", err)
	}
	d := models.Description{Name: t.name, Label: t.label, License: t.license, Source: t.source, Card: string(card),
		Preprocessing: preprocess.Spec{ID: t.preprocessing}}
	if t.scaler != "" {
		text, err := os.ReadFile(t.scaler)
		if err == nil {
			err = json.Unmarshal(text, &d.Preprocessing)
		}
		if err != nil {
			return fmt.Errorf("import a model: read the scaler: %w", err)
		}
		d.Preprocessing.ID = t.preprocessing
	}
	raw, b, err := models.Import(weights, d)
	if errors.Is(err, models.ErrNoLabel) {
		return usagef("model import needs --label: %v", err)
	}
	if err != nil {
		return fmt.Errorf("import %s: %w", args[0], err)
	}
	if err := os.WriteFile(t.out, raw, 0o644); err != nil { //nolint:gosec // a model is no secret
		return fmt.Errorf("import a model: %w", err)
	}
	say(t.stdout, "%s  %s  %s, %d bytes\n", b.Digest, b.Contract.Name, b.Contract.Architecture, len(raw))
	return nil
}

// missing are the flags that import needs and that say nothing.
func (t *modelTask) missing() []string {
	var missing []string
	for _, f := range [][2]string{{"--name", t.name}, {"--card", t.card}, {"--out", t.out}} {
		if f[1] == "" {
			missing = append(missing, f[0])
		}
	}
	return missing
}

func (t *modelTask) inspect(_ context.Context, args []string) error {
	b, err := models.Load(args[0])
	if err != nil {
		return err
	}
	c := b.Contract
	tw := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"name", c.Name}, {"digest", b.Digest}, {"architecture", c.Architecture}, {"label", c.Label}, {"licence", c.License}, {"source", c.Source},
		{"preprocessing", fmt.Sprintf("%s, scaled by %s, %s", b.Preprocessing.ID, b.Preprocessing.Scaling(), c.Preprocessing.Digest)},
		{"window", fmt.Sprintf("%d epochs of %d s", c.Window.Minutes, c.Window.EpochSeconds)},
		{"weights", fmt.Sprintf("%d bytes, %s", len(b.Weights), bundle.DigestOf(b.Weights))},
		{"golden", fmt.Sprintf("%d windows, within %g", len(b.Golden.Cases), b.Golden.Tolerance)},
	} {
		if row[1] != "" {
			say(tw, "%s\t%s\n", row[0], row[1])
		}
	}
	for _, o := range c.Outputs {
		say(tw, "output\t%s [%d] %s: %s\n", o.Name, o.Length, o.Visibility, o.Doc)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	say(t.stdout, "\n%s\n", strings.TrimSpace(b.Card))
	return nil
}

func (t *modelTask) verify(ctx context.Context, args []string) error {
	b, err := models.Load(args[0])
	if err != nil {
		return err
	}
	kernels, err := models.Verify(ctx, b)
	if err != nil {
		return fmt.Errorf("verify %s: %w", b.Contract.Name, err)
	}
	say(t.stdout, "ok: %s  %s  %d golden windows on %s\n", b.Digest, b.Contract.Name, len(b.Golden.Cases), strings.Join(kernels, ", "))
	return nil
}

func (t *modelTask) golden(_ context.Context, args []string) error {
	ref, path := models.Preview, args[len(args)-1]
	if len(args) == 2 {
		ref = args[0]
	}
	b, err := models.Load(ref)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(b.Golden)
	if err != nil {
		return fmt.Errorf("encode the golden vectors: %w", err)
	}
	if len(args) == 1 && models.Find(path) == nil {
		return usagef("model golden: %s is a bundle, which FILE would replace: say BUNDLE and FILE", path)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil { //nolint:gosec // a model is no secret
		return fmt.Errorf("write the golden vectors: %w", err)
	}
	say(t.stdout, "%s  %d golden windows of %s\n", bundle.DigestOf(raw), len(b.Golden.Cases), b.Contract.Name)
	return nil
}

func (t *modelTask) pushDir(_ context.Context, args []string) error {
	b, err := models.Load(args[0])
	if err != nil {
		return err
	}
	raw, err := models.Raw(args[0])
	if err != nil {
		return fmt.Errorf("lay out a model: %w", err)
	}
	files, err := bundle.Layout(raw)
	if err != nil {
		return err
	}
	if err := writeTree(args[1], files); err != nil {
		return err
	}
	say(t.stdout, "%s  an OCI image layout in %s\n", b.Digest, args[1])
	return nil
}

func (t *modelTask) exportONNX(_ context.Context, args []string) error {
	b, err := models.Load(args[0])
	if err != nil {
		return err
	}
	files, err := models.TritonRepository(b, models.TritonServing{GPU: !t.cpu})
	if err != nil {
		return fmt.Errorf("export %s: %w", b.Contract.Name, err)
	}
	if err := writeTree(args[1], files); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		say(t.stdout, "%s  %d bytes\n", filepath.Join(args[1], name), len(files[name]))
	}
	return nil
}

// writeTree writes files below dir; a name that leads out of it is refused.
func writeTree(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a model is no secret
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := root.WriteFile(name, files[name], 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
