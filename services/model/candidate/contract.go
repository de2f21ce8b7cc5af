package candidate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/model/bundle"
)

// A Contract is what a ModelVersion declares that the model takes and gives.
type Contract struct {
	Inputs  []Tensor `json:"inputs"`
	Outputs []Output `json:"outputs"`
	Window  struct {
		EpochSeconds int `json:"epochSeconds"`
		Epochs       int `json:"epochs"`
	} `json:"window"`
	Preprocessing struct {
		Name   string `json:"name"`
		Digest string `json:"digest"`
	} `json:"preprocessing"`
}

// A Tensor is a named array; the dimensions are without the batch.
type Tensor struct {
	Name  string  `json:"name"`
	DType string  `json:"dtype"`
	Dims  []int64 `json:"dims"`
}

// An Output is a tensor with a meaning. The bundle knows no kinds: what an
// output is for stands in its model card.
type Output struct {
	Tensor
	Kind string `json:"kind"`
}

// The bounds of a declared contract, as in its schema.
const (
	maxContract = 64 << 10
	maxTensors  = 8
	maxDims     = 4
)

// errContract is a declared contract that is none.
var errContract = errors.New("not a contract")

// ParseContract reads a declared contract, JSON with the names of the ModelVersion's.
func ParseContract(raw []byte) (Contract, error) {
	var c Contract
	if len(raw) > maxContract {
		return c, fmt.Errorf("%w: %d bytes, at most %d", errContract, len(raw), maxContract)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Contract{}, fmt.Errorf("%w: %w", errContract, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Contract{}, fmt.Errorf("%w: something stands behind it", errContract)
	}
	if len(c.Inputs) < 1 || len(c.Inputs) > maxTensors || len(c.Outputs) < 1 || len(c.Outputs) > maxTensors {
		return Contract{}, fmt.Errorf("%w: %d inputs and %d outputs, want 1 to %d of each", errContract, len(c.Inputs), len(c.Outputs), maxTensors)
	}
	for _, t := range c.tensors() {
		if t.Name == "" || len(t.Dims) < 1 || len(t.Dims) > maxDims {
			return Contract{}, fmt.Errorf("%w: tensor %.63q of %d dimensions", errContract, t.Name, len(t.Dims))
		}
	}
	return c, nil
}

func (c Contract) tensors() []Tensor {
	all := slices.Clone(c.Inputs)
	for _, o := range c.Outputs {
		all = append(all, o.Tensor)
	}
	return all
}

// Compare says in one sentence everything in which a bundle's contract is not
// the declared one. Tensors may stand in any order.
func (c Contract) Compare(b *bundle.Bundle) error {
	has := b.Contract
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if c.Window.EpochSeconds != has.Window.EpochSeconds || c.Window.Epochs != has.Window.Minutes {
		fault("the window is %d epochs of %d s, declared are %d of %d s",
			has.Window.Minutes, has.Window.EpochSeconds, c.Window.Epochs, c.Window.EpochSeconds)
	}
	if c.Preprocessing.Name != has.Preprocessing.ID {
		fault("the preprocessing is %s, declared is %.63q", has.Preprocessing.ID, c.Preprocessing.Name)
	} else if c.Preprocessing.Digest != has.Preprocessing.Digest {
		fault("the preprocessing's digest is %s, declared is %.80q", has.Preprocessing.Digest, c.Preprocessing.Digest)
	}
	// Every bundle takes one tensor of one window, in single precision; so are its outputs.
	faults = append(faults, differences("input", c.Inputs, []Tensor{{has.Input.Name, "FP32", []int64{int64(has.Window.Minutes)}}})...)
	var declared, outputs []Tensor
	for _, o := range c.Outputs {
		declared = append(declared, o.Tensor)
	}
	for _, o := range has.Outputs {
		outputs = append(outputs, Tensor{o.Name, "FP32", []int64{int64(o.Length)}})
	}
	faults = append(faults, differences("output", declared, outputs)...)
	if len(faults) > 0 {
		return final(termination.ContractMismatch, errors.New(strings.Join(faults, "; ")))
	}
	return nil
}

func differences(what string, declared, has []Tensor) (faults []string) {
	for _, h := range has {
		i := slices.IndexFunc(declared, func(d Tensor) bool { return d.Name == h.Name })
		switch {
		case i < 0:
			faults = append(faults, fmt.Sprintf("%s %s is not declared", what, h.Name))
		case declared[i].DType != h.DType || !slices.Equal(declared[i].Dims, h.Dims):
			faults = append(faults, fmt.Sprintf("%s %s is %s %v, declared is %.8q %v", what, h.Name, h.DType, h.Dims, declared[i].DType, declared[i].Dims))
		}
	}
	for i, d := range declared {
		if !slices.ContainsFunc(has, func(h Tensor) bool { return h.Name == d.Name }) {
			faults = append(faults, fmt.Sprintf("there is no %s %.63q", what, d.Name))
		} else if slices.ContainsFunc(declared[:i], func(other Tensor) bool { return other.Name == d.Name }) {
			faults = append(faults, fmt.Sprintf("%s %.63q is declared twice", what, d.Name))
		}
	}
	return faults
}
