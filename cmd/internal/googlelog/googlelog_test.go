package googlelog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/googlelog"
	"github.com/clarity-loop/clarity/services/trace"
)

// at is a span that is at a traceparent.
type at struct {
	trace.Span
	parent string
}

func (s at) Parent() string { return s.parent }

// A line is in the fields of Cloud Logging, with the trace that it is of; an error is
// one that Error Reporting takes, too.
func TestALineForGoogle(t *testing.T) {
	const sampled, unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	of := func(sampled bool) map[string]any {
		return map[string]any{"logging.googleapis.com/trace": "projects/demo-clarity/traces/0af7651916cd43dd8448eb211c80319c",
			"logging.googleapis.com/spanId": "b7ad6b7169203331", "logging.googleapis.com/trace_sampled": sampled}
	}
	with := func(lines ...map[string]any) map[string]any {
		all := map[string]any{}
		for _, l := range lines {
			for k, v := range l {
				all[k] = v
			}
		}
		return all
	}
	for name, tt := range map[string]struct {
		parent string
		level  slog.Level
		want   map[string]any
	}{
		"of a trace":               {sampled, slog.LevelInfo, with(of(true), map[string]any{"severity": "INFO"})},
		"of one that is not kept":  {unsampled, slog.LevelWarn, with(of(false), map[string]any{"severity": "WARNING"})},
		"of none":                  {"", slog.LevelDebug, map[string]any{"severity": "DEBUG"}},
		"an error, for developers": {"", slog.LevelError, map[string]any{"severity": "ERROR", "@type": "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			log := slog.New(googlelog.New(&b, slog.LevelDebug, googlelog.Program{Name: "worker", Version: "v7", Project: "demo-clarity"})).With("stage", "intake")
			log.Log(trace.With(context.Background(), at{parent: tt.parent}), tt.level, "handled", "duration", 1500*time.Microsecond)
			var line map[string]any
			if err := json.Unmarshal(b.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			if when, _ := line["time"].(string); when == "" {
				t.Errorf("no time: %s", b.Bytes())
			}
			delete(line, "time")
			if tt.level == slog.LevelError {
				context, _ := line["context"].(map[string]any)
				where, _ := context["reportLocation"].(map[string]any)
				file, _ := where["filePath"].(string)
				if !strings.HasSuffix(file, "googlelog_test.go") || where["lineNumber"] == 0.0 || where["functionName"] == "" {
					t.Errorf("told of at %v", where)
				}
				if diff := cmp.Diff(map[string]any{"service": "worker", "version": "v7"}, line["serviceContext"]); diff != "" {
					t.Errorf("by (-want +got):\n%s", diff)
				}
				delete(line, "context")
				delete(line, "serviceContext")
			}
			want := with(tt.want, map[string]any{"message": "handled", "stage": "intake", "duration_ms": 1.5})
			if diff := cmp.Diff(want, line); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A stack is where Error Reporting looks for it, and groups stay what they are.
func TestAStackForGoogle(t *testing.T) {
	var b bytes.Buffer
	slog.New(googlelog.New(&b, slog.LevelInfo, googlelog.Program{})).WithGroup("g").Info("a", "stack", "goroutine 1", "msg", "b")
	if text := b.String(); !strings.Contains(text, `"g":{"stack":"goroutine 1","msg":"b"}`) {
		t.Error(text)
	}
	b.Reset()
	slog.New(googlelog.New(&b, slog.LevelInfo, googlelog.Program{})).Error("request panicked", "stack", "goroutine 1 [running]:")
	if text := b.String(); !strings.Contains(text, `"stack_trace":"goroutine 1 [running]:"`) {
		t.Error(text)
	}
}
