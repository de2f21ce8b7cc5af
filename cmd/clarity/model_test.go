package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preview"
)

// tool runs `clarity model` and returns what it printed.
func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(context.Background(), append([]string{"model"}, args...), func(string) string { return "" }, &out, &errs)
	return out.String(), err
}

func mustTool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tool(t, args...)
	if err != nil {
		t.Fatalf("clarity model %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func TestModelImportInspectVerifyExport(t *testing.T) {
	if testing.Short() {
		t.Skip("verifies a whole model")
	}
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, data := range map[string]string{"w.safetensors": string(b.Weights), "card.md": b.Card, "scaler.json": `{"mean":[100],"sd":[200]}`} {
		if err := os.WriteFile(at(name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The built-in preview comes out of its own parts again.
	made := mustTool(t, "import", at("w.safetensors"), "--name", "pat-s-sim", "--card", at("card.md"), "--label", b.Contract.Label,
		"--license", b.Contract.License, "--source", b.Contract.Source, "--out", at("m.tar"))
	if !strings.HasPrefix(made, "sha256:") || !strings.Contains(made, "PAT-S") {
		t.Errorf("import says %q", made)
	}
	digest, _, _ := strings.Cut(made, " ")
	again, err := bundle.Open(at("m.tar"), digest)
	if err != nil || !bytes.Equal(again.Weights, b.Weights) || again.Card != b.Card {
		t.Errorf("the import lost something: %v", err)
	}
	cohort := mustTool(t, "import", at("w.safetensors"), "--name", "c", "--card", at("card.md"), "--label", "x",
		"--preprocessing", "cohort-zscore/1", "--scaler", at("scaler.json"), "--out", at("c.tar"))
	if other, _, _ := strings.Cut(cohort, " "); other == digest {
		t.Error("another scaler has the same digest")
	}
	for want, out := range map[string]string{
		"research preview; trained on simulated data": mustTool(t, "inspect"),
		digest:             mustTool(t, "inspect", at("m.tar")+"@"+digest),
		"scaled by cohort": mustTool(t, "inspect", at("c.tar")),
		"scalar":           mustTool(t, "verify", at("m.tar")),
		"OCI image layout": mustTool(t, "push-dir", at("m.tar"), at("layout")),
		"image layout in ": mustTool(t, "push-dir", "preview", at("layout-of-preview")),
		"config.pbtxt":     mustTool(t, "export-onnx", at("m.tar"), at("triton"), "--cpu"),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	for _, name := range []string{"layout/oci-layout", "layout/blobs/sha256/" + strings.TrimPrefix(digest, "sha256:"), "triton/pat-s-sim/1/model.onnx"} {
		if _, err := os.Stat(at(name)); err != nil {
			t.Error(err)
		}
	}
}

func TestModelRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("\x89HDF\r\n\x1a\n and nothing else"), 0o600); err != nil {
		t.Fatal(err)
	}
	onnx, bundled, weights := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "b.tar"), filepath.Join(dir, "w.safetensors")
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{onnx: []byte("\x08\x08\x12\x07pytorch"), bundled: preview.Bundle(), weights: b.Weights} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{
		"needs a verb":                             {},
		"has no verb":                              {"train"},
		"import takes WEIGHTS, got 0 of them":      {"import"},
		"push-dir takes BUNDLE DIR, got 1 of them": {"push-dir", bundled},
		"needs --name, --card, --out":              {"import", junk},
		"needs --card":                             {"import", junk, "--name", "n", "--out", "o"},
		"needs --label: an output of these weights is a preview":               {"import", weights, "--name", "n", "--card", junk, "--out", filepath.Join(dir, "o")},
		"m.onnx: it is an ONNX model: weights are imported from Keras HDF5":    {"import", onnx, "--name", "n", "--card", junk, "--out", filepath.Join(dir, "o")},
		"b.tar: it is a tar file: weights are imported from":                   {"import", bundled, "--name", "n", "--card", junk, "--out", filepath.Join(dir, "o")},
		"m.onnx is an ONNX model, not a bundle":                                {"inspect", onnx},
		"is weights (safetensors), not a bundle: `clarity model import` makes": {"verify", weights},
		"b.tar is a bundle, which FILE would replace":                          {"golden", bundled},
		"malformed artifact":           {"import", junk, "--name", "n", "--card", junk, "--out", filepath.Join(dir, "o")},
		"there is no bundle at":        {"verify", filepath.Join(dir, "absent")},
		"is weights (Keras HDF5), not": {"inspect", junk},
	} {
		if out, err := tool(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("clarity model %v: %v, want %q; printed %q", args, err, want, out)
		}
	}
	if raw, err := os.ReadFile(bundled); err != nil || !bytes.Equal(raw, preview.Bundle()) {
		t.Errorf("the bundle is another: %d bytes, %v", len(raw), err)
	}
}

func TestModelGoldenIsAGoldenSet(t *testing.T) {
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "golden.json")
	said := mustTool(t, "golden", path)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, err := bundle.ReadGolden(raw, b.Contract.Outputs)
	if err != nil || len(g.Cases) != len(b.Golden.Cases) || !strings.HasPrefix(said, bundle.DigestOf(raw)+"  ") {
		t.Errorf("%q; %d cases, %v", said, len(g.Cases), err)
	}
	// It is the blob that a registry has of the bundle.
	files, err := bundle.Layout(preview.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	if blob := files["blobs/"+strings.Replace(bundle.DigestOf(raw), ":", "/", 1)]; !bytes.Equal(blob, raw) {
		t.Error("the bundle holds other golden vectors")
	}
}
