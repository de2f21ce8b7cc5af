// Package triton has a bundle served by NVIDIA Triton Inference Server: the
// model repository that Triton reads, and the driver of the model contract that
// asks Triton over the Open Inference Protocol.
//
// A server shows the version's papers (see bundle.Papers) in its model's
// configuration. A Client that knows the digest alone believes them, learns
// the contract and the preprocessing from them, and refuses every connection
// behind which another digest is.
package triton

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// Serving says how a model is served.
type Serving struct {
	// Model is the model's name at the server; "" is the contract's.
	Model string
	// MaxBatch bounds a batch of windows.
	MaxBatch int
	// QueueDelay is how long a request waits for others, in microseconds.
	QueueDelay int
	// Timeout is after how many microseconds in the queue a request is rejected.
	Timeout int
	// QueueSize is how many requests may wait before more are rejected.
	QueueSize int
	// Instances is how many copies run, on each GPU or on the CPU.
	Instances int
	GPU       bool
}

// DefaultServing suits a GPU of its own: batches as they come, no request older
// than two seconds.
func DefaultServing() Serving {
	return Serving{MaxBatch: 64, QueueDelay: 5000, Timeout: 2_000_000, QueueSize: 1024, Instances: 1, GPU: true}
}

// Repository is a model repository for one bundle: files by path.
func Repository(b *bundle.Bundle, onnx []byte, s Serving) map[string][]byte {
	s.Model = cmp.Or(s.Model, b.Contract.Name)
	return map[string][]byte{
		path.Join(s.Model, "config.pbtxt"):  []byte(config(b, s)),
		path.Join(s.Model, "1/model.onnx"):  onnx,
		path.Join(s.Model, "MODEL_CARD.md"): []byte(b.Card),
	}
}

// The parameters of a model's configuration in which a server shows the version.
const (
	parameterDigest   = "digest"
	parameterManifest = "manifest"
	parameterContract = "contract"
	parameterSpec     = "preprocessing_spec"
)

// Parameters are those of the model's configuration: the digest, what people
// look for, and the papers.
func Parameters(b *bundle.Bundle) map[string]string {
	p := map[string]string{parameterDigest: b.Digest, "label": b.Contract.Label, "preprocessing": b.Preprocessing.ID}
	if len(b.Papers.Manifest) > 0 {
		p[parameterManifest], p[parameterContract], p[parameterSpec] = string(b.Papers.Manifest), string(b.Papers.Contract), string(b.Papers.Preprocessing)
	}
	return p
}

// config is the model configuration (model_config.proto) in text form.
func config(b *bundle.Bundle, s Serving) string {
	var out strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	p("name: %q", s.Model)
	p("platform: \"onnxruntime_onnx\"")
	p("max_batch_size: %d", s.MaxBatch)
	p("input [\n  { name: %q data_type: TYPE_FP32 dims: [ %d ] }\n]", b.Contract.Input.Name, model.Minutes)
	var outputs []string
	for _, o := range b.Contract.Outputs {
		outputs = append(outputs, fmt.Sprintf("  { name: %q data_type: TYPE_FP32 dims: [ %d ] }", o.Name, o.Length))
	}
	p("output [\n%s\n]", strings.Join(outputs, ",\n"))
	p("instance_group [\n  { count: %d kind: %s }\n]", s.Instances, map[bool]string{true: "KIND_GPU", false: "KIND_CPU"}[s.GPU])
	p("dynamic_batching {\n  max_queue_delay_microseconds: %d", s.QueueDelay)
	p("  default_queue_policy {\n    timeout_action: REJECT\n    default_timeout_microseconds: %d", s.Timeout)
	p("    allow_timeout_override: true\n    max_queue_size: %d\n  }\n}", s.QueueSize)
	for _, batch := range slices.Compact([]int{1, s.MaxBatch}) {
		p("model_warmup [\n  {\n    name: \"zeros_%d\"\n    batch_size: %d", batch, batch)
		p("    inputs { key: %q value { data_type: TYPE_FP32 dims: [ %d ] zero_data: true } }\n  }\n]", b.Contract.Input.Name, model.Minutes)
	}
	parameters := Parameters(b)
	for _, key := range slices.Sorted(maps.Keys(parameters)) {
		p("parameters { key: %q value { string_value: %s } }", key, quote(parameters[key]))
	}
	return out.String()
}

// quote writes a string as the text format does; whatever is not printable
// ASCII as three octal digits a byte, which every parser of it knows.
func quote(s string) string {
	out := make([]byte, 0, len(s)+2)
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ' || c > '~':
			out = append(out, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}
