package models_test

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preview"
)

// What is given in the place of weights, or of a bundle, is told what it is and
// what is asked for.
func TestAFileOfAnotherKindIsToldWhatItIs(t *testing.T) {
	t.Chdir(t.TempDir())
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	const weights, tar = "weights are imported from Keras HDF5 or safetensors", "which is a tar file that `clarity model import` writes"
	header := func(n uint64, text string) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), text...) }
	tests := map[string]struct {
		data                []byte
		asWeights, asBundle string
	}{
		"ONNX of PyTorch":        {[]byte("\x08\x07\x12\x07pytorch"), "it is an ONNX model: " + weights, "f is an ONNX model, not a bundle, " + tar},
		"ONNX without a maker":   {[]byte("\x08\x0a\x3a\x80\x04"), "it is an ONNX model: " + weights, "f is an ONNX model, not a bundle, " + tar},
		"Keras 3":                {[]byte("PK\x03\x04 and so on"), "it is a zip file, as PyTorch and Keras 3 (.keras) write: " + weights, "f is a zip file, as PyTorch and Keras 3 (.keras) write, not a bundle, " + tar},
		"a zip of nothing":       {[]byte("PK\x05\x06"), "it is a zip file", "f is a zip file"},
		"gzip":                   {[]byte("\x1f\x8b\x08"), "it is gzipped: " + weights, "f is gzipped, not a bundle, " + tar},
		"a pickle":               {[]byte("\x80\x02}q"), "it is a Python pickle: " + weights, "f is a Python pickle, not a bundle, " + tar},
		"an array":               {[]byte("\x93NUMPY\x01"), "it is a NumPy array: " + weights, "f is a NumPy array, not a bundle, " + tar},
		"GGUF":                   {[]byte("GGUF\x03"), "it is GGUF: " + weights, "f is GGUF, not a bundle, " + tar},
		"TensorFlow Lite":        {[]byte("\x1c\x00\x00\x00TFL3\x14"), "it is TensorFlow Lite: " + weights, "f is TensorFlow Lite, not a bundle, " + tar},
		"a bundle":               {preview.Bundle(), "it is a tar file: " + weights, ""},
		"safetensors":            {b.Weights, "", "f is weights (safetensors), not a bundle: `clarity model import` makes one of them"},
		"HDF5":                   {[]byte("\x89HDF\r\n\x1a\n"), "malformed artifact", "f is weights (Keras HDF5), not a bundle: `clarity model import` makes one of them"},
		"nothing":                {nil, "it is an empty file: " + weights, "f is an empty file, not a bundle, " + tar},
		"a text":                 {[]byte("hello, world\n"), "it is neither Keras HDF5 nor safetensors, which are what weights are imported from", "f is not a bundle, " + tar},
		"a header beyond memory": {header(1<<60, "{}"), "it is neither", "f is not a bundle, "},
		"a header of no object":  {header(2, "[]"), "it is neither", "f is not a bundle, "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			write(t, "f", tt.data)
			_, _, imported := models.Import(tt.data, models.Description{Label: "x", Name: "n", Card: "c", Preprocessing: b.Preprocessing})
			found, asBundle := models.Find("f"), tt.asBundle
			if asBundle != "" {
				asBundle = "model: " + asBundle
			}
			for what, got := range map[string]struct {
				err  error
				want string
			}{"import": {imported, tt.asWeights}, "find": {found, asBundle}} {
				if (got.err == nil) != (got.want == "") || got.err != nil && !strings.HasPrefix(got.err.Error(), got.want) {
					t.Errorf("%s: %v, want %q", what, got.err, got.want)
				}
			}
			if _, err := models.Load("f"); (err == nil) != (found == nil) {
				t.Errorf("loaded: %v", err)
			}
		})
	}
}

func TestAPlaceThatHasNoBundle(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "file", nil)
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"nope":                   "model: there is no bundle at nope: a model is none, preview or a bundle's file",
		"file/below":             "model: there is no bundle at file/below: a model is none, preview or a bundle's file",
		"folder@sha256:00":       "model: folder is a directory, not a bundle's file",
		"/dev/null":              "model: look for the bundle: /dev/null is not a plain file",
		"none":                   "",
		"":                       "",
		"preview":                "",
		"preview@sha256:" + "00": "",
	} {
		if err := models.Find(ref); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %q", ref, err, want)
		}
	}
}

// A digest behind the preview's name is held to, too.
func TestThePreviewOfAnotherDigest(t *testing.T) {
	if _, err := models.Load("preview@" + preview.Digest); err != nil {
		t.Error(err)
	}
	if _, err := models.Load("preview@sha256:00"); err == nil || !strings.Contains(err.Error(), "not sha256:00") {
		t.Errorf("%v", err)
	}
}
