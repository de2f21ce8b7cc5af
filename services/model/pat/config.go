// Package pat is the Pretrained Actigraphy Transformer (Ruan et al. 2024,
// arXiv:2411.15240) on CPUs: a driver of the model contract.
//
// A week of minutes is cut into patches; each becomes a token of 96 values,
// and layers of attention relate every token to every other. Encoder is the
// fast forward pass, Reference the plain one in float64 that it is held to.
package pat

import (
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/model"
)

// The widths that all sizes share.
const (
	// Width is the length of a token, and of a head's keys.
	Width  = 96
	hidden = 256 // of the feed-forward part
)

// A Config is one of the three sizes.
type Config struct {
	Size   string // "S", "M" or "L"
	Patch  int    // minutes a token
	Heads  int
	Layers int
}

// Sizes are the published ones.
func Sizes() []Config {
	return []Config{{"S", 18, 6, 1}, {"M", 18, 12, 2}, {"L", 9, 12, 4}}
}

// SizeOf is the named size, for who names one in words: a golden file of the
// reference implementation, and what trains or measures one size.
func SizeOf(size string) (Config, error) {
	all := Sizes()
	if i := slices.IndexFunc(all, func(c Config) bool { return c.Size == size }); i >= 0 {
		return all[i], nil
	}
	return Config{}, model.Refuse(model.Malformed, "PAT has sizes S, M and L, not %.20q", size)
}

// Tokens is how many tokens a week has.
func (c Config) Tokens() int { return model.Minutes / c.Patch }

// FLOPs is what one forward pass of a week costs by the architecture's
// definition, two for each multiplication with addition in a matrix product.
// Encoder needs fewer: see fold.
func (c Config) FLOPs() int {
	n, wide := c.Tokens(), c.Heads*Width
	layer := 4*n*Width*wide + 2*n*n*wide + 2*n*Width*hidden
	return 2 * (n*c.Patch*Width + c.Layers*layer)
}

// A Shape is a tensor's name and dimensions.
type Shape struct {
	Name string
	Dims []int
}

// Size is how many values it has.
func (s Shape) Size() int {
	n := 1
	for _, d := range s.Dims {
		n *= d
	}
	return n
}

// Tensors are the encoder's, in Keras' order and by Keras' names.
func (c Config) Tensors() []Shape {
	list := []Shape{{"dense/kernel", []int{c.Patch, Width}}, {"dense/bias", []int{Width}}}
	for i := 1; i <= c.Layers; i++ {
		layer := fmt.Sprintf("encoder_layer_%d_", i)
		for _, q := range []string{"query", "key", "value"} {
			list = append(list, Shape{layer + "attention/" + q + "/kernel", []int{Width, c.Heads, Width}},
				Shape{layer + "attention/" + q + "/bias", []int{c.Heads, Width}})
		}
		list = append(list,
			Shape{layer + "attention/attention_output/kernel", []int{c.Heads, Width, Width}},
			Shape{layer + "attention/attention_output/bias", []int{Width}},
			Shape{layer + "norm1/gamma", []int{Width}}, Shape{layer + "norm1/beta", []int{Width}},
			Shape{layer + "ff1/kernel", []int{Width, hidden}}, Shape{layer + "ff1/bias", []int{hidden}},
			Shape{layer + "ff2/kernel", []int{hidden, Width}}, Shape{layer + "ff2/bias", []int{Width}},
			Shape{layer + "norm2/gamma", []int{Width}}, Shape{layer + "norm2/beta", []int{Width}})
	}
	return list
}

// headTensors are the tensors of the trained heads that an artifact may have besides.
func headTensors() []Shape {
	return []Shape{
		{"head_sleep/kernel", []int{Width, 1}}, {"head_sleep/bias", []int{1}},
		{"head_week_1/kernel", []int{Width, weekHidden}}, {"head_week_1/bias", []int{weekHidden}},
		{"head_week_2/kernel", []int{weekHidden, weekValues}}, {"head_week_2/bias", []int{weekValues}},
	}
}
