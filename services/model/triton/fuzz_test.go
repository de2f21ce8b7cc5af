package triton

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/triton/oip"
)

func marshal(f *testing.F, m proto.Message) []byte {
	f.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

// Whatever a server answers: values of the right shape that are numbers, or a refusal.
func FuzzResponse(f *testing.F) {
	c := &Client{want: Version{Model: "m", Digest: "d"}, version: served{identity: model.Identity{
		Digest: "d", Outputs: []model.Output{{Name: "a", Length: 2}, {Name: "b", Length: 1}}}}}
	good := &oip.ModelInferResponse{ModelName: "m", RawOutputContents: [][]byte{make([]byte, 8), make([]byte, 16)},
		Outputs: []*oip.ModelInferResponse_InferOutputTensor{{Name: "b", Datatype: fp32, Shape: []int64{2, 1}}, {Name: "a", Datatype: fp32, Shape: []int64{2, 2}}}}
	f.Add(marshal(f, good))
	good.RawOutputContents[1] = []byte(strings.Repeat("\x00\x00\xc0\x7f", 4))
	f.Add(marshal(f, good))
	good.Outputs[0].Shape = []int64{-2, -1}
	f.Add(marshal(f, good))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r oip.ModelInferResponse
		if proto.Unmarshal(data, &r) != nil {
			return
		}
		into := []model.Inference{{Values: [][]float32{{0, 0}, {0}}}, {}, {Values: [][]float32{{0, 0}, {0}}}}
		if c.read(&r, []int{0, 2}, into) != nil {
			return
		}
		for _, i := range []int{0, 2} {
			if (into[i].Refused == nil) != (len(into[i].Values) == 2) {
				t.Errorf("%d outputs, refused %v", len(into[i].Values), into[i].Refused)
			}
			for _, values := range into[i].Values {
				for _, v := range values {
					if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
						t.Error("a value that is no number")
					}
				}
			}
		}
	})
}

// Whatever a server shows: the version with the digest that was asked for, or a refusal.
func FuzzConfig(f *testing.F) {
	b := &bundle.Bundle{Contract: bundle.Contract{Name: "m", Input: bundle.Input{Name: "activity"}}}
	f.Add(marshal(f, &oip.ModelConfig{Name: "m", MaxBatchSize: 8, Parameters: map[string]*oip.ModelParameter{"digest": {StringValue: "d"}, "manifest": {StringValue: "{}"}},
		Input: []*oip.ModelInput{{Name: b.Contract.Input.Name, DataType: oip.DataType_TYPE_FP32, Dims: []int64{model.Minutes}}}}), "d")
	f.Add([]byte(nil), "")
	f.Fuzz(func(t *testing.T, data []byte, digest string) {
		var config oip.ModelConfig
		if proto.Unmarshal(data, &config) != nil {
			return
		}
		got, err := readConfig(&config, Version{Model: "m", Digest: digest})
		if err == nil && (got.identity.Digest != digest || bundle.DigestOf([]byte(config.GetParameters()["manifest"].GetStringValue())) != digest) {
			t.Errorf("believed %+v for %q", got.identity, digest)
		}
	})
}
