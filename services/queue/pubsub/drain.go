package pubsub

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	look     = 2 * time.Second // between two looks at what is due, about
	atOnce   = 16              // of a lane, published at a time
	tidyUp   = time.Hour
	patience = 10 * time.Second // with the store, for one verdict
)

// drain publishes what is due of the receiver's subscription, until ctx is done.
// What the store cannot tell is looked for again.
func (r *receiver) drain(ctx context.Context) {
	if ctx.Err() == nil {
		r.boundWaits(ctx)
	}
	tidied := time.Time{}
	for {
		if r.q.now().Sub(tidied).Abs() > tidyUp {
			tidied = r.q.now()
			_ = r.q.shelf.expire(ctx, r.of)
		}
		for _, lane := range r.stirring(ctx) {
			r.drainLane(ctx, lane)
		}
		if !r.rest(ctx) {
			return
		}
	}
}

// rest sleeps until it is time to look again: soon where this process has put
// something off for less.
func (r *receiver) rest(ctx context.Context) (goOn bool) {
	pause := look/2 + rand.N(look) //nolint:gosec // no secret
	for {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			return true
		case wait := <-r.nudges:
			timer.Stop()
			pause = min(pause, wait)
		}
	}
}

// nudge has the drain look no later than after the wait.
func (r *receiver) nudge(wait time.Duration) {
	if wait >= look {
		return
	}
	select {
	case r.nudges <- wait + time.Millisecond:
	default: // it looks in any case
	}
}

// stirring are the lanes that may have something due: all, where the store cannot tell.
func (r *receiver) stirring(ctx context.Context) []string {
	all := r.of.lanes()
	teller, can := r.q.shelf.Documents.(interface {
		Stirring(ctx context.Context, before time.Time) ([]int, error)
	})
	if !can {
		return all
	}
	shards, err := teller.Stirring(ctx, r.q.now())
	if err != nil {
		return nil
	}
	stirs := map[int]bool{}
	for _, shard := range shards {
		stirs[shard] = true
	}
	some := all[:0]
	for _, lane := range all {
		if stirs[store.ShardOf(lane)] {
			some = append(some, lane)
		}
	}
	return some
}

func (r *receiver) drainLane(ctx context.Context, lane string) {
	for ctx.Err() == nil {
		docs, err := r.q.shelf.due(ctx, lane)
		if err != nil || len(docs) == 0 {
			return
		}
		rand.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] }) //nolint:gosec // no secret: others look, too
		hands := make(chan struct{}, atOnce)
		var all sync.WaitGroup
		for _, d := range docs {
			hands <- struct{}{}
			all.Go(func() {
				r.publish(ctx, d)
				<-hands
			})
		}
		all.Wait()
		if len(docs) < page {
			return
		}
	}
}

// publish sends what was put off on its way again: claimed first, so that one
// process does, and deleted once the service has it. What fails in between comes
// again when the claim has run out.
func (r *receiver) publish(ctx context.Context, d store.Document) {
	var w waiting
	if err := json.Unmarshal(d.Data, &w); err != nil {
		return // it stays, and is counted
	}
	version, mine, err := r.q.shelf.claim(ctx, d)
	if err != nil || !mine {
		return
	}
	if err := r.q.send(ctx, r.of.topic, w.parcel).wait(ctx); err != nil {
		return
	}
	d.Version = version
	done, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = r.q.shelf.remove(done, d) // else it is published twice
}

// boundWaits has nothing wait longer than it could by this clock, whatever the
// clock was that put it off.
func (r *receiver) boundWaits(ctx context.Context) {
	now := r.q.now()
	for _, lane := range r.of.lanes() {
		_ = r.q.shelf.each(ctx, later.query(lane), func(docs []store.Document) error {
			for _, d := range docs {
				var w waiting
				if json.Unmarshal(d.Data, &w) != nil {
					continue
				}
				wait := min(w.Wait, queue.MaxDelay)
				if later.time(d.Key.Key).Sub(now) <= wait+time.Second {
					continue
				}
				if err := r.q.shelf.move(ctx, d, now.Add(wait)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// move has a document be due at another time: under another key.
func (s shelf) move(ctx context.Context, d store.Document, due time.Time) error {
	to := d.Key
	to.Key = later.key(due, unique())
	_, err := s.Batch(ctx, []store.Write{
		{Key: d.Key, IfVersion: d.Version},
		{Key: to, IfVersion: 0, Data: d.Data, Due: due},
	})
	return err
}
