package file_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/model/traffic/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mount writes a plan as the kubelet does: a new folder, to which the link is swapped.
func mount(t *testing.T, dir, generation, text string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, ".."+generation), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".."+generation, traffic.PlanKey), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".."+generation, filepath.Join(dir, "..tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	_ = os.Symlink(filepath.Join("..data", traffic.PlanKey), filepath.Join(dir, traffic.PlanKey))
}

type told struct {
	text string
	err  error
}

func TestAMountedPlanIsToldWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	got, done := make(chan told), make(chan struct{})
	go func() {
		defer close(done)
		file.New(dir, time.Millisecond).Watch(ctx, func(text []byte, err error) { got <- told{string(text), err} })
	}()
	next := func(what string) told {
		t.Helper()
		select {
		case g := <-got:
			return g
		case <-time.After(time.Minute):
			t.Fatalf("never told: %s", what)
			return told{}
		}
	}
	quiet := func(what string) {
		t.Helper()
		select {
		case g := <-got:
			t.Errorf("%s: told %q, %v", what, g.text, g.err)
		case <-time.After(30 * time.Millisecond):
		}
	}
	if g := next("nothing there"); !errors.Is(g.err, fs.ErrNotExist) {
		t.Errorf("told %q, %v", g.text, g.err)
	}
	quiet("the same error")
	mount(t, dir, "1", "one")
	if g := next("the first plan"); g.text != "one" || g.err != nil {
		t.Errorf("told %q, %v", g.text, g.err)
	}
	quiet("the same plan")
	mount(t, dir, "2", "two")
	if g := next("the second plan"); g.text != "two" {
		t.Errorf("told %q, %v", g.text, g.err)
	}
	mount(t, dir, "3", string(bytes.Repeat([]byte("x"), 2<<20)))
	if g := next("a plan that no ConfigMap could hold"); g.err == nil || !strings.Contains(g.err.Error(), "more than") {
		t.Errorf("told %.20q, %v", g.text, g.err)
	}
	mount(t, dir, "4", "two")
	if g := next("the plan is back"); g.text != "two" {
		t.Errorf("told %q, %v", g.text, g.err)
	}
	cancel()
	<-done
}
