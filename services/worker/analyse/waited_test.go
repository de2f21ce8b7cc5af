package analyse_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// waits are how long people waited, in seconds.
type waits []float64

func (w *waits) Observe(seconds float64) { *w = append(*w, seconds) }

// How long somebody waited for the newest window is told once it is done, where it is of
// these days; of a past nobody waits for each week.
func TestHowLongSomebodyWaitedIsTold(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	noon := time.Date(1970, 1, 1, 12, 0, 0, 0, time.UTC).AddDate(0, 0, int(end))
	now := noon
	clock := func() time.Time { return now }
	var told waits
	needs := b.stage.Needs
	needs.Now, needs.Waited, b.windows.Now = clock, &told, clock
	b.stage = analyse.New(needs)
	turn := func(want string) {
		t.Helper()
		if got := b.due(1); got != want {
			t.Fatalf("verdict %q, want %q", got, want)
		}
	}
	b.ask(end-20, end)
	now = noon.Add(90 * time.Second)
	turn("postpone: the next windows have their turn") // the newest is done
	now = noon.Add(time.Hour)
	turn("ack") // and what is left of the past
	now = noon.AddDate(0, 0, 30)
	b.ask(end, end) // a sample of a month ago is deleted
	now = now.Add(time.Hour)
	turn("ack")
	if diff := cmp.Diff(waits{90}, told); diff != "" {
		t.Errorf("seconds that somebody waited (-want +got):\n%s", diff)
	}
}
