// Package triton is what NVIDIA Triton Inference Server needs to serve a bundle.
package triton

import (
	"fmt"
	"path"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// Serving says how a model is served.
type Serving struct {
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
	return map[string][]byte{
		path.Join(b.Contract.Name, "config.pbtxt"):  []byte(config(b, s)),
		path.Join(b.Contract.Name, "1/model.onnx"):  onnx,
		path.Join(b.Contract.Name, "MODEL_CARD.md"): []byte(b.Card),
	}
}

// config is the model configuration (model_config.proto) in text form.
func config(b *bundle.Bundle, s Serving) string {
	var out strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	p("name: %q", b.Contract.Name)
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
	for _, batch := range []int{1, s.MaxBatch} {
		p("model_warmup [\n  {\n    name: \"zeros_%d\"\n    batch_size: %d", batch, batch)
		p("    inputs { key: %q value { data_type: TYPE_FP32 dims: [ %d ] zero_data: true } }\n  }\n]", b.Contract.Input.Name, model.Minutes)
	}
	for _, kv := range [][2]string{{"digest", b.Digest}, {"label", b.Contract.Label}, {"preprocessing", b.Preprocessing.ID}} {
		p("parameters { key: %q value { string_value: %q } }", kv[0], kv[1])
	}
	return out.String()
}
