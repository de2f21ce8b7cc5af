package models_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/services/model/preview"
)

func TestAskedOfOneModel(t *testing.T) {
	for _, none := range []string{"", "none"} {
		a, err := models.AskedOf(none)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := a.Plan(); ok {
			t.Errorf("%q: %+v", none, p)
		}
	}
	a, err := models.AskedOf(models.Preview)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := a.Plan()
	if !ok || len(p.Entries) != 1 || p.Entries[0].Weight != 100 || p.Entries[0].Digest != preview.Digest || p.Model == "" || p.Entries[0].Version != p.Model {
		t.Errorf("%+v", p)
	}
	if _, err := models.AskedOf(t.TempDir() + "/none.tar"); err == nil {
		t.Error("a file that is not there is a model")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := a.Run(ended); err != nil {
		t.Error(err)
	}
}

// told is a source that has told its plans.
type told []func() ([]byte, error)

func (s told) Watch(_ context.Context, tell func([]byte, error)) {
	for _, one := range s {
		tell(one())
	}
}

func TestAskedByAPlan(t *testing.T) {
	plan := func(model, version string, entries ...traffic.Entry) func() ([]byte, error) {
		return func() ([]byte, error) {
			if version != "" {
				entries = []traffic.Entry{{Version: version, Weight: 100, Endpoint: "a:1", Digest: "sha256:" + version}}
			}
			return json.Marshal(traffic.Plan{Model: model, Entries: entries})
		}
	}
	broken := func() ([]byte, error) { return []byte("{"), nil }
	down := func() ([]byte, error) { return nil, errors.New("no such file") }
	tests := map[string]struct {
		model string
		plans told
		want  string
	}{
		"none has come":            {"", told{down, broken}, ""},
		"the first":                {"", told{plan("pat", "v1")}, "pat v1"},
		"the newest":               {"pat", told{plan("pat", "v1"), plan("pat", "v2")}, "pat v2"},
		"a broken one":             {"", told{plan("pat", "v1"), broken}, "pat v1"},
		"a source that is down":    {"", told{plan("pat", "v1"), down}, "pat v1"},
		"an empty one":             {"", told{plan("pat", "v1"), plan("pat", "")}, "pat v1"},
		"another model's":          {"", told{plan("pat", "v1"), plan("other", "v2")}, "pat v1"},
		"another model's at first": {"pat", told{plan("other", "v2")}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := models.AskedBy(tt.model, tt.plans, slog.New(slog.DiscardHandler))
			if err := a.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := ""
			if p, ok := a.Plan(); ok {
				got = p.Model + " " + p.Entries[0].Version
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}
