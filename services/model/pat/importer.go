package pat

import (
	"maps"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/internal/hdf5"
	"github.com/clarity-loop/clarity/services/model/internal/safetensors"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// FromKeras reads the weights that PAT is published as: Keras 2 HDF5, encoder
// only. A tensor's path ends in its name, whatever groups are above it.
func FromKeras(h5 []byte) (Weights, Config, error) {
	sets, err := hdf5.Read(h5)
	if err != nil {
		return nil, Config{}, model.Refuse(model.Malformed, "%v", err)
	}
	found := Weights{}
	for path, set := range sets {
		found[strings.TrimSuffix(path, ":0")] = Tensor{set.Dims, set.Data}
	}
	c, err := found.Detect()
	if err != nil {
		return nil, Config{}, err
	}
	w := Weights{}
	for _, s := range c.Tensors() {
		for _, path := range slices.Sorted(maps.Keys(found)) {
			t := found[path]
			if path != s.Name && !strings.HasSuffix(path, "/"+s.Name) || !slices.Equal(t.Dims, s.Dims) {
				continue
			}
			if _, twice := w[s.Name]; twice {
				return nil, Config{}, model.Refuse(model.Malformed, "more than one dataset could be %s", s.Name)
			}
			w[s.Name] = t
		}
	}
	return w, c, w.Check(c)
}

// FromSafetensors reads weights by Keras' names; a pretraining decoder is left out.
func FromSafetensors(raw []byte) (Weights, Config, error) {
	f, err := safetensors.Read(raw)
	if err != nil {
		return nil, Config{}, model.Refuse(model.Malformed, "%v", err)
	}
	w := Weights{}
	for name, t := range f.Tensors {
		w[name] = Tensor(t)
	}
	if len(w) == 0 {
		return nil, Config{}, model.Refuse(model.NoWeights, "the file holds no tensor")
	}
	c, err := w.Detect()
	if err != nil {
		return nil, Config{}, err
	}
	w = w.Encoder()
	return w, c, w.Check(c)
}

// weightsOf are a bundle's, of the size that its contract says.
func weightsOf(b *bundle.Bundle) (Weights, Config, error) {
	w, c, err := FromSafetensors(b.Weights)
	if err != nil {
		return nil, Config{}, err
	}
	if b.Contract.Architecture != "PAT-"+c.Size {
		return nil, Config{}, model.Refuse(model.Malformed, "the contract says %.40q, the weights are PAT-%s", b.Contract.Architecture, c.Size)
	}
	return w, c, nil
}

// A Description is what an importer has to be told about weights.
type Description struct {
	Name, Label, License, Source string
	Card                         string
	Preprocessing                preprocess.Spec
}

// NewBundle makes a bundle of weights. Its golden vectors are what Reference
// makes of simulated weeks.
func NewBundle(w Weights, c Config, d Description) (*bundle.Bundle, error) {
	if err := d.Preprocessing.Check(); err != nil {
		return nil, err
	}
	r, err := NewReference(c, w)
	if err != nil {
		return nil, err
	}
	f := safetensors.File{Tensors: map[string]safetensors.Tensor{}}
	for name, t := range w {
		f.Tensors[name] = safetensors.Tensor(t)
	}
	raw, err := safetensors.Write(f)
	if err != nil {
		return nil, err
	}
	b := &bundle.Bundle{
		Contract: bundle.Contract{
			Name: d.Name, Architecture: "PAT-" + c.Size, Label: d.Label, License: d.License, Source: d.Source,
			Input: bundle.Input{Name: InputName, Unit: "1"}, Outputs: outputs(c, w.HasHeads()),
		},
		Weights: raw, Preprocessing: d.Preprocessing, Card: d.Card,
	}
	var cases []bundle.GoldenCase
	for seed := range uint64(3) {
		g, err := goldenCase(r, d.Preprocessing, seed+1)
		if err != nil {
			return nil, err
		}
		cases = append(cases, g)
	}
	b.Golden = bundle.NewGolden(cases...)
	return b, nil
}

// InputName is the input tensor's.
const InputName = "activity"

func goldenCase(r *Reference, spec preprocess.Spec, seed uint64) (bundle.GoldenCase, error) {
	g := bundle.SimulatedWeek(seed)
	g.Name = "simulated week " + string(rune('0'+seed))
	scratch, z := preprocess.NewScratch(), make([]float32, model.Minutes)
	stats, err := spec.Apply(g.Window(), scratch, z)
	if err != nil {
		return g, err
	}
	g.WornMinutes = stats.Worn
	tokens, _, _ := r.Tokens(scratch.Z())
	embedding := Pooled(tokens)
	g.Outputs = map[string][]float64{OutputEmbedding: embedding}
	if r.weights["head_sleep/bias"] != nil {
		g.Outputs[outputSleep], g.Outputs[outputWeek] = r.Sleep(tokens), r.Week(embedding)
	}
	return g, nil
}
