package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	span "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// What is sent is a line in the file once it is acknowledged.
func TestWhatIsSentIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "otlp.jsonl")
	address, writes := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", file, writes) }()
	line := make([]byte, 64)
	n, err := address.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, address) }()
	conn, err := grpc.NewClient(strings.TrimSpace(string(line[:n])), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	named := &traces.ExportTraceServiceRequest{ResourceSpans: []*span.ResourceSpans{{ScopeSpans: []*span.ScopeSpans{{Spans: []*span.Span{{Name: "PUT an upload"}}}}}}}
	if _, err := traces.NewTraceServiceClient(conn).Export(t.Context(), named); err != nil {
		t.Error(err)
	}
	if _, err := metrics.NewMetricsServiceClient(conn).Export(t.Context(), &metrics.ExportMetricsServiceRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := logs.NewLogsServiceClient(conn).Export(t.Context(), &logs.ExportLogsServiceRequest{}); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for l := range bytes.Lines(text) {
		var said struct {
			Kind    string
			Request json.RawMessage
		}
		if err := json.Unmarshal(l, &said); err != nil {
			t.Errorf("%s: %v", l, err)
		}
		kinds = append(kinds, said.Kind)
		if said.Kind == "traces" && !bytes.Contains(said.Request, []byte(`PUT an upload`)) {
			t.Errorf("the span is %s", said.Request)
		}
	}
	if got := strings.Join(kinds, " "); got != "traces metrics logs" {
		t.Errorf("it wrote %q", got)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}
