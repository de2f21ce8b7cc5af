package shard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// A busy stage has another writer in the way until a time.
type busy struct {
	until time.Time
	asked int
}

func (b *busy) Look(context.Context, analysis.Request) (analyse.Freshness, error) {
	return analyse.Freshness{}, nil
}

func (b *busy) Ends(context.Context, string, health.Day, health.Day) ([]health.Day, error) {
	return nil, nil
}

func (b *busy) Analyse(context.Context, analysis.Request, analyse.Order) (analyse.Outcome, int64, error) {
	if b.asked++; time.Now().Before(b.until) {
		return analyse.Kept, 0, store.ErrConflict
	}
	return analyse.Stored, 7, nil
}

// Another writer is waited for, and not run down; who is stopped waits no longer.
func TestAnotherWriterIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Runner
		b := &busy{until: time.Now().Add(300 * time.Millisecond)}
		outcome, version, err := r.window(t.Context(), Data{Stage: b}, analysis.Request{}, false)
		if err != nil || outcome != analyse.Stored || version != 7 || b.asked < 3 {
			t.Errorf("%v, %d, %v after %d tries", outcome, version, err, b.asked)
		}
		stopped, cancel := context.WithCancel(t.Context())
		cancel()
		b = &busy{until: time.Now().Add(time.Hour)}
		if _, _, err := r.window(stopped, Data{Stage: b}, analysis.Request{}, false); err == nil || b.asked > 1 {
			t.Errorf("%v after %d tries", err, b.asked)
		}
	})
}
