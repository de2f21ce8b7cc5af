package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// errDead is what everything returns to a process that was killed.
var errDead = errors.New("killed")

// A life says how a simulated person's windows stand.
type life struct {
	fresh, current, empty int // windows without a Result, with a current one, without data
	fails                 error
	broken                int // windows that cannot be read
}

// A world is what outlives processes: blobs and Results.
type world struct {
	mu      sync.Mutex
	blobs   map[string][]byte
	results map[string]result
	people  map[string]life
	others  []string // of whom there is something, and it may be no day
}

type result struct {
	version int64
	current bool
}

// newWorld has n people of each kind of life.
func newWorld(n int) *world {
	w := &world{blobs: map[string][]byte{}, results: map[string]result{}, people: map[string]life{}}
	for i := range n {
		for kind, l := range map[string]life{
			"new": {fresh: 2}, "mixed": {fresh: 1, current: 1, empty: 1}, "known": {current: 3}, "known-and-empty": {current: 1, empty: 2},
			"empty": {empty: 2}, "silent": {fails: analysis.ErrNoConsent}, "gone": {fails: analysis.ErrErased}, "broken": {fresh: 1, broken: 1},
		} {
			uid := fmt.Sprintf("%s-%d", kind, i)
			w.people[uid] = l
			w.blobs[blob.PersonPrefix(blob.KindDays, uid)+"2026-11-01/a"] = nil
			w.blobs[blob.PersonPrefix(blob.KindDays, uid)+"2026-11-02/b"] = nil
			for end := l.fresh; end < l.fresh+l.current; end++ {
				w.results[key(uid, health.Day(end))] = result{1, true}
			}
		}
	}
	return w
}

// counts is what a run that nothing happens to comes to.
func counts(n int64, replace bool) termination.Report {
	r := termination.Report{Subjects: 8 * n, Succeeded: 2 * n, Skipped: 2 * n, Failed: 4 * n,
		Reasons: map[string]int64{ReasonNoData: n, ReasonNoConsent: n, ReasonErased: n, ReasonUnreadableInput: n}}
	if replace {
		r.Succeeded, r.Skipped = 4*n, 0
	}
	return r
}

func key(uid string, end health.Day) string { return fmt.Sprint(uid, "/", int(end)) }

// A process is one attempt's view of the world. It takes a step before and
// after whatever changes the world; at a step it may be killed, or wait.
type process struct {
	*world
	step  func() error
	stops func() // called at each window, before it is touched
}

func (p *process) Pseudonym(_ context.Context, uid string) (string, error) {
	return strings.Repeat("t", 16) + strings.ReplaceAll(uid, ".", "_"), nil
}

func (p *process) Ends(_ context.Context, uid string, _, _ health.Day) (ends []health.Day, err error) {
	l := p.people[uid]
	for end := range l.fresh + l.current + l.empty + l.broken {
		ends = append(ends, health.Day(end))
	}
	return ends, l.fails
}

func (p *process) Look(_ context.Context, req analysis.Request) (analyse.Freshness, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.results[key(req.UID, req.End)]
	return analyse.Freshness{Version: r.version, Current: r.current}, nil
}

func (p *process) Analyse(ctx context.Context, req analysis.Request, order analyse.Order) (analyse.Outcome, int64, error) {
	if p.stops != nil {
		p.stops()
	}
	if err := cmp.Or(ctx.Err(), p.step()); err != nil {
		return 0, 0, err
	}
	l, at := p.people[req.UID], int(req.End)
	p.mu.Lock()
	before := p.results[key(req.UID, req.End)]
	switch {
	case at >= l.fresh+l.current+l.empty:
		p.mu.Unlock()
		return 0, 0, fmt.Errorf("open chunk: %w", analysis.ErrUnreadable)
	case at >= l.fresh+l.current:
		p.mu.Unlock()
		return analyse.NoData, 0, nil
	case before.current && !order.Replace:
		p.mu.Unlock()
		return analyse.Kept, before.version, nil
	}
	p.results[key(req.UID, req.End)] = result{before.version + 1, true}
	p.mu.Unlock()
	return analyse.Stored, before.version + 1, p.step()
}

func (p *process) Put(ctx context.Context, name string, data []byte) (int64, error) {
	if err := cmp.Or(ctx.Err(), p.step()); err != nil {
		return 0, err
	}
	p.mu.Lock()
	_, taken := p.blobs[name]
	if !taken {
		p.blobs[name] = slices.Clone(data)
	}
	p.mu.Unlock()
	if taken {
		return 0, blob.ErrExists
	}
	return 1, p.step()
}

// EachPerson calls see with those whose days there are, and others.
func (p *process) EachPerson(_ context.Context, see func(uid string) error) error {
	p.mu.Lock()
	uids := map[string]bool{}
	for uid := range p.people {
		uids[uid] = true
	}
	for _, uid := range p.others {
		uids[uid] = true
	}
	p.mu.Unlock()
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		if err := see(uid); err != nil {
			return err
		}
	}
	return nil
}

func (p *process) Get(_ context.Context, name string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, ok := p.blobs[name]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return slices.Clone(data), nil
}

func (p *process) Delete(_ context.Context, name string, _ int64) error {
	if err := p.step(); err != nil {
		return err
	}
	p.mu.Lock()
	delete(p.blobs, name)
	p.mu.Unlock()
	return p.step()
}

func (p *process) List(_ context.Context, prefix, after string, limit int) (infos []blob.Info, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(p.blobs)) {
		if strings.HasPrefix(name, prefix) && name > after && len(infos) < limit {
			infos = append(infos, blob.Info{Name: name})
		}
	}
	return infos, nil
}

// Acquire gives the process to its runner.
func (p *process) Acquire(ctx context.Context) (Data, func() error, error) {
	return Data{Stage: p, Blobs: p, People: p, Keys: p}, func() error { return nil }, ctx.Err()
}

func aTask(replace bool) Task {
	return Task{Run: "a-run", Shard: 0, Shards: 1, Start: 20_000, End: 20_006, Replace: replace}
}

// attempt runs a task once in the world.
func attempt(ctx context.Context, t *testing.T, w *world, task Task, number int64, step func() error) (termination.Report, error) {
	t.Helper()
	p := &process{world: w, step: step}
	return runnerOf(t, p, task, number).Run(ctx)
}

func runnerOf(t *testing.T, p *process, task Task, number int64) *Runner {
	t.Helper()
	r, err := New(Needs{Lock: p, Lease: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, task, Attempt{number, fmt.Sprint("pod-", number)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func alive() error { return nil }

// dies is a step function of a process that is killed at step k.
func dies(k int) func() error {
	n := 0
	return func() error {
		if n++; n > k {
			return errDead
		}
		return nil
	}
}
