package settings_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

type told struct {
	Data   string `yaml:"data"`
	Listen struct {
		Port  int    `yaml:"port"`
		Class string `yaml:"class"` // no flag says it
	} `yaml:"listen"`
}

// read parses args and reads the rest from file's text and the environment.
func read(t *testing.T, text string, env map[string]string, args ...string) (told, error) {
	t.Helper()
	into := told{Data: "default"}
	into.Listen.Port = 1
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&into.Data, "data", into.Data, "")
	fs.IntVar(&into.Listen.Port, "listen-port", into.Listen.Port, "")
	check := fs.Bool("check", false, "")
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	file := ""
	if text != "" {
		file = filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := settings.Read(fs, &into, file, func(name string) string { return env[name] }, "check")
	if *check {
		t.Error("the environment sets what only the command line may")
	}
	return into, err
}

func TestFlagsWinOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	const file = "data: file\nlisten: {port: 2, class: gold}\n"
	env := map[string]string{"CLARITY_DATA": "env", "CLARITY_LISTEN_PORT": "3", "CLARITY_CHECK": "true", "DATA": "other"}
	tests := map[string]struct {
		file        string
		env         map[string]string
		args        []string
		data, class string
		port        int
	}{
		"nothing":                      {"", nil, nil, "default", "", 1},
		"a file":                       {file, nil, nil, "file", "gold", 2},
		"an empty file":                {"# nothing yet\n", nil, nil, "default", "", 1},
		"half a file":                  {"listen: {port: 2}\n", nil, nil, "default", "", 2},
		"the environment":              {"", env, nil, "env", "", 3},
		"the environment and a file":   {file, env, nil, "env", "gold", 3},
		"flags, over both":             {file, env, []string{"--data=flag", "--listen-port=4"}, "flag", "gold", 4},
		"a flag over a file alone":     {file, nil, []string{"--listen-port=4"}, "file", "gold", 4},
		"a flag that says the default": {file, env, []string{"--data=default"}, "default", "gold", 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			var want told
			want.Data, want.Listen.Port, want.Listen.Class = tt.data, tt.port, tt.class
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	_, err := read(t, "listen: {prot: 2}\n", map[string]string{"CLARITY_LISTEN_PORT": "many"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"c.yaml", "prot", "CLARITY_LISTEN_PORT"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell of %s", err, want)
		}
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	if err := settings.Read(fs, &told{}, "/not/there.yaml", func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "/not/there.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}
