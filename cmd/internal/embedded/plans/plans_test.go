package plans_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	plan "github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/model/traffic"
)

const text = `{"model":"pat","revision":1,"salt":"s","entries":[{"version":"v1","weight":100,"endpoint":"127.0.0.1:1","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}`

// first is what the source tells first.
func first(t *testing.T, s traffic.Source) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var told []byte
	var err error
	s.Watch(ctx, func(b []byte, e error) {
		told, err = b, e
		cancel()
	})
	return string(told), err
}

func TestPlansAreReadByTheirPath(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("mounted", 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("mounted", plan.PlanKey)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	followed, err := plans.File(t.Context(), "mounted", platform.Env{})
	if err != nil || followed.Model != "" {
		t.Fatalf("%+v, %v; want the model of whatever plan comes", followed, err)
	}
	fixed, err := plans.Fixed(t.Context(), path, platform.Env{})
	if err != nil || fixed.Model != "pat" {
		t.Fatalf("%+v, %v; want the model of the plan", fixed, err)
	}
	for name, s := range map[string]traffic.Source{"file": followed.Source, "fixed": fixed.Source} {
		if told, err := first(t, s); err != nil || told != text {
			t.Errorf("%s tells %q, %v", name, told, err)
		}
	}
}

func TestPlansThatAreNone(t *testing.T) {
	var wrong *platform.ConfigError
	for name, open := range map[string]platform.Opener[platform.Plan]{"file": plans.File, "fixed": plans.Fixed} {
		if _, err := open(t.Context(), "", platform.Env{}); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "traffic:"+name+":") {
			t.Errorf("%s without a place: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if _, err := plans.Fixed(t.Context(), path, platform.Env{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a plan that is not there: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"model":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := plans.Fixed(t.Context(), path, platform.Env{}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half a plan: %v", err)
	}
}
