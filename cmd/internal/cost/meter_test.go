// Package cost_test counts what the platform asks of its drivers, and what that would
// be billed at on Google Cloud: a document read, one written, an object, a message.
//
// The counts are of the contracts' calls and not of a driver: a laptop's and the
// cloud's are asked the same. A list reads each document that it returns, and one
// where there is none; so does a Get of what is not there. A batch of n documents is
// n writes, a check among them one of its own. A look at what is due is billed by
// time and not by upload: what it returns is counted here, that it was taken is not. So
// is whether a tenant has webhooks, which a process reads every five seconds for all
// of its people.
package cost_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// A Kind is what is counted, in the words of the price table.
type Kind string

// The kinds.
const (
	Read    Kind = "read"    // a document
	Write   Kind = "write"   // a document
	Check   Kind = "check"   // a document's version, among the writes of a batch
	Delete  Kind = "delete"  // a document
	Put     Kind = "put"     // an object
	Get     Kind = "get"     // an object
	Message Kind = "message" // published, and delivered to each consumer
	Unwrap  Kind = "unwrap"  // a person's key, in a process that did not have it
	Audit   Kind = "audit"   // an entry
)

// Kinds are all of them, in the order in which they are told.
func Kinds() []Kind { return []Kind{Read, Write, Check, Delete, Put, Get, Message, Unwrap, Audit} }

// Counts are how often what was done, by kind and by what it was done to.
type Counts map[Kind]map[string]int

// Sum is how often the kind was done.
func (c Counts) Sum(k Kind) (sum int) {
	for _, n := range c[k] {
		sum += n
	}
	return sum
}

// String is a line a kind: the sum, and what it is made of.
func (c Counts) String() string {
	var out strings.Builder
	for _, k := range Kinds() {
		var parts []string
		for _, of := range slices.Sorted(maps.Keys(c[k])) {
			parts = append(parts, fmt.Sprintf("%s %d", of, c[k][of]))
		}
		line := fmt.Sprintf("  %-8s %4d   %s", k, c.Sum(k), strings.Join(parts, ", "))
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

// A Meter counts what drivers are asked.
type Meter struct {
	mu     sync.Mutex
	counts Counts
	looks  int
	swept  int
	keys   map[string]bool // the people whose key this process has
}

// NewMeter is a meter of a process that has nobody's key yet.
func NewMeter() *Meter { return &Meter{counts: Counts{}, keys: map[string]bool{}} }

// Take returns what was counted since the last time.
func (m *Meter) Take() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.counts
	m.counts, m.looks = Counts{}, 0
	return taken
}

// Looks is how many shards were looked at for what is due since the last Take.
func (m *Meter) Looks() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks
}

// Listed is how often objects were listed: a sweep, which is no upload's.
func (m *Meter) Listed() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swept
}

func (m *Meter) add(k Kind, of string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[k] == nil {
		m.counts[k] = map[string]int{}
	}
	m.counts[k][of] += n
}

// Over is the drivers with the meter in front of each.
func (m *Meter) Over(d platform.Drivers) platform.Drivers {
	d.Store = over(d.Store, func(s store.Driver) store.Driver { return &documents{s, m} })
	d.Blobs = over(d.Blobs, func(b blob.Store) blob.Store { return &objects{b, m} })
	d.Queue = over(d.Queue, func(q queue.Driver) queue.Driver { return &messages{q, m} })
	d.Keys = over(d.Keys, func(k platform.Keyring) platform.Keyring { return &keys{k, m} })
	d.Audit = over(d.Audit, func(l audit.Log) audit.Log { return &entries{l, m} })
	return d
}

func over[T any](openers map[string]platform.Opener[T], in func(T) T) map[string]platform.Opener[T] {
	metered := map[string]platform.Opener[T]{}
	for name, open := range openers {
		metered[name] = func(ctx context.Context, at string, e platform.Env) (T, error) {
			driver, err := open(ctx, at, e)
			if err != nil {
				return driver, err
			}
			return in(driver), nil
		}
	}
	return metered
}

type documents struct {
	store.Driver
	m *Meter
}

func (d *documents) Get(ctx context.Context, k store.Key) (store.Document, error) {
	d.m.add(Read, k.Collection, 1)
	return d.Driver.Get(ctx, k)
}

func (d *documents) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	docs, err := d.Driver.List(ctx, q)
	if q.Collection != "endpoints" {
		d.m.add(Read, q.Collection, max(1, len(docs)))
	}
	return docs, err
}

func (d *documents) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) ([]store.Document, error) {
	docs, err := d.Driver.Due(ctx, collections, shard, before, limit)
	d.m.mu.Lock()
	d.m.looks++
	d.m.mu.Unlock()
	if len(docs) > 0 {
		d.m.add(Read, "due", len(docs))
	}
	return docs, err
}

func (d *documents) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	for _, w := range writes {
		kind := Write
		switch {
		case w.Check:
			kind = Check
		case w.Data == nil:
			kind = Delete
		}
		d.m.add(kind, w.Key.Collection, 1)
	}
	return d.Driver.Batch(ctx, writes)
}

type objects struct {
	blob.Store
	m *Meter
}

// kindOf is the first word of an object's name.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, "/")
	return kind
}

func (o *objects) Put(ctx context.Context, name string, data []byte) (int64, error) {
	o.m.add(Put, kindOf(name), 1)
	return o.Store.Put(ctx, name, data)
}

func (o *objects) Renew(ctx context.Context, name string) (int64, error) {
	o.m.add(Put, kindOf(name), 1)
	return o.Store.Renew(ctx, name)
}

func (o *objects) Stat(ctx context.Context, name string) (blob.Info, error) {
	o.m.add(Get, kindOf(name), 1)
	return o.Store.Stat(ctx, name)
}

func (o *objects) Get(ctx context.Context, name string) ([]byte, error) {
	o.m.add(Get, kindOf(name), 1)
	return o.Store.Get(ctx, name)
}

func (o *objects) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	infos, err := o.Store.List(ctx, prefix, after, limit)
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	o.m.swept++
	return infos, err
}

type messages struct {
	queue.Driver
	m *Meter
}

func (q *messages) Publish(ctx context.Context, msgs ...queue.Message) error {
	for i := range msgs {
		q.m.add(Message, msgs[i].Topic, 1)
	}
	return q.Driver.Publish(ctx, msgs...)
}

type keys struct {
	platform.Keyring
	m *Meter
}

// need counts a key that the process did not have.
func (k *keys) need(uid string) {
	k.m.mu.Lock()
	known := k.m.keys[uid]
	k.m.keys[uid] = true
	k.m.mu.Unlock()
	if !known {
		k.m.add(Unwrap, "key", 1)
	}
}

func (k *keys) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	k.need(uid)
	return k.Keyring.Seal(ctx, uid, name, plaintext)
}

func (k *keys) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	k.need(uid)
	return k.Keyring.Open(ctx, uid, name, ciphertext)
}

type entries struct {
	audit.Log
	m *Meter
}

func (l *entries) Append(ctx context.Context, e audit.Event) error {
	l.m.add(Audit, string(e.Action), 1)
	return l.Log.Append(ctx, e)
}
