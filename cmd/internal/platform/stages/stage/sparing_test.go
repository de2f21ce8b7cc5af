package stage

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/queue"
)

// What is left of a disk is not used up by what was taken in: it waits, and goes on
// by itself once there is room.
func TestWhatWasTakenInWaitsForRoom(t *testing.T) {
	var full error
	handled := 0
	p := platform.Parts{}
	p.Log, p.Working = slog.New(slog.DiscardHandler), func() error { return full }
	h := Sparing(p, func(context.Context, queue.Delivery) queue.Verdict {
		handled++
		return queue.Ack()
	})
	for i, err := range []error{nil, errors.New("full"), errors.New("full"), nil} {
		full = err
		want := queue.Ack()
		if err != nil {
			want = queue.Retry(roomAgain, "the disk is nearly full")
		}
		if got := h(t.Context(), queue.Delivery{}); got != want {
			t.Errorf("%d: %+v, want %+v", i, got, want)
		}
	}
	if handled != 2 {
		t.Errorf("handled %d times, want 2", handled)
	}
	p.Working = nil
	if got := Sparing(p, h)(t.Context(), queue.Delivery{}); got != queue.Ack() {
		t.Errorf("where nobody watches the disk: %+v", got)
	}
}
