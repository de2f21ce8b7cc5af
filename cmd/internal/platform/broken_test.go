package platform_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
)

// disk is what a driver has open on a disk that fails.
type disk struct{ failed atomic.Bool }

func (d *disk) Close() error { return nil }

func (d *disk) Broken() error {
	if d.failed.Load() {
		return errors.New("sync: input/output error")
	}
	return nil
}

// A driver that cannot go on ends the process, which is started anew; one that
// only meets an error does not.
func TestADriverThatCannotGoOnEndsThePlatform(t *testing.T) {
	d := &disk{}
	with := drivers(&diary{}, nil)
	with.Queue["fake"] = func(_ context.Context, _ string, e platform.Env) (queue.Driver, error) {
		e.Closing("the queue", d)
		return counted{}, nil
	}
	p, err := platform.Open(t.Context(), config("s"), with, []platform.Stage{{Name: "s", Needs: capability.Queue, Build: func(context.Context, platform.Parts) ([]platform.Runner, error) {
		return []platform.Runner{{Name: "s", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
	}}}, env())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	select {
	case err := <-ended:
		t.Fatalf("it ends by itself: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
	d.failed.Store(true)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "the queue cannot go on, the process ends") {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}
