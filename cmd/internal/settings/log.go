package settings

import (
	"io"
	"log/slog"
	"time"
)

// JSONLog is a handler of lines of JSON for other programs to read: a duration is a
// number of milliseconds, and its key says so. Slog would write nanoseconds under a key
// that does not.
func JSONLog(w io.Writer, level slog.Leveler) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: InMilliseconds})
}

// InMilliseconds is a duration as JSONLog writes it, and every other attribute as it is.
func InMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	return slog.Float64(a.Key+"_ms", float64(a.Value.Duration().Microseconds())/float64(time.Millisecond/time.Microsecond))
}
