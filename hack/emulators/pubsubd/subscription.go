package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// A message is one that was published, and is of as many subscriptions as refer to it.
type message struct {
	id    int64
	proto *pubsubpb.PubsubMessage
	refs  int
}

// An item is a message of one subscription: it waits, or is in a client's hands
// until the deadline.
type item struct {
	line     *line
	message  *message
	attempt  int
	ready    time.Time
	deadline time.Time // zero: it waits
	client   string    // that has it
}

func (i *item) out() bool { return !i.deadline.IsZero() }

func (i *item) ackID() string { return fmt.Sprintf("%d:%d", i.message.id, i.attempt) }

// A line is the items of one ordering key, in order; a message without a key is a
// line of its own. While some are out, all go to the one client, and afterwards the
// next, too, where that has room; not where it let a deadline pass.
type line struct {
	items  []*item
	out    int
	client string
	late   bool
}

// A subscription is what is kept for it, and who asks for it. The broker's lock is held.
type subscription struct {
	proto *pubsubpb.Subscription
	items map[int64]*item
	keyed map[string]*line
	ring  []*line // whose turn it is, the first
	held  map[string]int
	pulls []*pull
}

func newSubscription(p *pubsubpb.Subscription) *subscription {
	return &subscription{proto: p, items: map[int64]*item{}, keyed: map[string]*line{}, held: map[string]int{}}
}

func (s *subscription) add(m *message) *item {
	key := m.proto.GetOrderingKey()
	if !s.proto.GetEnableMessageOrdering() {
		key = ""
	}
	l := s.keyed[key]
	if l == nil || key == "" {
		l = &line{}
		s.ring = append(s.ring, l)
		if key != "" {
			s.keyed[key] = l
		}
	}
	i := &item{line: l, message: m}
	m.refs++
	l.items = append(l.items, i)
	s.items[m.id] = i
	return i
}

// remove takes an item out, and its line where it was the last.
func (s *subscription) remove(i *item) {
	s.back(i)
	l := i.line
	l.items = slices.DeleteFunc(l.items, func(other *item) bool { return other == i })
	delete(s.items, i.message.id)
	i.message.refs--
	if len(l.items) > 0 {
		return
	}
	s.ring = slices.DeleteFunc(s.ring, func(other *line) bool { return other == l })
	if key := i.message.proto.GetOrderingKey(); s.keyed[key] == l {
		delete(s.keyed, key)
	}
}

// give has a client have the item.
func (s *subscription) give(i *item, client string, until time.Time) {
	i.attempt++
	i.deadline, i.client = until, client
	i.line.out++
	i.line.client, i.line.late = client, false
	s.held[client]++
}

// back has the item wait again.
func (s *subscription) back(i *item) {
	if !i.out() {
		return
	}
	i.deadline = time.Time{}
	i.line.out--
	if s.held[i.client]--; s.held[i.client] <= 0 {
		delete(s.held, i.client)
	}
}

// named is the item that the ack ID names, where it was not handed out again since.
func (s *subscription) named(ackID string) *item {
	id, attempt, _ := strings.Cut(ackID, ":")
	n, err := strconv.ParseInt(id, 10, 64)
	i := s.items[n]
	if err != nil || i == nil || strconv.Itoa(i.attempt) != attempt {
		return nil
	}
	return i
}

// giveBack has an item that was refused, or whose deadline is over, come again after
// the backoff, and with it all of its key that are out behind it. It is dead where it
// came too often.
func (s *subscription) giveBack(i *item, now time.Time) (dead bool) {
	s.back(i)
	behind := false
	for _, other := range i.line.items {
		if behind {
			s.back(other)
		}
		behind = behind || other == i
	}
	i.ready = now.Add(s.backoff(i.attempt))
	most := s.proto.GetDeadLetterPolicy().GetMaxDeliveryAttempts()
	return most > 0 && i.attempt >= int(most)
}

func (s *subscription) backoff(attempt int) time.Duration {
	policy := s.proto.GetRetryPolicy()
	if policy == nil {
		return 0
	}
	return min(policy.GetMinimumBackoff().AsDuration()<<min(attempt-1, 16), policy.GetMaximumBackoff().AsDuration())
}

// next is the item that the client gets now: the line's whose turn it is. Where there
// is none, when says when there may be, zero for never.
func (s *subscription) next(client string, now time.Time) (found *item, when time.Time) {
	for n, l := range s.ring {
		if l.out > 0 && l.client != client || l.out == 0 && s.elsewhere(l, client) {
			continue
		}
		i := l.head()
		if i == nil {
			continue
		}
		if i.ready.After(now) {
			if when.IsZero() || i.ready.Before(when) {
				when = i.ready
			}
			continue
		}
		s.ring = append(append(s.ring[:n:n], s.ring[n+1:]...), l)
		return i, when
	}
	return nil, when
}

// head is the first item of the line that is not out.
func (l *line) head() *item {
	for _, i := range l.items {
		if !i.out() {
			return i
		}
	}
	return nil
}

// elsewhere says that the line's next item goes to another client, who is there and
// has room.
func (s *subscription) elsewhere(l *line, client string) bool {
	if l.client == "" || (l.client == client) != l.late {
		return false
	}
	return slices.ContainsFunc(s.pulls, func(p *pull) bool { return (p.client == l.client) != l.late && s.room(p) })
}

func (s *subscription) room(p *pull) bool { return p.most <= 0 || s.held[p.client] < p.most }

// over are the items whose deadline is.
func (s *subscription) over(now time.Time) (items []*item, next time.Time) {
	for _, i := range s.items {
		switch {
		case !i.out():
		case !i.deadline.After(now):
			items = append(items, i)
		case next.IsZero() || i.deadline.Before(next):
			next = i.deadline
		}
	}
	slices.SortFunc(items, func(a, b *item) int { return int(a.message.id - b.message.id) })
	return items, next
}
