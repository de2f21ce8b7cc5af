// Package googlelog writes logs in the fields that Cloud Logging and Error Reporting know.
package googlelog

import (
	"context"
	"io"
	"log/slog"
	"runtime"

	"github.com/clarity-loop/clarity/cmd/internal/settings"
	"github.com/clarity-loop/clarity/services/trace"
)

// A Program is what writes a log: its name and version, and the project of Google Cloud
// that its traces are in.
type Program struct{ Name, Version, Project string }

// New is settings.JSONLog in the fields that Cloud Logging knows: the severity, the message,
// and the trace and span that a line is of. An error is one for Error Reporting, too,
// by where in the code it was told of and by its stack, where it has one: its text is
// always the same, what differs stands beside it.
func New(w io.Writer, level slog.Leveler, p Program) slog.Handler {
	return googleLog{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: forGoogle}), p}
}

// forGoogle is the attribute under the name that Cloud Logging has for it.
func forGoogle(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return settings.InMilliseconds(groups, a)
	}
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		level, _ := a.Value.Any().(slog.Level)
		return slog.String("severity", severity(level))
	case "stack":
		a.Key = "stack_trace"
	}
	return settings.InMilliseconds(groups, a)
}

func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// reported is the type of what Error Reporting takes.
const reported = "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"

type googleLog struct {
	slog.Handler
	program Program
}

// Handle writes a line, with the trace that the context is of.
func (g googleLog) Handle(ctx context.Context, r slog.Record) error {
	if p, ok := trace.Parse(trace.From(ctx).Parent()); ok {
		r.AddAttrs(slog.String("logging.googleapis.com/trace", "projects/"+g.program.Project+"/traces/"+p.Trace),
			slog.String("logging.googleapis.com/spanId", p.Span), slog.Bool("logging.googleapis.com/trace_sampled", p.Sampled))
	}
	if r.Level >= slog.LevelError {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		r.AddAttrs(slog.String("@type", reported),
			slog.Group("serviceContext", slog.String("service", g.program.Name), slog.String("version", g.program.Version)),
			slog.Group("context", slog.Group("reportLocation", slog.String("filePath", frame.File), slog.Int("lineNumber", frame.Line), slog.String("functionName", frame.Function))))
	}
	return g.Handler.Handle(ctx, r)
}

// WithAttrs keeps the form.
func (g googleLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return googleLog{g.Handler.WithAttrs(attrs), g.program}
}

// WithGroup keeps the form.
func (g googleLog) WithGroup(name string) slog.Handler {
	return googleLog{g.Handler.WithGroup(name), g.program}
}
