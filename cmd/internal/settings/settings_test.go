package settings_test

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// Whoever wrote the file or the variable knows no types of Go.
func TestFaultsAreToldInWords(t *testing.T) {
	type all struct {
		Wait  time.Duration `yaml:"wait"`
		On    bool          `yaml:"on"`
		Name  string        `yaml:"name"`
		Port  int           `yaml:"port"`
		Most  uint64        `yaml:"most"`
		Share float64       `yaml:"share"`
		Words []string      `yaml:"words"`
		Log   struct{ Level string }
	}
	read := func(text string, env map[string]string) error {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var into all
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.DurationVar(&into.Wait, "wait", 0, "")
		fs.BoolVar(&into.On, "on", false, "")
		fs.IntVar(&into.Port, "port", 0, "")
		fs.Uint64Var(&into.Most, "most", 0, "")
		fs.Float64Var(&into.Share, "share", 0, "")
		fs.Func("odd", "", func(s string) error {
			if s != "1" {
				return errors.New("even")
			}
			return nil
		})
		return settings.Read(fs, &into, file, func(name string) string { return env[name] })
	}
	tests := map[string]struct {
		file string
		env  map[string]string
		want string // with the file's name as FILE; "" for no fault
	}{
		"a good file":            {"wait: 3s\non: true\nname: x\nport: 1\nwords: [a]\nlog: {level: x}\n", nil, ""},
		"good variables":         {"", map[string]string{"CLARITY_WAIT": "3s", "CLARITY_ON": "1", "CLARITY_ODD": "1"}, ""},
		"a number for a text":    {"name: 3\n", nil, ""}, // YAML's own latitude
		"a word for a duration":  {"wait: soon\n", nil, "read the configuration FILE: line 1: `soon` is not a duration such as 3s"},
		"seconds for a duration": {"wait: 5\n", nil, "read the configuration FILE: line 1: `5` is not a duration such as 3s"},
		"a word for a switch":    {"on: perhaps\n", nil, "read the configuration FILE: line 1: `perhaps` is not true or false"},
		"a list for a text":      {"name: [1, 2]\n", nil, "read the configuration FILE: line 1: a list is not a text"},
		"a table for a text":     {"\nname: {a: b}\n", nil, "read the configuration FILE: line 2: a table of keys is not a text"},
		"a word for a number":    {"port: many\nmost: -1\nshare: half\n", nil, "read the configuration FILE: line 1: `many` is not a whole number; line 2: `-1` is not a whole number; line 3: `half` is not a number"},
		"a word for a list":      {"words: a\n", nil, "read the configuration FILE: line 1: `a` is not a list"},
		"a word for a table":     {"log: loud\n", nil, "read the configuration FILE: line 1: `loud` is not a table of keys"},
		"a word for a file":      {"hello\n", nil, "read the configuration FILE: line 1: `hello` is not a table of keys"},
		"keys that are none":     {"nme: x\nlog: {lvl: x}\n", nil, "read the configuration FILE: line 1: field nme not found, which is one of wait, on, name, port, most, share, words, log; line 2: field lvl not found, which is one of level"},
		"a second document":      {"name: x\n---\nname: y\n", nil, "read the configuration FILE: it has a second document behind a line ---: write one"},
		"two, and both faulty":   {"nme: x\n---\nname: y\n", nil, "read the configuration FILE: line 1: field nme not found, which is one of wait, on, name, port, most, share, words, log; it has a second document behind a line ---: write one"},
		"out of all bounds":      {"", map[string]string{"CLARITY_PORT": "99999999999999999999"}, `CLARITY_PORT: "99999999999999999999" is not a whole number: value out of range`},
		"a key that comes twice": {"name: x\nname: y\n", nil, `read the configuration FILE: line 2: mapping key "name" already defined at line 1`},
		"no YAML":                {"a: b: c\n", nil, "read the configuration FILE: yaml: mapping values are not allowed in this context"},
		"variables": {"", map[string]string{"CLARITY_WAIT": "soon", "CLARITY_ON": "perhaps", "CLARITY_PORT": "x", "CLARITY_MOST": "-1", "CLARITY_SHARE": "half", "CLARITY_ODD": "2"},
			"CLARITY_MOST: \"-1\" is not a whole number\nCLARITY_ODD: \"2\" is not what it asks for: even\nCLARITY_ON: \"perhaps\" is not true or false\n" +
				"CLARITY_PORT: \"x\" is not a whole number\nCLARITY_SHARE: \"half\" is not a number\nCLARITY_WAIT: \"soon\" is not a duration such as 3s"},
		"a file and a variable": {"wait: soon\n", map[string]string{"CLARITY_ON": "perhaps"},
			"read the configuration FILE: line 1: `soon` is not a duration such as 3s\nCLARITY_ON: \"perhaps\" is not true or false"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := read(tt.file, tt.env)
			got := ""
			if err != nil {
				got = regexp.MustCompile(`\S+/c\.yaml`).ReplaceAllString(err.Error(), "FILE")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
