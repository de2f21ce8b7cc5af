package pubsub

import (
	"maps"
	"strconv"
	"time"

	client "cloud.google.com/go/pubsub/v2"

	"github.com/clarity-loop/clarity/services/queue"
)

// The attributes of a message.
const (
	attrForm    = "form"
	attrFor     = "for"
	attrBefore  = "nb"
	attrWait    = "wait"
	attrAt      = "at"
	attrAttempt = "attempt"
	attrFailed  = "failed"
	attrFell    = "fell"
	attrTrace   = "traceparent"
)

// form is the one this release writes and reads.
const form = "1"

// A parcel is a message as it travels, or waits.
type parcel struct {
	Key   string            `json:"key"`
	Body  []byte            `json:"body"`
	Attrs map[string]string `json:"attributes"`
}

// newParcel is the message's, which may not be handled before wait is over.
func newParcel(m queue.Message, wait time.Duration) parcel {
	p := parcel{m.Key, m.Body, map[string]string{attrForm: form}}
	if m.Trace != "" {
		p.Attrs[attrTrace] = m.Trace
	}
	if !m.NotBefore.IsZero() {
		p.setTime(attrBefore, m.NotBefore)
		p.Attrs[attrWait] = strconv.FormatInt(int64(wait), 10)
	}
	return p
}

// received is the parcel of a delivery, with when it was first published.
func received(m *client.Message) parcel {
	p := parcel{m.OrderingKey, m.Data, maps.Clone(m.Attributes)}
	if p.Attrs == nil {
		p.Attrs = map[string]string{}
	}
	if p.Attrs[attrAt] == "" {
		p.setTime(attrAt, m.PublishTime)
	}
	return p
}

// forOne is the parcel for one consumer, with no more time to wait.
func (p parcel) forOne(consumer string) parcel {
	p.Attrs = maps.Clone(p.Attrs)
	p.Attrs[attrFor] = consumer
	delete(p.Attrs, attrWait)
	return p
}

// message is the parcel as the client sends it.
func (p parcel) message() *client.Message {
	return &client.Message{Data: p.Body, Attributes: p.Attrs, OrderingKey: p.Key}
}

// readable says whether this release knows the form.
func (p parcel) readable() bool { return p.Attrs[attrForm] == form }

// delivery is what a handler sees.
func (p parcel) delivery(topic string) queue.Delivery {
	return queue.Delivery{
		Message:   queue.Message{Topic: topic, Key: p.Key, Body: p.Body, NotBefore: p.time(attrBefore), Trace: p.Attrs[attrTrace]},
		Attempt:   p.count(attrAttempt) + 1,
		Failed:    p.count(attrFailed),
		Published: p.time(attrAt),
	}
}

func (p parcel) number(attr string) int64 {
	n, _ := strconv.ParseInt(p.Attrs[attr], 10, 64)
	return n
}

func (p parcel) count(attr string) int { return int(min(max(p.number(attr), 0), 1<<30)) }

func (p parcel) add(attr string) { p.Attrs[attr] = strconv.Itoa(p.count(attr) + 1) }

func (p parcel) time(attr string) time.Time {
	if p.Attrs[attr] == "" {
		return time.Time{}
	}
	return time.Unix(0, p.number(attr)).UTC()
}

func (p parcel) setTime(attr string, t time.Time) {
	p.Attrs[attr] = strconv.FormatInt(t.UnixNano(), 10)
}
