// Command otlpd stands in for a collector of OpenTelemetry on this machine: it takes
// traces, metrics and logs over OTLP/gRPC and writes each request as a line of JSON,
// {"kind": "traces", "request": …}, in OTLP's own JSON form. It samples, batches and
// forwards nothing: what came is what there is.
//
//	otlpd [--listen 127.0.0.1:0] [--out FILE]
//
// The address it listens on is the first line it prints. Without a file the lines go
// to standard output behind it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"sync"

	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/clarity-loop/clarity/hack/emulators/standin"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "the address to listen on")
	out := flag.String("out", "", "the file that the lines are appended to; none is standard output")
	flag.Parse()
	standin.Main("otlpd", func(ctx context.Context, stdout io.Writer) error { return run(ctx, *listen, *out, stdout) })
}

func run(ctx context.Context, listen, out string, stdout io.Writer) error {
	lines := stdout
	if out != "" {
		file, err := os.OpenFile(out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		lines = file
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	s := &sink{to: lines}
	traces.RegisterTraceServiceServer(server, spans{sink: s})
	metrics.RegisterMetricsServiceServer(server, points{sink: s})
	logs.RegisterLogsServiceServer(server, records{sink: s})
	return standin.Serve(ctx, listen, stdout, whole{server})
}

// whole is a server that writes what is on its way before it stops.
type whole struct{ *grpc.Server }

// Stop ends it.
func (w whole) Stop() { w.GracefulStop() }

// A sink writes what came, a line each.
type sink struct {
	mu sync.Mutex
	to io.Writer
}

func (s *sink) write(kind string, request proto.Message) error {
	body, err := protojson.Marshal(request)
	if err != nil {
		return err
	}
	line, err := json.Marshal(map[string]any{"kind": kind, "request": json.RawMessage(body)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.to.Write(append(line, '\n'))
	return err
}

type spans struct {
	traces.UnimplementedTraceServiceServer
	*sink
}

// Export takes spans.
func (s spans) Export(_ context.Context, r *traces.ExportTraceServiceRequest) (*traces.ExportTraceServiceResponse, error) {
	return &traces.ExportTraceServiceResponse{}, s.write("traces", r)
}

type points struct {
	metrics.UnimplementedMetricsServiceServer
	*sink
}

// Export takes metrics.
func (s points) Export(_ context.Context, r *metrics.ExportMetricsServiceRequest) (*metrics.ExportMetricsServiceResponse, error) {
	return &metrics.ExportMetricsServiceResponse{}, s.write("metrics", r)
}

type records struct {
	logs.UnimplementedLogsServiceServer
	*sink
}

// Export takes logs.
func (s records) Export(_ context.Context, r *logs.ExportLogsServiceRequest) (*logs.ExportLogsServiceResponse, error) {
	return &logs.ExportLogsServiceResponse{}, s.write("logs", r)
}
