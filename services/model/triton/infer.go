package triton

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/preprocess"
	"github.com/clarity-loop/clarity/services/model/triton/oip"
)

// fp32 is the protocol's name of the only type that is spoken.
const fp32 = "FP32"

// firstBackoff doubles with each attempt.
const firstBackoff = 5 * time.Millisecond

// A buffer is room for one request.
type buffer struct {
	scratch *preprocess.Scratch
	z       []float32
	raw     []byte
	at      []int // the windows' places in the batch
}

// Infer keeps the contract: it standardises the windows here, and has the
// replicas compute.
func (c *Client) Infer(ctx context.Context, windows []model.Window, into []model.Inference) error {
	if err := model.CheckBatch(ctx, windows, into); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	b, ok := c.buffers.Get().(*buffer)
	if !ok {
		b = &buffer{scratch: preprocess.NewScratch(), z: make([]float32, model.Minutes)}
	}
	defer c.buffers.Put(b)
	for next := 0; next < len(windows); {
		b.raw, b.at = b.raw[:0], b.at[:0]
		for ; next < len(windows) && len(b.at) < c.version.batch; next++ {
			if c.version.spec.Begin(&c.version.identity, windows[next], b.scratch, b.z, &into[next]) {
				b.raw, b.at = appendFloats(b.raw, b.z), append(b.at, next)
			}
		}
		if len(b.at) == 0 {
			continue
		}
		response, err := c.ask(ctx, c.request(b))
		if err == nil {
			err = c.read(response, b.at, into)
		}
		if err != nil {
			return fmt.Errorf("infer %d windows with model %q: %w", len(windows), c.want.Model, err)
		}
	}
	return nil
}

func appendFloats(raw []byte, values []float32) []byte {
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return raw
}

func (c *Client) request(b *buffer) *oip.ModelInferRequest {
	r := &oip.ModelInferRequest{
		ModelName: c.want.Model, ModelVersion: modelVersion,
		Inputs: []*oip.ModelInferRequest_InferInputTensor{
			{Name: c.version.input, Datatype: fp32, Shape: []int64{int64(len(b.at)), model.Minutes}}},
		RawInputContents: [][]byte{b.raw},
	}
	for _, o := range c.version.identity.Outputs {
		r.Outputs = append(r.Outputs, &oip.ModelInferRequest_InferRequestedOutputTensor{Name: o.Name})
	}
	return r
}

// ask has one replica after another answer. A request changes nothing at a
// server, so that it may be asked again whatever became of it.
func (c *Client) ask(ctx context.Context, r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	var last error
	var not *link
	for attempt := 0; attempt < c.options.Attempts; {
		l, err := c.replicas.take(ctx, not)
		if err != nil {
			return nil, errors.Join(err, last)
		}
		response, err := l.server.ModelInfer(ctx, r)
		broken := l.broken()
		if broken {
			c.replicas.withdraw(l)
		}
		l.release()
		switch {
		case err == nil:
			return response, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case status.Code(err) == codes.DeadlineExceeded:
			return nil, context.DeadlineExceeded
		case status.Code(err) != codes.Unavailable:
			return nil, short(err)
		}
		not, last = l, short(err)
		if !broken {
			pause(ctx, firstBackoff<<attempt/2+rand.N(firstBackoff<<attempt)) //nolint:gosec // no secret
			attempt++
		}
	}
	return nil, fmt.Errorf("asked %d times: %w", c.options.Attempts, last)
}

// short is a server's error: its code, and so much of its words as a log bears.
func short(err error) error {
	s := status.Convert(err)
	return fmt.Errorf("the server says %s: %.200q", s.Code(), s.Message())
}

// read writes a response's values into the inferences of the windows at, and
// refuses a response that is not what was asked for.
func (c *Client) read(r *oip.ModelInferResponse, at []int, into []model.Inference) error {
	id := c.version.identity
	if r.GetModelName() != c.want.Model || len(r.GetRawOutputContents()) != len(r.GetOutputs()) {
		return model.Refuse(model.Malformed, "the response is of %.80q, with %d outputs and %d contents",
			r.GetModelName(), len(r.GetOutputs()), len(r.GetRawOutputContents()))
	}
	for i, o := range id.Outputs {
		j := slices.IndexFunc(r.GetOutputs(), func(t *oip.ModelInferResponse_InferOutputTensor) bool { return t.GetName() == o.Name })
		if j < 0 {
			return model.Refuse(model.Malformed, "the response lacks output %q", o.Name)
		}
		t, raw := r.GetOutputs()[j], r.GetRawOutputContents()[j]
		if t.GetDatatype() != fp32 || !slices.Equal(t.GetShape(), []int64{int64(len(at)), int64(o.Length)}) || len(raw) != 4*len(at)*o.Length {
			return model.Refuse(model.Malformed, "output %q is %.20q of shape %v in %d bytes, want FP32 of [%d %d]",
				o.Name, t.GetDatatype(), t.GetShape(), len(raw), len(at), o.Length)
		}
		for _, window := range at {
			values := into[window].Values[i]
			for k := range values {
				values[k] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*k:]))
			}
			raw = raw[4*o.Length:]
		}
	}
	for _, window := range at {
		into[window].RefuseNonFinite(id)
	}
	return nil
}
