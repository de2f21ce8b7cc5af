// Package tritontest is a stand-in for Triton: the Open Inference Protocol over
// gRPC and Triton's health endpoints over HTTP, on any loopback address, with
// faults that can be switched on and off. Only tests import it.
package tritontest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/oip"
)

// A Backend computes what a model computes after its preprocessing: z is one
// standardised window, into has a slice of its length for each output. Calls
// may be concurrent. *pat.Model is one, Synthetic another.
type Backend interface {
	Forward(ctx context.Context, z []float32, into [][]float32) error
}

// A Config says what a Server serves and where.
type Config struct {
	// Bundle is the version that is served.
	Bundle *bundle.Bundle
	// Model is the model's name at the server; "" is the contract's.
	Model string
	// Backend computes.
	Backend Backend
	// GRPC and HTTP are the addresses to listen on; "" is a free port of 127.0.0.1.
	GRPC, HTTP string
	// MaxBatch is how many windows a request may have; 0 is 64.
	MaxBatch int
}

// Faults are what is wrong with a Server; the zero value is nothing.
type Faults struct {
	// Delay comes before every answer.
	Delay time.Duration
	// Rate is the share of requests, evenly spread, that are answered with Code.
	Rate float64
	Code codes.Code
	// Drift adds so much of each value to it.
	Drift float64
	// NaN has the first value of the first output be no number.
	NaN bool
	// NotReady has the server be alive and not ready.
	NotReady bool
	// Digest is what the server claims to serve, if not the bundle.
	Digest string
}

// A Server runs until it is drained or closed.
type Server struct {
	oip.UnimplementedGRPCInferenceServiceServer
	config     Config
	parameters map[string]string
	faults     atomic.Pointer[Faults]
	served     atomic.Int64
	asked      atomic.Int64
	stopping   atomic.Bool
	grpc       *grpc.Server
	http       *http.Server
	at, webAt  net.Listener
}

// New starts a server.
func New(c Config) (*Server, error) {
	if c.Model == "" {
		c.Model = c.Bundle.Contract.Name
	}
	if c.MaxBatch == 0 {
		c.MaxBatch = 64
	}
	s := &Server{config: c, parameters: triton.Parameters(c.Bundle), grpc: grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))}
	s.Set(Faults{})
	var err error
	if s.at, err = listen(c.GRPC); err != nil {
		return nil, err
	}
	if s.webAt, err = listen(c.HTTP); err != nil {
		return nil, errors.Join(err, s.at.Close())
	}
	oip.RegisterGRPCInferenceServiceServer(s.grpc, s)
	s.http = &http.Server{Handler: s.health(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.grpc.Serve(s.at) }()
	go func() { _ = s.http.Serve(s.webAt) }()
	return s, nil
}

// Start is New for a test, which closes the server at its end.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s is not a loopback address", address)
	}
	return net.Listen("tcp", address) //nolint:noctx // it returns at once
}

// Addr is where gRPC is answered, host:port.
func (s *Server) Addr() string { return s.at.Addr().String() }

// HTTPAddr is where the health endpoints are.
func (s *Server) HTTPAddr() string { return s.webAt.Addr().String() }

// Set switches the faults; requests that run keep the former ones.
func (s *Server) Set(f Faults) { s.faults.Store(&f) }

// Served is how many requests were answered with outputs.
func (s *Server) Served() int64 { return s.served.Load() }

// Drain stops as Triton does at SIGTERM: not ready from now on, and gone when
// the requests that run are answered.
func (s *Server) Drain() {
	s.stopping.Store(true)
	s.grpc.GracefulStop()
	_ = s.http.Close()
}

// Close stops at once; requests that run are cut off. A second Close does nothing.
func (s *Server) Close() {
	s.stopping.Store(true)
	s.grpc.Stop()
	_ = s.http.Close()
}

func (s *Server) ready() bool { return !s.stopping.Load() && !s.faults.Load().NotReady }

// health are the endpoints that a pod's probes ask.
func (s *Server) health() http.Handler {
	mux := http.NewServeMux()
	answer := func(ok func() bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if !ok() {
				w.WriteHeader(http.StatusBadRequest) // as Triton does
			}
		}
	}
	mux.HandleFunc("GET /v2/health/live", answer(func() bool { return true }))
	mux.HandleFunc("GET /v2/health/ready", answer(s.ready))
	mux.HandleFunc("GET /v2/models/"+s.config.Model+"/versions/1/ready", answer(s.ready))
	return mux
}

// ServerLive says that the server answers.
func (s *Server) ServerLive(context.Context, *oip.ServerLiveRequest) (*oip.ServerLiveResponse, error) {
	return &oip.ServerLiveResponse{Live: true}, nil
}

// ServerReady says whether the model is ready.
func (s *Server) ServerReady(context.Context, *oip.ServerReadyRequest) (*oip.ServerReadyResponse, error) {
	return &oip.ServerReadyResponse{Ready: s.ready()}, nil
}

// ModelReady says whether the model is ready.
func (s *Server) ModelReady(_ context.Context, r *oip.ModelReadyRequest) (*oip.ModelReadyResponse, error) {
	return &oip.ModelReadyResponse{Ready: s.is(r.GetName(), r.GetVersion()) && s.ready()}, nil
}

func (s *Server) is(name, version string) bool {
	return name == s.config.Model && (version == "" || version == "1")
}

// ModelConfig shows the version.
func (s *Server) ModelConfig(_ context.Context, r *oip.ModelConfigRequest) (*oip.ModelConfigResponse, error) {
	if !s.is(r.GetName(), r.GetVersion()) {
		return nil, status.Error(codes.NotFound, "Request for unknown model")
	}
	if !s.ready() {
		return nil, status.Error(codes.Unavailable, "the model is not ready")
	}
	contract := s.config.Bundle.Contract
	config := &oip.ModelConfig{Name: s.config.Model, Platform: "onnxruntime_onnx", MaxBatchSize: int32(s.config.MaxBatch),
		Input:      []*oip.ModelInput{{Name: contract.Input.Name, DataType: oip.DataType_TYPE_FP32, Dims: []int64{model.Minutes}}},
		Parameters: map[string]*oip.ModelParameter{}}
	for _, o := range contract.Outputs {
		config.Output = append(config.Output, &oip.ModelOutput{Name: o.Name, DataType: oip.DataType_TYPE_FP32, Dims: []int64{int64(o.Length)}})
	}
	for key, value := range s.parameters {
		config.Parameters[key] = &oip.ModelParameter{StringValue: value}
	}
	if claimed := s.faults.Load().Digest; claimed != "" {
		config.Parameters["digest"] = &oip.ModelParameter{StringValue: claimed}
	}
	return &oip.ModelConfigResponse{Config: config}, nil
}

// ModelInfer computes, or does what the faults say.
func (s *Server) ModelInfer(ctx context.Context, r *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
	f := *s.faults.Load()
	n := float64(s.asked.Add(1))
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	switch {
	case !s.is(r.GetModelName(), r.GetModelVersion()):
		return nil, status.Error(codes.NotFound, "Request for unknown model")
	case f.NotReady:
		return nil, status.Error(codes.Unavailable, "the model is not ready")
	case math.Floor(n*f.Rate) > math.Floor((n-1)*f.Rate):
		return nil, status.Error(f.Code, "a fault that was switched on")
	}
	rows, err := s.rows(r)
	if err != nil {
		return nil, err
	}
	response, err := s.compute(ctx, r, rows, f)
	if err == nil {
		s.served.Add(1)
	}
	return response, err
}

// rows are the request's windows.
func (s *Server) rows(r *oip.ModelInferRequest) ([][]float32, error) {
	if len(r.GetInputs()) != 1 || len(r.GetRawInputContents()) != 1 {
		return nil, status.Error(codes.InvalidArgument, "expected one input with raw contents")
	}
	in, raw := r.GetInputs()[0], r.GetRawInputContents()[0]
	shape := in.GetShape()
	if in.GetName() != s.config.Bundle.Contract.Input.Name || in.GetDatatype() != "FP32" || len(shape) != 2 || shape[1] != model.Minutes ||
		shape[0] < 1 || shape[0] > int64(s.config.MaxBatch) || int64(len(raw)) != shape[0]*4*model.Minutes {
		return nil, status.Errorf(codes.InvalidArgument, "unexpected input %q %s %v of %d bytes", in.GetName(), in.GetDatatype(), shape, len(raw))
	}
	rows := make([][]float32, shape[0])
	for i := range rows {
		rows[i] = make([]float32, model.Minutes)
		for k := range rows[i] {
			rows[i][k] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(i*model.Minutes+k):]))
		}
	}
	return rows, nil
}

func (s *Server) compute(ctx context.Context, r *oip.ModelInferRequest, rows [][]float32, f Faults) (*oip.ModelInferResponse, error) {
	outputs := s.config.Bundle.Contract.Outputs
	into, contents := room(outputs), make([][]byte, len(outputs))
	for _, z := range rows {
		if err := s.config.Backend.Forward(ctx, z, into); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		if f.NaN {
			into[0][0] = float32(math.NaN())
		}
		for i, values := range into {
			for _, v := range values {
				contents[i] = binary.LittleEndian.AppendUint32(contents[i], math.Float32bits(v+float32(f.Drift)*v))
			}
		}
	}
	response := &oip.ModelInferResponse{ModelName: r.GetModelName(), ModelVersion: "1", Id: r.GetId()}
	for i, o := range outputs {
		wanted := func(q *oip.ModelInferRequest_InferRequestedOutputTensor) bool { return q.GetName() == o.Name }
		if len(r.GetOutputs()) > 0 && !slices.ContainsFunc(r.GetOutputs(), wanted) {
			continue
		}
		response.Outputs = append(response.Outputs, &oip.ModelInferResponse_InferOutputTensor{
			Name: o.Name, Datatype: "FP32", Shape: []int64{int64(len(rows)), int64(o.Length)}})
		response.RawOutputContents = append(response.RawOutputContents, contents[i])
	}
	return response, nil
}
