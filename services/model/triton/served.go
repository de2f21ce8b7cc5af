package triton

import (
	"context"
	"slices"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
	"github.com/clarity-loop/clarity/services/model/triton/oip"
)

// modelVersion is the version that Triton numbers: a server has one version of
// one model, and the digest says which.
const modelVersion = "1"

// mostWindows bounds a request, whatever a server allows.
const mostWindows = 64

// served is what a server has shown of the version.
type served struct {
	identity model.Identity
	spec     preprocess.Spec
	input    string
	batch    int
}

// inspect has a server show what it serves, and refuses it where that is not
// the version.
func inspect(ctx context.Context, server oip.GRPCInferenceServiceClient, want Version) (served, error) {
	response, err := server.ModelConfig(ctx, &oip.ModelConfigRequest{Name: want.Model, Version: modelVersion})
	if err != nil {
		return served{}, err
	}
	return readConfig(response.GetConfig(), want)
}

func readConfig(config *oip.ModelConfig, want Version) (served, error) {
	parameter := func(key string) string { return config.GetParameters()[key].GetStringValue() }
	if digest := parameter(parameterDigest); digest != want.Digest {
		return served{}, model.Refuse(model.DigestMismatch, "the server has %.80q, not %.80s", digest, want.Digest)
	}
	b, err := bundle.ReadPapers(bundle.Papers{
		Manifest: []byte(parameter(parameterManifest)), Contract: []byte(parameter(parameterContract)), Preprocessing: []byte(parameter(parameterSpec)),
	}, want.Digest)
	if err != nil {
		return served{}, err
	}
	if config.GetMaxBatchSize() < 1 {
		return served{}, model.Refuse(model.Malformed, "the server does not batch")
	}
	input := b.Contract.Input.Name
	if !slices.ContainsFunc(config.GetInput(), func(in *oip.ModelInput) bool {
		return in.GetName() == input && in.GetDataType() == oip.DataType_TYPE_FP32 && slices.Equal(in.GetDims(), []int64{model.Minutes})
	}) || len(config.GetInput()) != 1 {
		return served{}, model.Refuse(model.Malformed, "the server's input is not %q of %d floats", input, model.Minutes)
	}
	for _, o := range b.Contract.Outputs {
		if !slices.ContainsFunc(config.GetOutput(), func(out *oip.ModelOutput) bool {
			return out.GetName() == o.Name && out.GetDataType() == oip.DataType_TYPE_FP32 && slices.Equal(out.GetDims(), []int64{int64(o.Length)})
		}) {
			return served{}, model.Refuse(model.Malformed, "the server has no output %q of %d floats", o.Name, o.Length)
		}
	}
	return served{b.Identity(), b.Preprocessing, input, min(int(config.GetMaxBatchSize()), mostWindows)}, nil
}
