package pat_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/preview"
)

func previewBundle(t testing.TB) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPreviewKeepsTheContract(t *testing.T) {
	modeltest.Run(t, func(t *testing.T) model.Model { return open(t, previewBundle(t), pat.Options{}) })
}

func TestPreviewIsLabelled(t *testing.T) {
	id := previewBundle(t).Identity()
	if id.Label != "research preview; trained on simulated data" {
		t.Errorf("label %q", id.Label)
	}
	for _, o := range id.Outputs {
		if want := map[string]model.Visibility{"embedding": model.Internal, "sleep": model.Preview, "week": model.Internal}[o.Name]; o.Visibility != want {
			t.Errorf("output %s is %s, want %s", o.Name, o.Visibility, want)
		}
	}
	if !strings.Contains(previewBundle(t).Card, "Not a medical device") {
		t.Error("the card does not say that this is no medical device")
	}
}

// A bundle whose bytes were touched anywhere is refused: by its digest, or by its form.
func TestPreviewWithABitOffIsRefused(t *testing.T) {
	raw := preview.Bundle()
	for i := 0; i < len(raw); i += len(raw)/200 + 1 {
		bad := append([]byte(nil), raw...)
		bad[i] ^= 0x10
		b, err := bundle.Read(bad, preview.Digest)
		if err == nil && b.Digest == preview.Digest {
			continue // padding between the tar's entries
		}
		if r := new(model.Refusal); !errors.As(err, &r) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// Three real weeks beside the preview model's source: counts to outputs, float64.
func TestPreviewAgreesWithItsSource(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(reference(t), "../models/golden-pat-s-sim.json"))
	if err != nil {
		t.Skip("no model source beside the repository")
	}
	var g struct {
		Cases []struct {
			Counts, Embedding, Sleep, Week []float64
			Worn                           int `json:"worn_minutes"`
		}
	}
	if err := json.Unmarshal(raw, &g); err != nil || len(g.Cases) != 3 {
		t.Fatal(len(g.Cases), err)
	}
	m, into := open(t, previewBundle(t), pat.Options{}), make([]model.Inference, 1)
	for i, c := range g.Cases {
		w := model.Window{Kind: actigraphy.Counts, Counts: c.Counts}
		if err := m.Infer(context.Background(), []model.Window{w}, into); err != nil || into[0].Refused != nil || into[0].WornMinutes != c.Worn {
			t.Fatal(err, into[0].Refused, into[0].WornMinutes)
		}
		for j, want := range [][]float64{c.Embedding, c.Sleep, c.Week} {
			if d := distance(into[0].Values[j], want); d > 1e-5 {
				t.Errorf("week %d: output %d is %g from the source's", i, j, d)
			}
		}
	}
}
