package queuetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
)

// A Place is where messages are kept in memory. It is for tests that need a queue
// in a millisecond, or one whose next message they choose.
type Place struct {
	now func() time.Time

	mu      sync.Mutex
	made    int
	topics  map[subscription]*backlog
	changed chan struct{} // closed, and made anew, where a receiver may have something to do
}

type subscription struct{ topic, name string }

// A backlog is what is kept of one subscription.
type backlog struct {
	waiting []*Held // in the order of publication
	letters []queue.DeadLetter
	inHand  map[string]int // by key
	turns   map[string]int // when the key had its last one
	turn    int
}

// Memory is a place without messages.
func Memory(now func() time.Time) *Place {
	return &Place{now: now, topics: map[subscription]*backlog{}, changed: make(chan struct{})}
}

// A MemoryQueue is a queue over a Place.
type MemoryQueue struct {
	*Place
	consumers queue.Consumers
}

// A Held is a message of one subscription: it waits, or is in somebody's hand.
type Held struct {
	queue.Delivery
	of    *backlog
	sub   subscription
	place *Place
	seq   int
	ready time.Time
	falls int
	out   bool
	gone  bool // forgotten
}

// Open opens the place for these consumers. What was in somebody's hand waits again.
func (p *Place) Open(consumers queue.Consumers) *MemoryQueue {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.topics {
		for _, h := range b.waiting {
			h.out = false
		}
		clear(b.inHand)
	}
	return &MemoryQueue{p, consumers}
}

func (p *Place) backlog(s subscription) *backlog {
	b := p.topics[s]
	if b == nil {
		b = &backlog{inHand: map[string]int{}, turns: map[string]int{}}
		p.topics[s] = b
	}
	return b
}

func (p *Place) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Publish keeps the messages for each consumer.
func (q *MemoryQueue) Publish(ctx context.Context, msgs ...queue.Message) error {
	for _, m := range msgs {
		switch {
		case len(m.Body) > queue.MaxBody:
			return fmt.Errorf("publish to %s: a body of %d bytes", m.Topic, len(m.Body))
		case len(q.consumers[m.Topic]) == 0:
			return fmt.Errorf("publish to %s: %w", m.Topic, queue.ErrNoSubscription)
		}
	}
	if err := ctx.Err(); err != nil {
		return queue.Fault("publish", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range msgs {
		m.Body = bytes.Clone(m.Body)
		for _, name := range q.consumers[m.Topic] {
			q.add(subscription{m.Topic, name}, m)
		}
	}
	q.tell()
	return nil
}

func (p *Place) add(s subscription, m queue.Message) {
	p.made++
	now := p.now()
	ready := now
	if m.NotBefore.After(now) {
		ready = now.Add(min(m.NotBefore.Sub(now), queue.MaxDelay))
	}
	b := p.backlog(s)
	b.waiting = append(b.waiting, &Held{Delivery: queue.Delivery{Message: m, Published: now}, of: b, sub: s, place: p, seq: p.made, ready: ready})
}

// Waiting are the messages of a subscription that could be handled now, one of each
// key and those first whose key had its turn longest ago, and when the next will
// be; zero for never.
func (p *Place) Waiting(topic, name string) (could []*Held, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, now := p.backlog(subscription{topic, name}), p.now()
	if len(b.waiting) == 0 {
		return nil, next
	}
	first := map[string]bool{}
	for _, h := range b.waiting {
		switch {
		case h.out || b.inHand[h.Key] > 0 || first[h.Key]:
		case h.ready.After(now):
			if next.IsZero() || h.ready.Before(next) {
				next = h.ready
			}
		default:
			first[h.Key] = true
			could = append(could, h)
		}
	}
	slices.SortFunc(could, func(a, b *Held) int {
		return cmp.Or(cmp.Compare(a.of.turns[a.Key], b.of.turns[b.Key]), cmp.Compare(a.seq, b.seq))
	})
	return could, next
}

// Behind are the messages of a subscription that could be handled but for another of
// their key, which is in a hand or comes first.
func (p *Place) Behind(topic, name string) (behind []*Held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, now := p.backlog(subscription{topic, name}), p.now()
	first := map[string]bool{}
	for _, h := range b.waiting {
		switch {
		case h.out || h.ready.After(now):
		case b.inHand[h.Key] > 0 || first[h.Key]:
			behind = append(behind, h)
		default:
			first[h.Key] = true
		}
	}
	return behind
}

// Take has the message be in a hand.
func (h *Held) Take() queue.Delivery {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	return h.take()
}

func (h *Held) take() queue.Delivery {
	h.out = true
	h.of.inHand[h.Key]++
	h.of.turn++
	h.of.turns[h.Key] = h.of.turn
	h.Attempt++
	return h.Delivery
}

// Settle does what the verdict says.
func (h *Held) Settle(v queue.Verdict) {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	back := func(after time.Duration, _ string) { h.ready = h.place.now().Add(after) }
	h.release()
	if v.Failed() {
		h.Failed++
	}
	v.Match(queue.Cases{Ack: h.remove, Retry: back, Postpone: back, Dead: h.die})
}

// Fall says that nothing came of it: the handler panicked, ended, or its process died.
func (h *Held) Fall(most int, why string) {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	h.release()
	h.Failed++
	if h.falls++; h.falls >= most {
		h.die(why)
	}
}

func (h *Held) release() {
	h.out = false
	if h.of.inHand[h.Key]--; h.of.inHand[h.Key] <= 0 {
		delete(h.of.inHand, h.Key)
	}
	h.place.tell()
}

func (h *Held) remove() {
	h.of.waiting = slices.DeleteFunc(h.of.waiting, func(other *Held) bool { return other == h })
}

func (h *Held) die(why string) {
	h.remove()
	if h.gone {
		return
	}
	h.place.made++
	h.of.letters = append(h.of.letters, queue.DeadLetter{
		Delivery: h.Delivery, ID: strconv.Itoa(h.place.made), Consumer: h.sub.name, Reason: why, Died: h.place.now(),
	})
}

// Dead lists letters.
func (q *MemoryQueue) Dead(ctx context.Context, topic, name, after string, limit int) ([]queue.DeadLetter, error) {
	if limit < 1 || limit > queue.MaxDead {
		return nil, fmt.Errorf("list dead letters of %s: limit %d", topic, limit)
	}
	if err := ctx.Err(); err != nil {
		return nil, queue.Fault("list dead letters", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.backlog(subscription{topic, name}).letters
	if len(all) == 0 && !q.consumers.Has(topic, name) {
		return nil, queue.ErrNoSubscription
	}
	behind, _ := strconv.Atoi(after)
	var page []queue.DeadLetter
	for _, l := range all {
		if n, _ := strconv.Atoi(l.ID); n > behind && len(page) < limit {
			page = append(page, l)
		}
	}
	return page, nil
}

// Replay makes a message of a letter.
func (q *MemoryQueue) Replay(ctx context.Context, letter string) error {
	return q.take(ctx, "replay", letter, func(s subscription, l queue.DeadLetter) error {
		if !q.consumers.Has(s.topic, s.name) {
			return queue.ErrNoSubscription
		}
		q.add(s, l.Message)
		return nil
	})
}

// Drop removes a letter.
func (q *MemoryQueue) Drop(ctx context.Context, letter string) error {
	return q.take(ctx, "drop", letter, func(subscription, queue.DeadLetter) error { return nil })
}

func (q *MemoryQueue) take(ctx context.Context, op, letter string, with func(subscription, queue.DeadLetter) error) error {
	if err := ctx.Err(); err != nil {
		return queue.Fault(op, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for s, b := range q.topics {
		i := slices.IndexFunc(b.letters, func(l queue.DeadLetter) bool { return l.ID == letter })
		if i < 0 {
			continue
		}
		if err := with(s, b.letters[i]); err != nil {
			return err
		}
		b.letters = slices.Delete(b.letters, i, i+1)
		q.tell()
		return nil
	}
	return queue.ErrNoLetter
}

// Forget removes what waits and the letters; what is in a hand leaves nothing.
func (q *MemoryQueue) Forget(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return queue.Fault("forget", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	of := func(k string) bool { return k == key || strings.HasPrefix(k, key+"/") }
	for _, b := range q.topics {
		for _, h := range b.waiting {
			h.gone = h.gone || of(h.Key)
		}
		b.waiting = slices.DeleteFunc(b.waiting, func(h *Held) bool { return h.gone })
		b.letters = slices.DeleteFunc(b.letters, func(l queue.DeadLetter) bool { return of(l.Key) })
	}
	return nil
}

// Ready is always nil.
func (q *MemoryQueue) Ready(ctx context.Context) error { return queue.Fault("ready", ctx.Err()) }

// Depth counts.
func (q *MemoryQueue) Depth(ctx context.Context, topic, name string) (queue.Depth, error) {
	if err := ctx.Err(); err != nil {
		return queue.Depth{}, queue.Fault("count", err)
	}
	if !q.consumers.Has(topic, name) {
		return queue.Depth{}, queue.ErrNoSubscription
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.backlog(subscription{topic, name}).depth(), nil
}

func (b *backlog) depth() (d queue.Depth) {
	for _, h := range b.waiting {
		if h.out {
			d.Leased++
		} else {
			d.Waiting++
		}
	}
	d.Dead = len(b.letters)
	return d
}

// Unclaimed counts what nobody handles.
func (q *MemoryQueue) Unclaimed(ctx context.Context) ([]queue.Backlog, error) {
	if err := ctx.Err(); err != nil {
		return nil, queue.Fault("count unclaimed", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []queue.Backlog
	for _, s := range slices.SortedFunc(maps.Keys(q.topics), func(a, b subscription) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.name, b.name))
	}) {
		if d := q.topics[s].depth(); d != (queue.Depth{}) && !q.consumers.Has(s.topic, s.name) {
			all = append(all, queue.Backlog{Topic: s.topic, Consumer: s.name, Depth: d})
		}
	}
	return all, nil
}
