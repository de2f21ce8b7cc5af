package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheCommandLine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	bad := write("bad.yaml", "namespace: Clarity\n")
	good := write("good.yaml", `
namespace: clarity
worker:
  image: registry.example/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000
  serviceAccount: clarity-worker
  resources: &small {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 512Mi}}
modelVersions:
  servingClasses:
    cpu:
      image: registry.example/triton@sha256:0000000000000000000000000000000000000000000000000000000000000000
      resources: *small
  feeds:
    - preprocessing: {name: pre/1, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
      window: {epochSeconds: 60, epochs: 10080}
      inputs: [{name: activity, dtype: FP32, dims: [10080]}]
  prometheus: {url: "http://127.0.0.1:9090"}
`)
	tests := map[string]struct {
		args []string
		want string // in the error; "" for none
		is   error
	}{
		"an argument":                     {[]string{"serve"}, "", errUsage},
		"a good configuration is checked": {[]string{"--config", good, "--check"}, "", nil},
		"a bad one tells its faults":      {[]string{"--config", bad, "--check"}, `namespace "Clarity"`, nil},
		"a file that is not there":        {[]string{"--config", filepath.Join(dir, "none.yaml")}, "none.yaml", nil},
		"a flag that does not exist":      {[]string{"--verbose"}, "", errUsage},
		"help":                            {[]string{"--help"}, "", flag.ErrHelp},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			err := run(t.Context(), tt.args, io.Discard, &stderr)
			switch {
			case tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("run: %v, want %v", err, tt.is)
			case tt.is == nil && tt.want == "" && err != nil:
				t.Errorf("run: %v, want none", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("run: %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestAVersionWithArguments(t *testing.T) {
	for got, args := range map[string][]string{"x": {"version", "x"}, "y": {"--version", "y"}, "--check": {"version", "--check"}, "version": {"--version", "version"}} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), args, &stdout, &stderr)
		if want := "manager: version takes no argument, got \"" + got + "\"\n"; !errors.Is(err, errUsage) || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%v: %v, %q, want %q", args, err, stderr.String(), want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}, {"-version"}} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), args, &stdout, &stderr)
		if out := stdout.String(); err != nil || !strings.HasPrefix(out, "manager ") || !strings.Contains(out, "go1.") || stderr.Len() > 0 {
			t.Errorf("%v: %v, %q, %q", args, err, out, stderr.String())
		}
	}
}
