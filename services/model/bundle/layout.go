package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
)

// The documents of an OCI image layout, as far as an artifact needs them.
type (
	descriptor struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	manifest struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}
	index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	layout struct {
		Version string `json:"imageLayoutVersion"`
	}
)

// The files of a layout beside its blobs.
const (
	layoutFile = "oci-layout"
	indexFile  = "index.json"
)

// title is the annotation by which registry clients name a layer's file.
const title = "org.opencontainers.image.title"

// parts are the layers, in order: media type, file name, bound.
var parts = []struct {
	media, file string
	limit       int64
}{
	{mediaWeights, "weights.safetensors", maxWeights},
	{mediaPreprocess, "preprocessing.json", maxCard},
	{mediaGolden, "golden.json", maxGolden},
	{mediaCard, "card.md", maxCard},
}

// Write lays the parts out as a file, and sets b's digests, schema and window.
func Write(b *Bundle) ([]byte, error) {
	pre, err := json.Marshal(b.Preprocessing)
	if err != nil {
		return nil, fmt.Errorf("write bundle: encode the preprocessing: %w", err)
	}
	golden, err := json.Marshal(b.Golden)
	if err != nil {
		return nil, fmt.Errorf("write bundle: encode the golden vectors: %w", err)
	}
	b.Contract.Schema, b.Contract.Window = contractSchema, Window{model.Minutes, 60}
	b.Contract.Preprocessing = PreprocessingRef{b.Preprocessing.ID, DigestOf(pre)}
	contract, err := json.Marshal(b.Contract)
	if err != nil {
		return nil, fmt.Errorf("write bundle: encode the contract: %w", err)
	}
	m := manifest{SchemaVersion: 2, MediaType: mediaManifest, ArtifactType: ArtifactType,
		Config: descriptor{MediaType: mediaConfig, Digest: DigestOf(contract), Size: int64(len(contract))}}
	blobs := [][]byte{contract}
	for i, content := range [][]byte{b.Weights, pre, golden, []byte(b.Card)} {
		m.Layers = append(m.Layers, descriptor{MediaType: parts[i].media, Digest: DigestOf(content), Size: int64(len(content)),
			Annotations: map[string]string{title: parts[i].file}})
		blobs = append(blobs, content)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write bundle: encode the manifest: %w", err)
	}
	b.Digest = DigestOf(raw)
	out, err := pack(raw, blobs)
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	// What cannot be read must not be written.
	read, err := Read(out, b.Digest)
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	b.Papers = read.Papers
	return out, nil
}

func pack(m []byte, blobs [][]byte) ([]byte, error) {
	contents := map[string][]byte{}
	for _, b := range blobs {
		contents[DigestOf(b)] = b
	}
	var out bytes.Buffer
	err := Pack(&out, m, func(digest string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(contents[digest])), nil
	})
	return out.Bytes(), err
}

func blobName(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// unpack reads the tar's files; each blob is what its name says.
func unpack(data []byte) (map[string][]byte, error) {
	if len(data) > maxFile {
		return nil, model.Refuse(model.Malformed, "%d bytes: a bundle has at most %d", len(data), maxFile)
	}
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, model.Refuse(model.Malformed, "not a whole tar file")
		}
		switch {
		case head.Typeflag != tar.TypeReg:
			return nil, model.Refuse(model.Malformed, "entry %.100q is not a plain file", head.Name)
		case files[head.Name] != nil:
			return nil, model.Refuse(model.Malformed, "entry %.100q stands twice", head.Name)
		case len(files) > len(parts)+4:
			return nil, model.Refuse(model.Malformed, "more files than a bundle has")
		case head.Size > int64(len(data)): // a sparse file, which unpacks to more than it holds
			return nil, model.Refuse(model.Malformed, "entry %.100q claims %d bytes in a file of %d", head.Name, head.Size, len(data))
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, model.Refuse(model.Malformed, "entry %.100q is cut", head.Name)
		}
		if strings.HasPrefix(head.Name, "blobs/") && head.Name != blobName(DigestOf(content)) {
			return nil, model.Refuse(model.DigestMismatch, "the content of %.100q has another digest", head.Name)
		}
		files[head.Name] = content
	}
}

// Layout is the bundle's files by path, each blob held to its digest: an OCI
// image layout as a folder, from which registry clients push.
func Layout(data []byte) (map[string][]byte, error) { return unpack(data) }
