package models_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// synthetic is a good bundle of a model that this machine's processor cannot run.
func synthetic(t *testing.T) *bundle.Bundle {
	t.Helper()
	b, err := tritontest.NewBundle("pat", 1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write writes a file into the working directory, which is a new one.
func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAReferenceNamesABundle(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "m.tar", preview.Bundle())
	write(t, "junk.tar", []byte("junk"))
	other, _ := strings.CutSuffix(preview.Digest, preview.Digest[len(preview.Digest)-1:])
	tests := map[string]struct {
		ref  string
		good bool
	}{
		"the preview":              {"preview", true},
		"a file":                   {"m.tar", true},
		"a file with its digest":   {"m.tar@" + preview.Digest, true},
		"another digest":           {"m.tar@" + other + "0", false},
		"half a digest":            {"m.tar@sha256:00", false},
		"a file that is not there": {"absent.tar", false},
		"a file that is none":      {"junk.tar", false},
		"the preview in capitals":  {"Preview", false},
	}
	if strings.HasSuffix(preview.Digest, "0") {
		t.Fatal("choose another digest for this test")
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := models.Load(tt.ref)
			if (err == nil) != tt.good || tt.good && b.Digest != preview.Digest {
				t.Errorf("error %v, want one: %t", err, !tt.good)
			}
			for who, open := range map[string]func() error{
				"one": func() error {
					m, err := models.Single(t.Context(), tt.ref)
					if err == nil {
						m.Close()
					}
					return err
				},
				"listed": func() error { _, err := models.AskedOf(tt.ref); return err },
			} {
				if err := open(); (err == nil) != tt.good || err != nil && !strings.HasPrefix(err.Error(), "open model "+tt.ref+": ") {
					t.Errorf("%s: %v", who, err)
				}
			}
		})
	}
}

func TestAModelOfAnotherKindCannotBeOpenedHere(t *testing.T) {
	t.Chdir(t.TempDir())
	b := synthetic(t)
	raw, err := bundle.Write(b)
	if err != nil {
		t.Fatal(err)
	}
	write(t, "s.tar", raw)
	if _, err := models.Single(t.Context(), "s.tar"); err == nil || !strings.HasPrefix(err.Error(), "open model s.tar: ") {
		t.Errorf("Single: %v", err)
	}
	if m, done, err := models.Open(t.Context(), b); err == nil || m != nil || done != nil {
		t.Errorf("Open: %v, %v", m, err)
	}
	if names, err := models.Verify(t.Context(), b); err == nil || len(names) > 0 || !strings.HasPrefix(err.Error(), "kernel "+kernel.All()[0].Name()+": ") {
		t.Errorf("Verify: %v, %v", names, err)
	}
	if files, err := models.TritonRepository(b, models.TritonServing{}); err == nil || files != nil {
		t.Errorf("TritonRepository: %v", err)
	}
}

func TestEveryKernelOfThisMachineIsVerified(t *testing.T) {
	b, err := models.Load(models.Preview)
	if err != nil {
		t.Fatal(err)
	}
	names, err := models.Verify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, k := range kernel.All() {
		want = append(want, k.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" || !slices.Contains(names, "scalar") {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImport(t *testing.T) {
	b, err := models.Load(models.Preview)
	if err != nil {
		t.Fatal(err)
	}
	good := models.Description{Name: "mine", Card: b.Card, Label: b.Contract.Label, License: b.Contract.License, Source: b.Contract.Source, Preprocessing: b.Preprocessing}
	raw, made, err := models.Import(b.Weights, good)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := bundle.Read(raw, made.Digest); err != nil || again.Contract.Name != "mine" || !bytes.Equal(again.Weights, b.Weights) {
		t.Errorf("what was made is read as %v, %v", again, err)
	}
	if got := made.Identity(); got.Name != "mine" || got.Digest != made.Digest {
		t.Errorf("%+v", got)
	}
	nameless := good
	nameless.Name = ""
	tests := map[string]struct {
		weights     []byte
		description models.Description
		want        string
	}{
		"nothing":             {nil, good, "safetensors"},
		"half of the weights": {b.Weights[:len(b.Weights)/2], good, "safetensors"},
		"HDF5 and no more":    {[]byte("\x89HDF\r\n\x1a\n"), good, "HDF5"},
		"without a name":      {b.Weights, nameless, "name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			raw, _, err := models.Import(tt.weights, tt.description)
			if err == nil || raw != nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
				t.Errorf("%d bytes, %v; want an error of %s", len(raw), err, tt.want)
			}
		})
	}
}

func TestATritonRepository(t *testing.T) {
	b, err := models.Load(models.Preview)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		serving  models.TritonServing
		dir      string
		has, not []string
	}{
		"as usual":    {models.TritonServing{}, b.Contract.Name, []string{"max_batch_size: 64", "KIND_CPU"}, []string{"KIND_GPU"}},
		"on a GPU":    {models.TritonServing{GPU: true}, b.Contract.Name, []string{"KIND_GPU"}, []string{"KIND_CPU"}},
		"in sevens":   {models.TritonServing{MaxBatch: 7}, b.Contract.Name, []string{"max_batch_size: 7"}, nil},
		"by any name": {models.TritonServing{Model: "other"}, "other", []string{`name: "other"`}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files, err := models.TritonRepository(b, tt.serving)
			if err != nil {
				t.Fatal(err)
			}
			config := string(files[tt.dir+"/config.pbtxt"])
			for _, s := range tt.has {
				if !strings.Contains(config, s) {
					t.Errorf("no %s in %v:\n%s", s, slices.Sorted(maps.Keys(files)), config)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(config, s) {
					t.Errorf("there is %s in:\n%s", s, config)
				}
			}
			if len(files[tt.dir+"/1/model.onnx"]) == 0 {
				t.Errorf("no model in %v", slices.Sorted(maps.Keys(files)))
			}
		})
	}
}

// One model stays until the end; there is nothing to follow.
func TestTheOneModelIsListedUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := models.AskedOf("none")
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		ended := false
		go func() {
			if err := a.Run(ctx); err != nil {
				t.Error(err)
			}
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Error("it ends before it is told to")
		}
		end()
		synctest.Wait()
		if !ended {
			t.Error("it does not end")
		}
	})
}

func TestWhyAPlanIsRejectedIsLogged(t *testing.T) {
	plan := func(p traffic.Plan) func() ([]byte, error) {
		return func() ([]byte, error) { return json.Marshal(p) }
	}
	entries := []traffic.Entry{{Version: "v1", Weight: 100, Endpoint: "a:1", Digest: "sha256:v1"}}
	tests := map[string]struct {
		told func() ([]byte, error)
		want string // of the log; "" for none
	}{
		"a good one":       {plan(traffic.Plan{Model: "pat", Entries: entries}), ""},
		"another model's":  {plan(traffic.Plan{Model: "other", Entries: entries}), `level=WARN msg="plan rejected, listing the last" model=pat err="the plan is another model's"`},
		"an empty one":     {plan(traffic.Plan{Model: "pat"}), `err="the plan is empty"`},
		"no plan":          {func() ([]byte, error) { return []byte("{"), nil }, "plan rejected"},
		"a source is down": {func() ([]byte, error) { return nil, errors.New("no such file") }, `err="no such file"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			if err := models.AskedBy("pat", told{tt.told}, slog.New(slog.NewTextHandler(&log, nil))).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" || strings.Count(got, "\n") > 1 {
				t.Errorf("the log is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAPlanThatCannotBeFollowed(t *testing.T) {
	log, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	first, err := models.Followed("pat", told{}, registry, log)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if second, err := models.Followed("pat", told{}, registry, log); err == nil || second != nil {
		t.Errorf("two with the same metrics: %v, %v", second, err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if c, err := models.Dial(ended, "127.0.0.1:1", "pat", preview.Digest, log); err == nil {
		c.Close()
		t.Error("a connection to nobody")
	}
}
