package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A body holds what came of it; what is free costs nothing.
func TestWhatABodyHolds(t *testing.T) {
	m := New(8 << 20)
	s := m.Open("anna")
	for _, tt := range []struct{ want, free int64 }{{1, 8 << 20}, {Free, 8 << 20}, {Free + 1, 8<<20 - Free - 1}, {1 << 20, 7 << 20}, {1 << 19, 7 << 20}, {6 << 20, 2 << 20}} {
		if !s.Grow(t.Context(), tt.want) || m.free != tt.free {
			t.Errorf("%d: %d are free, want %d", tt.want, m.free, tt.free)
		}
	}
	s.Close()
	s.Close()
	if m.free != 8<<20 || m.holding != 0 || len(m.large) != 0 {
		t.Errorf("afterwards %+v", m)
	}
}

// waits runs grow where it cannot go on, until it can.
func waits(t *testing.T, s *Share, bytes int64) (done func() bool) {
	t.Helper()
	told := make(chan bool, 1)
	go func() { told <- s.Grow(t.Context(), bytes) }()
	synctest.Wait()
	select {
	case ok := <-told:
		t.Fatalf("it does not wait: %v", ok)
	default:
	}
	return func() bool {
		synctest.Wait()
		select {
		case ok := <-told:
			return ok
		default:
			t.Helper()
			t.Fatal("it waits still")
			return false
		}
	}
}

func TestOneLargeBodyOfAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(8 << 20)
		first, second, other := m.Open("anna"), m.Open("anna"), m.Open("ben")
		if !first.Grow(t.Context(), 1<<20) || !second.Grow(t.Context(), Free) || !other.Grow(t.Context(), 1<<20) {
			t.Fatal("there was room")
		}
		done := waits(t, second, Free+1)
		first.Close()
		if !done() {
			t.Error("the person's second is refused behind the first")
		}
	})
}

func TestSmallBodiesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(8 << 20)
		large := m.Open("a")
		if !large.Grow(t.Context(), 6<<20) {
			t.Fatal("there was room")
		}
		if larger := m.Open("b"); larger.Grow(ended(), 2<<20) {
			t.Error("a large one took what is kept for small ones")
		}
		if third := m.Open("c"); !third.Grow(t.Context(), medium) {
			t.Error("there is room for a small one")
		} else {
			third.Close()
		}
		big, small := m.Open("d"), m.Open("e")
		bigDone := waits(t, big, 6<<20)
		if !small.Grow(t.Context(), medium) {
			t.Error("a small one waits behind a large one")
		}
		if !m.Open("g").Grow(t.Context(), medium) {
			t.Error("nor does the last one")
		}
		smaller := m.Open("f")
		smallerDone := waits(t, smaller, Free+1)
		small.Close()
		if !smallerDone() {
			t.Error("the smallest is refused")
		}
		smaller.Close()
		m.large["g"].Close()
		large.Close()
		if !bigDone() {
			t.Error("the large one is refused when there is room")
		}
	})
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Where everybody waits for everybody, the largest is refused and the others go on.
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(8 << 20)
		a, b := m.Open("a"), m.Open("b")
		if !a.Grow(t.Context(), 3<<20) || !b.Grow(t.Context(), 3<<20) {
			t.Fatal("there was room")
		}
		aDone := waits(t, a, 5<<20)
		if b.Grow(t.Context(), 6<<20) {
			t.Error("the larger one went on")
		}
		b.Close()
		if !aDone() {
			t.Error("the smaller one is refused, too")
		}
		a.Close()
		if m.free != 8<<20 || m.holding != 0 {
			t.Errorf("afterwards %+v", m)
		}
	})
}

// Whatever many bodies do: nothing is given twice, all of it comes back.
func TestMemoryAtRest(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			m := New(8 << 20)
			var group sync.WaitGroup
			for i := range 30 {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				group.Go(func() {
					for range 10 {
						s := m.Open(fmt.Sprint("person ", r.IntN(8)))
						ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
						for size := int64(Free); size < 1<<r.IntN(24); size *= 2 {
							time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
							if !s.Grow(ctx, size) {
								break
							}
							m.mu.Lock()
							if m.free < 0 {
								t.Errorf("%d are free", m.free)
							}
							m.mu.Unlock()
						}
						cancel()
						s.Close()
					}
				})
			}
			group.Wait()
			if m.free != 8<<20 || m.holding != 0 || len(m.large) != 0 || len(m.waiting) != 0 {
				t.Errorf("seed %d: at rest %d free, %d holding, %d large, %d waiting", seed, m.free, m.holding, len(m.large), len(m.waiting))
			}
		})
	}
}
