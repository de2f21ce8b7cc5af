package pubsub

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	client "cloud.google.com/go/pubsub/v2"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/panicked"
	circuit "github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	suspectFrom = 3 // deliveries: the first redelivery may be a release's
	fallMost    = 30 * time.Second
	holdLeast   = 50 * time.Millisecond // others have their turn in between
	storeAway   = 5 * time.Second       // until a suspect that could not be counted is looked at again
	newerWaits  = circuit.MaxBackoff
)

// A lease is one delivery in this process.
type lease struct {
	r      *receiver
	m      *client.Message
	parcel parcel
	since  time.Time
	reason string // of the attempt before
}

// keep holds the message for so long. It is false where the message was given
// back, since the receiver ends, or put off, since it was held for too long.
func (l *lease) keep(wait time.Duration) bool {
	if wait > 0 {
		l.r.held.Add(1)
		defer l.r.held.Add(-1)
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-l.r.ctx.Done():
		case <-timer.C:
		}
	}
	if l.r.ctx.Err() != nil {
		l.m.Nack()
		return false
	}
	return true
}

// handle hands the message to the handler once. Where it is to be tried again, wait
// says when: it is held meanwhile.
func (l *lease) handle() (wait time.Duration, again bool) {
	alone := l.suspect()
	waits, cancel := context.WithDeadline(l.r.ctx, l.since.Add(waitMost))
	defer cancel()
	if !l.r.hands.take(waits, alone) {
		if l.r.ctx.Err() != nil {
			l.m.Nack()
			return 0, false
		}
		return l.back(time.Minute)
	}
	defer l.r.hands.drop()
	if alone {
		guilty, err := l.count()
		switch {
		case err != nil:
			return storeAway, true
		case guilty:
			return l.die(l.withFormer("the last attempt ended without a verdict"))
		}
		defer l.acquit()
	}
	l.r.q.inHand(l.r.of, 1)
	v, fell, lost := l.call()
	defer l.r.q.inHand(l.r.of, -1) // not before it is known what becomes of it
	switch {
	case lost: // another has the message, and says what becomes of it
		l.m.Nack()
		return 0, false
	case fell != "":
		return l.fall(fell)
	}
	l.r.met(l.parcel.Key, v.Away())
	return l.settle(v)
}

// call runs the handler: fell says that it ended without a verdict, lost that its
// verdict comes too late.
func (l *lease) call() (v queue.Verdict, fell string, lost bool) {
	ctx, end := context.WithCancelCause(l.r.base)
	defer end(nil)
	l.r.runs(l, end)
	defer l.r.ran(l)
	late := time.AfterFunc(handlerMost, func() { end(errLeaseLost) })
	defer late.Stop()
	done := make(chan struct{})
	fell = "the handler ended its goroutine"
	go func() {
		defer close(done)
		defer func() {
			if recover() != nil { // its value may hold anything: it is not kept
				fell = "the handler panicked" + panicked.Place()
			}
		}()
		v = l.r.handle(ctx, l.parcel.delivery(l.r.sub.Topic))
		fell = ""
	}()
	<-done
	return v, fell, errors.Is(context.Cause(ctx), errLeaseLost) || l.r.wasStopped()
}

// settle does what the verdict says.
func (l *lease) settle(v queue.Verdict) (wait time.Duration, again bool) {
	back := func(after time.Duration, reason string) {
		l.parcel.add(attrAttempt)
		if v.Failed() {
			l.parcel.add(attrFailed)
		}
		l.reason = reason
		wait, again = l.back(after)
	}
	v.Match(queue.Cases{
		Ack:   func() { l.m.Ack() },
		Retry: back, Postpone: back,
		Dead: func(reason string) { wait, again = l.die(reason) },
	})
	return wait, again
}

// back has the message come back: held for a short time, put off for a longer one.
// It is held as well where the store is away.
func (l *lease) back(after time.Duration) (wait time.Duration, again bool) {
	switch held := time.Since(l.since); {
	case after <= hold && held < waitMost && l.r.mayHold():
		return max(after, holdLeast), true
	case l.aside(after):
		return 0, false
	case held+after < leaseMost-handlerMost:
		return max(after, storeAway), true
	}
	l.m.Nack()
	return 0, false
}

// aside writes the message down, to come after the delay, and acks it.
func (l *lease) aside(after time.Duration) (done bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.r.ctx), patience)
	defer cancel()
	if err := l.r.q.shelf.put(ctx, l.r.of, l.parcel.forOne(l.r.sub.Name), after); err != nil {
		return false
	}
	l.m.Ack()
	l.r.nudge(after)
	return true
}

// fall counts that the handler ended without a verdict. That is written down at
// once: this process may be next.
func (l *lease) fall(reason string) (wait time.Duration, again bool) {
	l.parcel.add(attrFell)
	l.parcel.add(attrFailed)
	fell := l.parcel.count(attrFell)
	if fell >= l.r.sub.MaxAttempts {
		return l.die(reason)
	}
	l.parcel.add(attrAttempt)
	l.reason = reason
	after := min(circuit.Backoff(fell), fallMost)
	if l.aside(after) {
		return 0, false
	}
	return after, true
}

// die makes a dead letter of the message. Where the store is away it is handled
// again later: it would say the same.
func (l *lease) die(reason string) (wait time.Duration, again bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.r.ctx), patience)
	defer cancel()
	d := l.parcel.delivery(l.r.sub.Topic)
	died := l.r.q.now()
	k := store.Key{Collection: agenda, UID: l.r.of.uid(), Key: dead.key(died, plain(l.m.ID))}
	record := letter{l.parcel, d.Attempt, strings.ToValidUTF8(reason, "?"), died}
	if err := l.r.q.shelf.write(ctx, k, record, died.Add(keptDead)); err != nil {
		return l.back(hold)
	}
	l.m.Ack()
	return 0, false
}

// suspect says whether the message may have taken a process or a handler down.
func (l *lease) suspect() bool {
	redelivered := l.m.DeliveryAttempt != nil && *l.m.DeliveryAttempt >= suspectFrom
	return redelivered || l.parcel.count(attrFell) > 0
}

// trial is where it is counted how often the message was in hand alone.
func (l *lease) trial() store.Key {
	return store.Key{Collection: agenda, UID: l.r.of.lane(l.parcel.Key), Key: tried.key(l.m.PublishTime.Add(keptTried), plain(l.m.ID))}
}

// count writes down that the message is in hand, so that it is known where it
// takes the process down, and says whether it has too often.
func (l *lease) count() (guilty bool, err error) {
	ctx, cancel := context.WithTimeout(l.r.ctx, patience)
	defer cancel()
	before, err := l.r.q.shelf.again(ctx, l.trial())
	return before+l.parcel.count(attrFell) >= l.r.sub.MaxAttempts, err
}

// acquit takes the count away: the process is alive. Where it stays, the next one
// counts on, and the message is handled alone by each.
func (l *lease) acquit() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.r.ctx), patience)
	defer cancel()
	_ = l.r.q.shelf.remove(ctx, store.Document{Key: l.trial(), Version: store.Any})
}

func (l *lease) withFormer(reason string) string {
	if l.reason != "" {
		reason += "; before: " + l.reason
	}
	return reason
}

// A letter is a dead letter as it is kept.
type letter struct {
	parcel
	Attempt int       `json:"attempt"`
	Reason  string    `json:"reason"`
	Died    time.Time `json:"died"`
}

// letterOf is what the document says.
func letterOf(s subscription, d store.Document) (queue.DeadLetter, error) {
	var kept letter
	if err := json.Unmarshal(d.Data, &kept); err != nil {
		return queue.DeadLetter{}, &fault.Error{Room: "queue", Op: "list dead letters", Class: fault.Broken, Code: "document", Cause: err}
	}
	of := kept.delivery(s.topic)
	of.Attempt = kept.Attempt
	return queue.DeadLetter{
		Delivery: of, ID: s.letter(d.Key.Key), Consumer: s.consumer, Reason: kept.Reason, Died: kept.Died.UTC(),
	}, nil
}

// plain is the message's ID with nothing that a key of a document must not have.
func plain(id string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			return c
		}
		return '_'
	}, id[:min(len(id), 100)])
}
