package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// A broker is all topics and subscriptions, in memory and on the disk.
type broker struct {
	now  func() time.Time
	disk *disk
	quit chan struct{}
	wake chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	topics map[string]*pubsubpb.Topic
	subs   map[string]*subscription
	last   int64 // message's number
}

// A pull is somebody who asks for messages.
type pull struct {
	client string
	most   int // out at a time; 0 is any number
	lease  time.Duration
	given  chan struct{} // has room for one: there is something in out
	out    []*pubsubpb.ReceivedMessage
}

func open(dir string, now func() time.Time) (*broker, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	b := &broker{
		now: now, disk: d, quit: make(chan struct{}), wake: make(chan struct{}, 1),
		topics: map[string]*pubsubpb.Topic{}, subs: map[string]*subscription{},
	}
	if err := d.load(b); err != nil {
		return nil, fmt.Errorf("read the database: %w", errors.Join(err, d.close()))
	}
	b.done.Go(b.watch)
	return b, nil
}

func (b *broker) close() error {
	close(b.quit)
	b.done.Wait()
	return b.disk.close()
}

// watch sees to deadlines and to messages that were to wait.
func (b *broker) watch() {
	for {
		b.mu.Lock()
		next := b.turn()
		b.mu.Unlock()
		pause := time.Second
		if !next.IsZero() {
			pause = min(pause, max(next.Sub(b.now()), time.Millisecond))
		}
		timer := time.NewTimer(pause)
		select {
		case <-b.quit:
			timer.Stop()
			return
		case <-b.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// changed has the broker look what can be handed out.
func (b *broker) changed() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// turn hands out what it can, and says when to look again.
func (b *broker) turn() (next time.Time) {
	now := b.now()
	var changes []change
	for _, s := range b.subs {
		over, when := s.over(now)
		for _, i := range over {
			if i.out() { // else it went back with one before it
				i.line.late = true
				changes = append(changes, b.refused(s, i, now)...)
			}
		}
		next = earlier(next, when)
		more, when := s.handOut(now)
		changes, next = append(changes, more...), earlier(next, when)
	}
	if err := b.disk.apply(changes...); err != nil {
		panic(fmt.Errorf("write the database: %w", err))
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// handOut gives each who asks what there is for them, one after the other.
func (s *subscription) handOut(now time.Time) (changes []change, next time.Time) {
	for more := true; more; {
		more = false
		for _, p := range s.pulls {
			if !s.room(p) {
				continue
			}
			i, when := s.next(p.client, now)
			next = earlier(next, when)
			if i == nil {
				continue
			}
			s.give(i, p.client, now.Add(p.lease))
			changes = append(changes, keepItem(s.proto.GetName(), i.message.id, i.attempt))
			p.out = append(p.out, s.received(i))
			select {
			case p.given <- struct{}{}:
			default:
			}
			more = true
		}
	}
	return changes, next
}

func (s *subscription) received(i *item) *pubsubpb.ReceivedMessage {
	m := &pubsubpb.ReceivedMessage{AckId: i.ackID(), Message: i.message.proto}
	if s.proto.GetDeadLetterPolicy() != nil {
		m.DeliveryAttempt = int32(i.attempt)
	}
	return m
}

// refused has an item come again, or hands it to the topic of dead letters.
func (b *broker) refused(s *subscription, i *item, now time.Time) []change {
	if !s.giveBack(i, now) {
		return nil
	}
	m := proto.Clone(i.message.proto).(*pubsubpb.PubsubMessage)
	if m.Attributes == nil {
		m.Attributes = map[string]string{}
	}
	m.Attributes["CloudPubSubDeadLetterSourceSubscription"] = s.proto.GetName()
	m.Attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = fmt.Sprint(i.attempt)
	changes := b.publish(s.proto.GetDeadLetterPolicy().GetDeadLetterTopic(), m, now)
	return append(changes, b.remove(s, i)...)
}

// publish adds the message to each subscription of the topic.
func (b *broker) publish(topic string, m *pubsubpb.PubsubMessage, now time.Time) []change {
	b.last++
	m.MessageId, m.PublishTime = fmt.Sprint(b.last), timestamppb.New(now)
	of := &message{id: b.last, proto: m}
	changes := []change{keepMessage(of.id, m)}
	for name, s := range b.subs {
		if s.proto.GetTopic() == topic {
			s.add(of)
			changes = append(changes, keepItem(name, of.id, 0))
		}
	}
	if of.refs == 0 {
		return append(changes, dropMessage(of.id))
	}
	return changes
}

func (b *broker) remove(s *subscription, i *item) []change {
	s.remove(i)
	changes := []change{dropItem(s.proto.GetName(), i.message.id)}
	if i.message.refs == 0 {
		changes = append(changes, dropMessage(i.message.id))
	}
	return changes
}
