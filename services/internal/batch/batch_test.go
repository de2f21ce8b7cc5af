package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/internal/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a commit that reports each group and waits to be let through.
type gate struct {
	groups chan []int
	pass   chan []error
}

func newGate() *gate { return &gate{make(chan []int), make(chan []error)} }

func (g *gate) commit(items []int) []error {
	g.groups <- append([]int(nil), items...)
	return <-g.pass
}

// queue hands n items in at once; the outcomes are there after wait.
func queue(c *batch.Committer[int], n int) (outcomes []error, wait func()) {
	outcomes = make([]error, n)
	var wg sync.WaitGroup
	started := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			started <- struct{}{}
			outcomes[i] = c.Do(context.Background(), i)
		}()
	}
	for range n {
		<-started
	}
	return outcomes, wg.Wait
}

func until(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

func TestItemsThatWaitAreCommittedTogether(t *testing.T) {
	var commits atomic.Int32
	block := make(chan struct{})
	c := batch.New(1000, func(_ []int) []error {
		if commits.Add(1) == 1 {
			<-block
		}
		return nil
	})
	defer c.Close()
	first := make(chan error, 1)
	go func() { first <- c.Do(context.Background(), -1) }()
	until(func() bool { return commits.Load() > 0 })
	const n = 100
	outcomes, wait := queue(c, n)
	until(func() bool { return c.Waiting() == n })
	close(block)
	wait()
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	for i, err := range outcomes {
		if err != nil {
			t.Errorf("item %d: %v", i, err)
		}
	}
	if got := commits.Load(); got != 2 {
		t.Errorf("%d commits for %d items: they are not grouped", got, n+1)
	}
}

func TestEachCallerGetsItsOwnOutcome(t *testing.T) {
	bad := errors.New("odd")
	c := batch.New(8, func(items []int) []error {
		errs := make([]error, len(items))
		for i, item := range items {
			if item%2 == 1 {
				errs[i] = bad
			}
		}
		return errs
	})
	defer c.Close()
	outcomes, wait := queue(c, 100)
	wait()
	for i, err := range outcomes {
		if want := i%2 == 1; errors.Is(err, bad) != want {
			t.Errorf("item %d: outcome %v", i, err)
		}
	}
}

func TestGroupsKeepOrderAndTheirLimit(t *testing.T) {
	g := newGate()
	c := batch.New(2, g.commit)
	var outcomes [5]error
	var wg sync.WaitGroup
	do := func(i int) {
		wg.Add(1)
		go func() { defer wg.Done(); outcomes[i] = c.Do(context.Background(), i) }()
	}
	do(0)
	got := [][]int{<-g.groups}
	for i := 1; i < 5; i++ {
		do(i)
		until(func() bool { return c.Waiting() == i })
	}
	g.pass <- nil
	got = append(got, <-g.groups)
	g.pass <- nil
	got = append(got, <-g.groups)
	g.pass <- nil
	wg.Wait()
	c.Close()
	if diff := cmp.Diff([][]int{{0}, {1, 2}, {3, 4}}, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestAContextThatEnds(t *testing.T) {
	g := newGate()
	c := batch.New(8, g.commit)
	taken, cancelTaken := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { first <- c.Do(taken, 0) }()
	<-g.groups

	waiting, cancelWaiting := context.WithCancel(context.Background())
	second := make(chan error, 1)
	go func() { second <- c.Do(waiting, 1) }()
	until(func() bool { return c.Waiting() == 1 })
	cancelWaiting()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("an item that waited: %v, want context.Canceled", err)
	}
	cancelTaken()
	g.pass <- nil
	if err := <-first; err != nil {
		t.Errorf("an item that was taken: %v, want its outcome, nil", err)
	}
	go c.Close()
	select {
	case group := <-g.groups:
		t.Errorf("a withdrawn item was committed: %v", group)
	case <-c.Done():
	}
	if err := c.Do(waiting, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
}

func TestCloseCommitsWhatWaitsAndRefusesTheRest(t *testing.T) {
	g := newGate()
	c := batch.New(8, g.commit)
	outcome := make(chan error, 2)
	go func() { outcome <- c.Do(context.Background(), 0) }()
	<-g.groups
	go func() { outcome <- c.Do(context.Background(), 1) }()
	until(func() bool { return c.Waiting() == 1 })
	closed := make(chan struct{})
	go func() { c.Close(); c.Close(); close(closed) }()
	g.pass <- nil
	if diff := cmp.Diff([]int{1}, <-g.groups); diff != "" {
		t.Error(diff)
	}
	g.pass <- nil
	<-closed
	for range 2 {
		if err := <-outcome; err != nil {
			t.Errorf("an item handed in before Close: %v", err)
		}
	}
	if err := c.Do(context.Background(), 2); !errors.Is(err, batch.ErrClosed) {
		t.Errorf("an item handed in after Close: %v, want ErrClosed", err)
	}
}

// Where commits are paced, the first begins at once, and another when its time has
// come, when a batch is full, or at the end.
func TestCommitsArePaced(t *testing.T) {
	const every = 200 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var got []string
		c := batch.NewPaced(3, batch.Pace{Every: every}, func(items []int) []error {
			got = append(got, fmt.Sprint(time.Since(began), items))
			return nil
		})
		var all sync.WaitGroup
		do := func(items ...int) {
			for _, i := range items {
				all.Go(func() {
					if err := c.Do(t.Context(), i); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
		}
		do(0)
		time.Sleep(50 * time.Millisecond)
		do(1)
		time.Sleep(50 * time.Millisecond)
		do(2)
		time.Sleep(150 * time.Millisecond) // 250 ms: 1 and 2 went at 200
		do(3, 4, 5)                        // full
		do(6)
		time.Sleep(20 * time.Millisecond)
		c.Close() // 270 ms, before its time
		all.Wait()
		want := []string{"0s [0]", "200ms [1 2]", "250ms [3 4 5]", "270ms [6]"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
	})
}

// What was not needed before need not be waited for: whoever comes alone begins at once. In
// the long run there are no more commits than without.
func TestAPaceThatWasNotNeededIsKept(t *testing.T) {
	const every = 200 * time.Millisecond
	tests := map[string]struct {
		apart time.Duration // items
		lasts time.Duration
		late  int // of them begin later than they came
		most  int // commits
	}{
		"alone":       {300 * time.Millisecond, 30 * time.Second, 0, 100},
		"in a row":    {60 * time.Millisecond, 1500 * time.Millisecond, 20, 5 + 8 + 1},
		"for a while": {10 * time.Millisecond, 20 * time.Second, 2000, 5 + 100 + 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				commits, late := 0, 0
				c := batch.NewPaced(1000, batch.Pace{Every: every, Burst: 5}, func(came []time.Time) []error {
					commits++
					for _, at := range came {
						if time.Since(at) > 0 {
							late++
						}
					}
					return nil
				})
				time.Sleep(time.Hour) // which saves no more than the burst
				var all sync.WaitGroup
				for began := time.Now(); time.Since(began) < tt.lasts; time.Sleep(tt.apart) {
					now := time.Now()
					all.Go(func() {
						if err := c.Do(t.Context(), now); err != nil {
							t.Error(err)
						}
					})
				}
				all.Wait()
				c.Close()
				if commits > tt.most || late > tt.late {
					t.Errorf("%d commits, of at most %d; %d items waited, of at most %d", commits, tt.most, late, tt.late)
				}
			})
		})
	}
}

func BenchmarkDo(b *testing.B) {
	c := batch.New(128, func([]int) []error { return nil })
	defer c.Close()
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := c.Do(context.Background(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
