package settings_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// Whoever reads a duration in a log need not know what wrote it.
func TestADurationSaysItsUnit(t *testing.T) {
	var b bytes.Buffer
	slog.New(settings.JSONLog(&b, slog.LevelInfo)).With("pause", time.Second).Info("handled", "duration", 1500*time.Microsecond, "attempt", 2)
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	_, plain := line["duration"]
	if line["duration_ms"] != 1.5 || line["pause_ms"] != 1000.0 || line["attempt"] != 2.0 || line["msg"] != "handled" || plain {
		t.Errorf("%s", b.Bytes())
	}
	b.Reset()
	slog.New(settings.JSONLog(&b, slog.LevelWarn)).Info("nothing")
	if b.Len() > 0 {
		t.Errorf("below its level: %s", b.Bytes())
	}
}
