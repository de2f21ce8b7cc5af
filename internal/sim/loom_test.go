package sim_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// A loom has goroutines take turns. Each stops before every call of a driver, and
// goes on when the loom says so: one at a time, in an order that the seed
// determines. So a run can be repeated, whatever the machine does beside it.
type loom struct {
	random *rand.Rand // of the one goroutine that weaves
	began  time.Time
	steps  int
	sum    hash.Hash64
	tell   func(line string) // nil: nobody reads the trace

	mu     sync.Mutex
	parked []*stop
	alive  int // tasks
}

// A task is one thing that runs: the handling of a message, a look at what is due,
// a request, a phone.
type task struct {
	name    string
	replica *replica // nil of a phone
	pass    string   // "" of what is none
	began   int      // the step
	dead    bool
}

// A stop is where a task waits for its turn.
type stop struct {
	what  string
	of    *task
	from  time.Time // not before
	goOn  chan fate
	calls bool // it is a driver's call, in which something may go wrong
}

// A fate is what becomes of a call.
type fate int

const (
	happens fate = iota
	failsBefore
	failsBehind // it is done, and the answer is an error
	dies        // with its process, before it is done
	diesBehind  // with its process, after it is done
)

type taskKey struct{}

func newLoom(seed uint64) *loom {
	return &loom{random: rand.New(rand.NewPCG(seed, 0x100)), sum: fnv.New64a()}
}

// start runs a task.
func (l *loom) start(ctx context.Context, t *task, run func(ctx context.Context)) {
	t.began = l.steps
	l.mu.Lock()
	l.alive++
	l.mu.Unlock()
	go func() {
		defer func() {
			l.mu.Lock()
			l.alive--
			l.mu.Unlock()
		}()
		run(context.WithValue(ctx, taskKey{}, t))
	}()
}

// wait has the task of the context wait for its turn.
func (l *loom) wait(t *task, what string, from time.Time, calls bool) fate {
	s := &stop{what: t.name + " " + what, of: t, from: from, goOn: make(chan fate), calls: calls}
	l.mu.Lock()
	if t.dead {
		l.mu.Unlock()
		return t.over()
	}
	l.parked = append(l.parked, s)
	l.mu.Unlock()
	f := <-s.goOn
	if f == dies {
		return t.over()
	}
	return f
}

// over ends a phone where it stands; a process's calls fail until it has noticed.
func (t *task) over() fate {
	if t.replica == nil {
		runtime.Goexit()
	}
	return dies
}

// waiting are those whose time has come, in an order that is the same in each run,
// and when the next one's comes; zero for never.
func (l *loom) waiting() (ready []*stop, next time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.parked {
		if !s.from.After(now) {
			ready = append(ready, s)
		} else if next.IsZero() || s.from.Before(next) {
			next = s.from
		}
	}
	slices.SortFunc(ready, func(a, b *stop) int { return cmp.Compare(a.what, b.what) })
	return ready, next
}

// release has one go on, and waits until all stand still again.
func (l *loom) release(s *stop, f fate) {
	l.note(s.what, f)
	l.mu.Lock()
	l.parked = slices.DeleteFunc(l.parked, func(other *stop) bool { return other == s })
	l.mu.Unlock()
	s.goOn <- f
	synctest.Wait()
}

// kill has every call of the tasks fail from now on.
func (l *loom) kill(of func(*task) bool) {
	l.mu.Lock()
	var dead []*stop
	l.parked = slices.DeleteFunc(l.parked, func(s *stop) bool {
		if of(s.of) {
			s.of.dead = true
			dead = append(dead, s)
			return true
		}
		return false
	})
	l.mu.Unlock()
	for _, s := range dead {
		s.goOn <- dies
	}
	synctest.Wait()
}

// note enters what happens into the trace.
func (l *loom) note(what string, f fate) {
	l.steps++
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(time.Since(l.began)))
	_, _ = l.sum.Write(at[:])
	_, _ = l.sum.Write([]byte(what))
	_, _ = l.sum.Write([]byte{byte(f)})
	if l.tell != nil {
		l.tell(fmt.Sprintf("%6d %14s  %s%s", l.steps, time.Since(l.began).Round(time.Millisecond), what, f))
	}
}

// aside is told of a call's outcome.
func (l *loom) aside(what string) {
	if l.tell != nil {
		l.tell("                         → " + what)
	}
}

func (f fate) String() string {
	return []string{"", "  [fails before]", "  [done, and fails]", "  [dies before]", "  [done, and dies]"}[f]
}

// chance is true so often of a thousand.
func (l *loom) chance(of int) bool { return l.random.IntN(1000) < of }
