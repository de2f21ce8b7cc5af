package pat

import (
	"fmt"
	"math"

	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/internal/onnx"
)

// ONNX is the bundle's encoder and heads as an ONNX model of opset 17:
// "activity" [batch, 10080], standardised, to the contract's outputs. Its
// metadata names the bundle's digest and preprocessing.
func ONNX(b *bundle.Bundle) ([]byte, error) {
	w, c, err := weightsOf(b)
	if err != nil {
		return nil, err
	}
	return ExportONNX(w, c, b.Contract.Name, map[string]string{
		"digest": b.Digest, "preprocessing": b.Preprocessing.ID, "label": b.Contract.Label,
	})
}

// ExportONNX is ONNX of weights that are in no bundle.
func ExportONNX(w Weights, c Config, name string, metadata map[string]string) ([]byte, error) {
	if err := w.Check(c); err != nil {
		return nil, err
	}
	x := &exporter{Graph: onnx.NewGraph(name, "clarity", metadata), w: w, c: c}
	x.Input(InputName, c.Tokens()*c.Patch)
	h := x.embed()
	x.Floats("scale", nil, []float32{float32(1 / math.Sqrt(Width))})
	x.Ints("split", 0, -1, c.Heads, Width)
	x.Ints("join", 0, -1, c.Heads*Width)
	for i := 1; i <= c.Layers; i++ {
		h = x.layer(fmt.Sprintf("encoder_layer_%d_", i), h)
	}
	x.Op("ReduceMean", OutputEmbedding, []string{h}, onnx.Attr{Name: "axes", Value: []int{1}}, onnx.Attr{Name: "keepdims", Value: 0})
	x.Output(OutputEmbedding, Width)
	if w.HasHeads() {
		x.heads(h)
	}
	return x.Bytes(), nil
}

type exporter struct {
	*onnx.Graph
	w Weights
	c Config
}

// tensor adds the named weights under the dimensions given and returns the name.
func (x *exporter) tensor(name string, dims ...int) string {
	return x.Floats(name, dims, x.w[name].Data)
}

// affine is in·kernel + bias.
func (x *exporter) affine(name, in string, rows, columns int) string {
	y := x.Op("MatMul", name+".product", []string{in, x.tensor(name+"/kernel", rows, columns)})
	return x.Op("Add", name, []string{y, x.tensor(name+"/bias", columns)})
}

func (x *exporter) embed() string {
	n := x.c.Tokens()
	h := x.Op("Reshape", "patches", []string{InputName, x.Ints("patched", -1, n, x.c.Patch)})
	h = x.affine("dense", h, x.c.Patch, Width)
	return x.Op("Add", "tokens_0", []string{h, x.Floats("position", []int{n, Width}, narrow(positional(n), 1))})
}

func (x *exporter) layer(name, h string) string {
	wide := x.c.Heads * Width
	project := func(q string, order ...int) string {
		full := name + "attention/" + q
		y := x.affine(full, h, Width, wide)
		y = x.Op("Reshape", full+".split", []string{y, "split"})
		return x.Op("Transpose", full+".heads", []string{y}, onnx.Attr{Name: "perm", Value: order})
	}
	q, k, v := project("query", 0, 2, 1, 3), project("key", 0, 2, 3, 1), project("value", 0, 2, 1, 3)
	q = x.Op("Mul", name+"scaled", []string{q, "scale"})
	p := x.Op("MatMul", name+"scores", []string{q, k})
	p = x.Op("Softmax", name+"attention", []string{p}, onnx.Attr{Name: "axis", Value: -1})
	o := x.Op("MatMul", name+"mixed", []string{p, v})
	o = x.Op("Transpose", name+"rows", []string{o}, onnx.Attr{Name: "perm", Value: []int{0, 2, 1, 3}})
	o = x.Op("Reshape", name+"joined", []string{o, "join"})
	o = x.affine(name+"attention/attention_output", o, wide, Width)
	y := x.norm(name+"norm1", x.Op("Add", name+"residual1", []string{h, o}))
	f := x.affine(name+"ff1", y, Width, hidden)
	f = x.affine(name+"ff2", x.Op("Relu", name+"relu", []string{f}), hidden, Width)
	return x.norm(name+"norm2", x.Op("Add", name+"residual2", []string{y, f}))
}

func (x *exporter) norm(name, in string) string {
	return x.Op("LayerNormalization", name, []string{in, x.tensor(name+"/gamma", Width), x.tensor(name+"/beta", Width)},
		onnx.Attr{Name: "axis", Value: -1}, onnx.Attr{Name: "epsilon", Value: float32(1e-6)})
}

func (x *exporter) heads(tokens string) {
	s := x.affine("head_sleep", tokens, Width, 1)
	s = x.Op("Reshape", "sleep_logits", []string{s, x.Ints("flat", 0, -1)})
	x.Op("Sigmoid", outputSleep, []string{s})
	x.Output(outputSleep, x.c.Tokens())
	y := x.Op("Relu", "week_hidden", []string{x.affine("head_week_1", OutputEmbedding, Width, weekHidden)})
	x.Op("Identity", outputWeek, []string{x.affine("head_week_2", y, weekHidden, weekValues)})
	x.Output(outputWeek, weekValues)
}
