package datadir_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func drivers() platform.Drivers {
	return platform.Drivers{
		Store: map[string]platform.Opener[store.Driver]{"sqlite": embedded.Store},
		Queue: map[string]platform.Opener[queue.Driver]{"sqlite": embedded.Queue},
		Keys:  map[string]platform.Opener[platform.Keyring]{"tink": embedded.Keys},
	}
}

func env() platform.Env {
	return platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test"}
}

// open opens a platform of one stage that waits.
func open(t *testing.T, dir string, needs capability.Set) (*datadir.Platform, error) {
	t.Helper()
	return datadir.Open(t.Context(), dir, config(), drivers(), table(needs), env())
}

func table(needs capability.Set) []platform.Stage {
	return []platform.Stage{{Name: "wait", Needs: needs, Build: func(context.Context, platform.Parts) ([]platform.Runner, error) {
		return []platform.Runner{{Name: "wait", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
	}}}
}

func config() platform.Config {
	return platform.Config{Stages: []string{"wait"}, Listen: platform.Listen{API: "127.0.0.1:0"}}
}

func lease(dir string, timeout time.Duration) *datadir.Lease {
	return &datadir.Lease{Dir: dir, Drivers: drivers(), Needs: capability.Queue, Timeout: timeout, Env: env()}
}

func TestOneProcessHasTheDirectoryAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "er")
	p, err := open(t, dir, capability.Queue)
	if err != nil {
		t.Fatal(err)
	}
	const want = "is in use by another process: stop that one, or choose another --data"
	if _, err := open(t, dir, 0); !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), dir+" "+want) {
		t.Errorf("a second platform: %v", err)
	}
	if _, _, err := lease(dir, 0).Acquire(t.Context()); !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("a lease beside a platform: %v", err)
	}
	if _, _, err := datadir.DeadLetters(t.Context(), datadir.Place{Dir: dir}, drivers(), time.Now); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("a tool beside a platform: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := p.Run(ctx); err != nil { // gives it back
		t.Error(err)
	}
	for range 2 {
		if p, err = open(t, dir, capability.Queue); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	}
}

// What another process has of the directory, by a driver's own lock, is told in
// the same words, and leaves the directory free.
func TestADriversLockIsTold(t *testing.T) {
	dir := t.TempDir()
	var closing []func() error
	e := env()
	e.Closing = func(_ string, c io.Closer) { closing = append(closing, c.Close) }
	if _, err := embedded.Queue(t.Context(), dir, e); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir, capability.Queue); !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), "the data directory "+dir+" is in use") {
		t.Errorf("a platform on another's queue: %v", err)
	}
	if _, _, err := lease(dir, time.Minute).Acquire(t.Context()); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("a lease on another's queue: %v", err)
	}
	if err := closing[0](); err != nil {
		t.Fatal(err)
	}
	p, err := open(t, dir, capability.Queue)
	if err != nil {
		t.Fatalf("the directory was not given back: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhereARunningPlatformAnswersIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	if _, err := datadir.Endpoint(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "start one with `clarity up --data "+dir) {
		t.Errorf("before: %v", err)
	}
	p, err := open(t, dir, capability.Listener)
	if err != nil {
		t.Fatal(err)
	}
	if url, err := datadir.Endpoint(t.Context(), dir); err != nil || url != p.URL() {
		t.Errorf("%q, %v; want %q", url, err, p.URL())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "endpoint*")); err != nil || len(left) > 0 {
		t.Errorf("a stopped platform leaves %v", left)
	}
	silent, err := open(t, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := datadir.Endpoint(t.Context(), dir); err == nil {
		t.Error("a platform that answers nowhere has an endpoint")
	}
	if err := silent.Close(); err != nil {
		t.Error(err)
	}
}

// Many that want the directory all come to theirs, one at a time, again and again.
func TestLeasesTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			l := lease(dir, time.Minute)
			for range 3 {
				o, release, err := l.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if !mu.TryLock() {
					t.Error("two have the directory at once")
					return
				}
				if _, err := o.Gauge.Depth(t.Context(), flow.Topics()[0], flow.Consumers()[flow.Topics()[0]][0]); err != nil {
					t.Error(err)
				}
				mu.Unlock()
				if err := release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func TestALeaseWaitsAsLongAsItMay(t *testing.T) {
	dir := t.TempDir()
	_, release, err := lease(dir, 0).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, _, err := lease(dir, 100*time.Millisecond).Acquire(t.Context()); !errors.Is(err, datadir.ErrInUse) || time.Since(began) < 100*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := lease(dir, time.Hour).Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("told to stop: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// A mistyped directory is not made.
func TestToolsMakeNoDirectory(t *testing.T) {
	absent, file := filepath.Join(t.TempDir(), "absent"), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tool := range map[string]func(dir string) error{
		"a lease": func(dir string) error { _, _, err := lease(dir, time.Minute).Acquire(t.Context()); return err },
		"dead letters": func(dir string) error {
			_, _, err := datadir.DeadLetters(t.Context(), datadir.Place{Dir: dir}, drivers(), time.Now)
			return err
		},
		"a pseudonym": func(dir string) error {
			_, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "anna")
			return err
		},
		"the audit log": func(dir string) error {
			_, err := datadir.VerifyAudit(t.Context(), datadir.Place{Dir: dir})
			return err
		},
	} {
		if err := tool(absent); err == nil || err.Error() != "there is no data directory "+absent+": `clarity up --data "+absent+"` makes one, or choose another --data" {
			t.Errorf("%s of nothing: %v", name, err)
		}
		if err := tool(file); err == nil || !strings.Contains(err.Error(), "is not a directory: choose another --data") {
			t.Errorf("%s of a file: %v", name, err)
		}
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a tool made the directory: %v", err)
	}
}

func TestAPseudonymIsThePersonsAndStays(t *testing.T) {
	dir := t.TempDir()
	anna, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "anna")
	if err != nil {
		t.Fatal(err)
	}
	again, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "anna")
	if err != nil || again != anna || strings.Contains(anna, "anna") {
		t.Errorf("%q, then %q, %v", anna, again, err)
	}
	if bert, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "bert"); err != nil || bert == anna {
		t.Errorf("two people are %q, %v", bert, err)
	}
}
