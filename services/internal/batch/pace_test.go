package batch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/internal/batch"
)

// measured is how many commits a thousand items are that come by chance, so many a second,
// where a commit takes 60 ms, and how long one waits in all: at the median, and one in a hundred.
func measured(t *testing.T, perSecond float64, pace batch.Pace) (commits int, took, p50, p99 time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		began := time.Now()
		chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
		c := batch.NewPaced(256, pace, func([]int) []error {
			commits++
			time.Sleep(60 * time.Millisecond)
			return nil
		})
		waited := make([]time.Duration, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				came := time.Now()
				if err := c.Do(t.Context(), i); err != nil {
					t.Error(err)
				}
				waited[i] = time.Since(came)
			})
			time.Sleep(time.Duration(chance.ExpFloat64() / perSecond * float64(time.Second)))
		}
		all.Wait()
		c.Close()
		slices.Sort(waited)
		took, p50, p99 = time.Since(began), waited[n/2], waited[n*99/100]
	})
	return commits, took, p50, p99
}

// However many come, there are no more commits than the pace has and a burst; who comes seldom
// waits for one commit alone. The figures are those of docs/operations/audit.md.
func TestWhatABurstCosts(t *testing.T) {
	const burst = 50
	for _, perSecond := range []float64{1, 10, 100} {
		row := fmt.Sprintf("%g a second:", perSecond)
		for _, most := range []int{5, 10, 20} {
			every := time.Second / time.Duration(most)
			without, _, slow, _ := measured(t, perSecond, batch.Pace{Every: every})
			with, took, fast, late := measured(t, perSecond, batch.Pace{Every: every, Burst: burst})
			row += fmt.Sprintf(" | at %d: %d commits, p50 %v; with a burst %d, p50 %v, p99 %v", most, without, slow.Round(time.Millisecond), with, fast.Round(time.Millisecond), late.Round(time.Millisecond))
			if bound := int(took/every) + burst + 1; with > bound {
				t.Errorf("at %d: %d commits, %d are the most", most, with, bound)
			}
			if perSecond < float64(most)/2 && fast > 61*time.Millisecond {
				t.Errorf("at %d: who comes %g times a second waits %v", most, perSecond, fast)
			}
		}
		t.Log(row)
	}
}
