package serving_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
)

// A tool is given what it needs of what the configuration names, and its one word; what it
// does not need may be wrong or not there.
func TestAToolIsRunOverWhatIsConfigured(t *testing.T) {
	b := binary()
	b.Tools = []serving.Tool{
		{Words: "letters list", Does: "List them", Needs: capability.Queue, Run: func(_ context.Context, o platform.Opened, _ string, out io.Writer) error {
			_, err := fmt.Fprintf(out, "opened %v\n", o.Queue != nil && o.Gauge != nil)
			return err
		}},
		{Words: "letters drop", Takes: "LETTER", Does: "Drop one", Run: func(_ context.Context, _ platform.Opened, letter string, _ io.Writer) error {
			return errors.New("dropped " + letter)
		}},
	}
	away := file(t, "backends: {queue: \"fake:away\", model: lost}\n")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"one":                     {[]string{"--queue", "fake:x", "letters", "list"}, 0, "opened true\n"},
		"with a word":             {[]string{"letters", "drop", "a.b"}, 1, "dropped a.b"},
		"without the word":        {[]string{"letters", "drop"}, 2, "say `thing letters list`, or `thing letters drop LETTER`"},
		"half of it":              {[]string{"letters"}, 2, "say `thing letters list`"},
		"with a word more":        {[]string{"letters", "list", "all"}, 2, "say `thing letters list`"},
		"no driver":               {[]string{"letters", "list"}, 2, `queue: "" names no driver`},
		"of a peer that is away":  {[]string{"--config", away, "letters", "list"}, 1, "nobody is there"},
		"that is only looked at":  {[]string{"--config", away, "--check", "letters", "list"}, 0, "driver  queue  fake:away\n"},
		"where nothing is needed": {[]string{"--config", away, "--check", "letters", "drop", "x"}, 0, ""},
		"of the audit log, which no stage of it needs": {[]string{"--queue", "fake:x", "audit", "verify"}, 2, `it takes no argument, got "audit"`},
		"in the help": {[]string{"--help"}, 0, "letters drop LETTER"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, _, err := told(t, b, nil, tt.args...)
			if is := fmt.Sprint(stdout, err); serving.ExitCode(err) != tt.code || !strings.Contains(is, tt.want) {
				t.Errorf("%d, %s; want %d with %s", serving.ExitCode(err), is, tt.code, tt.want)
			}
		})
	}
}

// What a file that is not there would have said is not missed one by one.
func TestAFileThatIsNotThereIsOneFault(t *testing.T) {
	_, _, err := told(t, binary(), nil, "--config", filepath.Join(t.TempDir(), "nothing.yaml"))
	if serving.ExitCode(err) != 2 || !strings.Contains(err.Error(), "nothing.yaml") || strings.Contains(err.Error(), ";") {
		t.Errorf("%v", err)
	}
}
