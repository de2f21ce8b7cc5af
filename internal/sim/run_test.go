package sim_test

import (
	"fmt"
	"iter"
	"slices"
	"testing/synctest"
	"time"
)

// The times of a run.
const (
	// bound is within what everything is done once nothing is in its way: clocks
	// that differ by four hours at most, and an hour between two askings.
	bound = 6 * time.Hour
	// settled is when the last look behind an erasure is over, too, and what nobody
	// refers to has served its time.
	settled = 60 * time.Hour
	// mostSteps is far more than any run takes.
	mostSteps = 100_000
)

// run is the whole of a seed: people and trouble, then rest. It returns what the
// platform did wrong.
func (w *world) run() (faults []string) {
	time.Sleep(time.Until(began()))
	defer w.end()
	w.loom.began = time.Now()
	w.populate()
	synctest.Wait()
	for !w.peopleDone() {
		if w.loom.steps > mostSteps {
			return append(w.faults, "the people never come to an end: "+w.standing())
		}
		w.trouble()
		w.step(time.Time{})
	}
	w.rest()
	return w.faults
}

// end stops whatever still runs.
func (w *world) end() {
	for _, r := range w.processes {
		r.dying = true
	}
	for len(w.loom.parked) > 0 {
		w.loom.kill(func(*task) bool { return true })
	}
}

func (w *world) peopleDone() bool {
	return !slices.ContainsFunc(w.people, func(p *person) bool { return p.done < p.devices })
}

// trouble is what goes wrong by itself.
func (w *world) trouble() {
	switch {
	case w.loom.chance(1) && len(w.gone) == 0:
		room := []string{"store", "blob", "queue", "keyring", "audit", "identity"}[w.loom.random.IntN(6)]
		w.gone[room] = true
		w.outage = time.Now().Add(time.Duration(w.loom.random.Int64N(int64(time.Hour))))
		w.loom.note(room+" is away", happens)
	case len(w.gone) > 0 && !w.outage.After(time.Now()):
		w.loom.note("all are back", happens)
		clear(w.gone)
	case w.loom.chance(1):
		if r := w.processes[w.loom.random.IntN(len(w.processes))]; r.passes["retention"] != nil && !r.dying {
			w.pass(r, "retention")
		}
	}
}

// A move is one thing that can happen next.
type move func()

// step has one thing happen, at once where something can, else when something
// will, but not behind until. It reports false where nothing ever will.
func (w *world) step(until time.Time) bool {
	w.revive()
	ready, next := w.loom.waiting()
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	moves := w.deliveries(sooner)
	moves = append(moves, w.looks(sooner)...)
	if len(w.gone) > 0 {
		sooner(w.outage)
	}
	if w.listening.Load() > 0 {
		sooner(time.Now().Add(time.Second))
	}
	for _, r := range w.processes {
		if r.dying {
			sooner(r.up)
		}
	}
	switch {
	case !w.calm && len(ready) > 0 && w.loom.chance(30):
		w.sleep(time.Duration(w.loom.random.Int64N(int64(300 * time.Millisecond))))
	case len(moves) > 0 && (len(ready) == 0 || w.loom.chance(250)):
		moves[w.loom.random.IntN(len(moves))]()
	case len(ready) > 0:
		w.turn(ready[w.loom.random.IntN(len(ready))])
	case next.IsZero() || !until.IsZero() && next.After(until):
		return false
	default:
		w.sleep(max(time.Until(next), time.Millisecond))
	}
	return true
}

func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// deliveries are the messages that can be handed out.
func (w *world) deliveries(sooner func(time.Time)) (moves []move) {
	for _, sub := range w.subscriptions {
		could, next := w.place.Waiting(sub.topic, sub.consumer)
		sooner(next)
		if !w.calm && w.loom.chance(60) { // two of a key at once, or out of turn
			could = append(w.place.Behind(sub.topic, sub.consumer), could...)
		}
		if len(could) == 0 || len(w.able(sub.at)) == 0 {
			continue
		}
		h := could[0]
		if !w.calm && w.loom.chance(150) {
			h = could[w.loom.random.IntN(len(could))]
		}
		moves = append(moves, func() { w.deliver(sub.at, h) })
	}
	for i, g := range w.ghosts {
		if able := w.able(g.topic); len(able) > 0 && !g.at.After(time.Now()) {
			moves = append(moves, func() {
				w.ghosts = slices.Delete(w.ghosts, i, i+1)
				w.handle(able[w.loom.random.IntN(len(able))], g.topic, g.delivery, "ghost ", nil)
			})
		} else {
			sooner(g.at)
		}
	}
	return moves
}

// due are the collections that are looked at, by who does.
func (w *world) due() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		_ = yield("agenda", []string{"agenda", "uploads"}) && yield("erasures", []string{"accounts"})
	}
}

// looks are the processes that would find something due.
func (w *world) looks(sooner func(time.Time)) (moves []move) {
	for what, collections := range w.due() {
		var next time.Time
		for _, c := range collections {
			if at := w.memory.Next(c); next.IsZero() || !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		if next.IsZero() || time.Until(next) > 1000*time.Hour {
			continue
		}
		for _, r := range w.processes {
			if r.passes[what] == nil || r.dying || r.running(what) {
				continue
			}
			again := r.looked[what].Add(min(200*time.Millisecond<<min(r.quiet[what], 10), time.Minute))
			at := next.Add(-r.skew)
			if again.After(at) {
				at = again
			}
			if at.After(time.Now()) {
				sooner(at)
				continue
			}
			moves = append(moves, func() { w.pass(r, what) })
		}
	}
	return moves
}

// standing says what still runs, for who looks for what never ends.
func (w *world) standing() string {
	ready, next := w.loom.waiting()
	text := fmt.Sprintf("next at %v", next)
	for _, s := range ready {
		text += "\n  " + s.what
	}
	return text
}
