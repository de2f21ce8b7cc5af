// Package bundle is a model version as one file: a tar of an OCI image layout
// (image-spec 1.1) with one artifact in it, so that any registry can carry it
// as it is. The artifact's config is the contract; its layers are the weights,
// the preprocessing with its scaler, golden vectors and the model card. The
// digest of the manifest covers all of them: it is the version's identity.
//
// Read takes nothing on trust. Every blob is held to its digest and to a bound
// on its size, every part to its schema; what is not expected is refused, with
// the reason. The same parts give the same file, byte for byte.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// The media types of the artifact and its parts.
const (
	ArtifactType      = "application/vnd.clarityloop.model.v1"
	mediaConfig       = "application/vnd.clarityloop.model.contract.v1+json"
	mediaWeights      = "application/vnd.clarityloop.model.weights.v1.safetensors"
	mediaPreprocess   = "application/vnd.clarityloop.model.preprocessing.v1+json"
	mediaGolden       = "application/vnd.clarityloop.model.golden.v1+json"
	mediaCard         = "application/vnd.clarityloop.model.card.v1+markdown"
	mediaManifest     = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex        = "application/vnd.oci.image.index.v1+json"
	contractSchema    = "clarity.model/1"
	goldenSchema      = "clarity.model.golden/1"
	layoutVersion     = "1.0.0"
	maxFile           = 96 << 20
	maxManifest       = 64 << 10
	maxWeights        = 64 << 20
	maxGolden         = 8 << 20
	maxCard           = 1 << 20
	maxGoldenCases    = 16
	maxGoldenTolerant = 1e-3
)

// A Bundle is a model version's parts.
type Bundle struct {
	// Digest is "sha256:…" of the manifest. Write sets it.
	Digest        string
	Contract      Contract
	Weights       []byte // safetensors
	Preprocessing preprocess.Spec
	Golden        Golden
	Card          string // Markdown
	// Papers are what a server shows of it. Read and Write set them.
	Papers Papers
}

// A Contract says what goes in, what comes out, and what it may be used for.
type Contract struct {
	Schema       string `json:"schema"`
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	// Label must stand beside every output that is shown.
	Label         string           `json:"label"`
	License       string           `json:"license"`
	Source        string           `json:"source" doc:"where the weights are from"`
	Window        Window           `json:"window"`
	Input         Input            `json:"input"`
	Outputs       []model.Output   `json:"outputs"`
	Preprocessing PreprocessingRef `json:"preprocessing"`
}

// A Window is the shape of what goes in.
type Window struct {
	Minutes      int `json:"minutes"`
	EpochSeconds int `json:"epochSeconds"`
}

// An Input is the input tensor, after preprocessing.
type Input struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
}

// A PreprocessingRef names the preprocessing and pins its parameters.
type PreprocessingRef struct {
	ID string `json:"id"`
	// Digest is of the preprocessing part, and so of the scaler. Write sets it.
	Digest string `json:"digest"`
}

// Golden holds inputs with the outputs they must come to.
type Golden struct {
	Schema string `json:"schema"`
	// Tolerance is relative to an output's largest value.
	Tolerance float64      `json:"tolerance"`
	Cases     []GoldenCase `json:"cases"`
}

// A GoldenCase is one window: counts that are whole numbers, runs of missing
// minutes as [first, count], and outputs by name.
type GoldenCase struct {
	Name        string               `json:"name"`
	Kind        string               `json:"kind"`
	StartMinute int                  `json:"startMinute"`
	Counts      []float64            `json:"counts"`
	Missing     [][2]int             `json:"missing,omitempty"`
	WornMinutes int                  `json:"wornMinutes"`
	Outputs     map[string][]float64 `json:"outputs"`
}

// DigestOf is how digests are written.
func DigestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Open reads a bundle from a file; want, if not "", is the digest it must have.
func Open(path, want string) (*Bundle, error) {
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, model.Refuse(model.NoWeights, "there is no bundle at %s", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	if info.Size() > maxFile {
		return nil, model.Refuse(model.Malformed, "%d bytes: a bundle has at most %d", info.Size(), maxFile)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return Read(data, want)
}
