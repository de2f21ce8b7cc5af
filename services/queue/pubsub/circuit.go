package pubsub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/clarity-loop/clarity/services/store"
)

// circuitWithin is how long a receiver waits for what others know of an outage, and
// to tell them: the store may be what is away.
const circuitWithin = time.Second

func (s subscription) circuit() store.Key {
	return store.Key{Collection: agenda, UID: s.uid(), Key: "circuit"}
}

// met takes note of a verdict. Who meets an outage first asks whether another
// receiver of the subscription has met it; who opens the circuit tells them. So a
// calm time costs nothing, and an outage a few messages and not a few a process.
func (r *receiver) met(key string, away bool) {
	first, opened := r.hands.saw(key, away)
	if !first && opened.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), circuitWithin)
	defer cancel()
	if !opened.IsZero() {
		_ = r.q.shelf.write(ctx, r.of.circuit(), opened, opened.Add(keptDead)) // else each finds out
		return
	}
	d, err := r.q.shelf.Get(ctx, r.of.circuit())
	var until time.Time
	if err == nil && json.Unmarshal(d.Data, &until) == nil {
		r.hands.learn(until)
	}
}
