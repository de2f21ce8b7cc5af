package pubsub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// Documents is what the queue needs of a store: a place of its own for what
// Pub/Sub cannot keep. A store that has them, too, spares reads: Stirring, see package
// store, and Count(ctx, store.Query) (int, error), which counts without reading.
type Documents interface {
	Get(ctx context.Context, k store.Key) (store.Document, error)
	Batch(ctx context.Context, writes []store.Write) (versions []int64, err error)
	List(ctx context.Context, q store.Query) ([]store.Document, error)
}

// A shelf keeps what waits, what died and what is suspect.
type shelf struct {
	Documents
	now func() time.Time
}

const (
	agenda = "agenda" // the collection
	lanes  = 4        // of each subscription
	page   = 200      // documents a query
	claims = time.Minute

	keptDead  = 30 * 24 * time.Hour
	keptTried = 8 * 24 * time.Hour // a message lives for seven days
)

// A kind is what the keys of like documents begin with.
type kind string

const (
	later kind = "later:"
	dead  kind = "dead:"
	tried kind = "tried:"
)

// behindAll is behind each time of a kind's.
const behindAll = "g"

func stamp(t time.Time) string { return fmt.Sprintf("%016x", max(t.UnixMicro(), 0)) }

// from is the first key of the kind with the time or a later one.
func (k kind) from(t time.Time) string { return string(k) + stamp(t) }

func (k kind) key(t time.Time, id string) string { return k.from(t) + ":" + id }

// query is all of the kind that the uid has.
func (k kind) query(uid string) store.Query {
	return store.Query{Collection: agenda, UID: uid, From: string(k), To: string(k) + behindAll, Limit: page}
}

// time is the one in a key of the kind.
func (k kind) time(key string) time.Time {
	var micros int64
	if rest, ok := strings.CutPrefix(key, string(k)); ok && len(rest) > 16 {
		_, _ = fmt.Sscanf(rest[:16], "%x", &micros)
	}
	return time.UnixMicro(micros)
}

// uid is where the letters of a subscription are.
func (s subscription) uid() string { return s.topic + ":" + s.consumer }

// lane is where what waits is, of the person the key is of.
func (s subscription) lane(key string) string {
	owner, _, _ := strings.Cut(key, "/")
	h := fnv.New32a()
	_, _ = h.Write([]byte(owner))
	return s.numbered(int(h.Sum32() % lanes))
}

func (s subscription) numbered(lane int) string { return fmt.Sprintf("%s:%02d", s.uid(), lane) }

func (s subscription) lanes() []string {
	all := make([]string, lanes)
	for i := range all {
		all[i] = s.numbered(i)
	}
	return all
}

// A waiting is a parcel on the shelf.
type waiting struct {
	parcel
	Wait time.Duration `json:"wait"`
}

// put has a parcel wait.
func (s shelf) put(ctx context.Context, sub subscription, p parcel, wait time.Duration) error {
	wait = min(max(wait, 0), queue.MaxDelay)
	due := s.now().Add(wait)
	return s.write(ctx, store.Key{Collection: agenda, UID: sub.lane(p.Key), Key: later.key(due, unique())}, waiting{p, wait}, due)
}

func (s shelf) write(ctx context.Context, k store.Key, value any, due time.Time) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = s.Batch(ctx, []store.Write{{Key: k, IfVersion: store.Any, Data: data, Due: due}})
	if errors.Is(err, store.ErrUnknown) { // under this key it is written once
		_, err = s.Batch(ctx, []store.Write{{Key: k, IfVersion: store.Any, Data: data, Due: due}})
	}
	return err
}

func unique() string {
	var b [10]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// due is what the lane has that is due, and nobody has claimed.
func (s shelf) due(ctx context.Context, lane string) ([]store.Document, error) {
	now := s.now()
	q := later.query(lane)
	q.To = later.from(now.Add(time.Microsecond))
	docs, err := s.List(ctx, q)
	if err != nil {
		return nil, err
	}
	free := docs[:0]
	for _, d := range docs {
		if !d.Due.After(now) || d.Due.After(now.Add(2*claims)) { // a clock that was ahead has claimed nothing
			free = append(free, d)
		}
	}
	return free, nil
}

// claim makes the document this process's for a while; mine is false where
// another was first.
func (s shelf) claim(ctx context.Context, d store.Document) (version int64, mine bool, err error) {
	versions, err := s.Batch(ctx, []store.Write{{Key: d.Key, IfVersion: d.Version, Data: d.Data, Due: s.now().Add(claims)}})
	if errors.Is(err, store.ErrConflict) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	return versions[0], true, nil
}

// remove takes documents of one uid away, in the versions given: nobody else has
// what is claimed, and what is gone is gone.
func (s shelf) remove(ctx context.Context, docs ...store.Document) error {
	for len(docs) > 0 {
		n := min(len(docs), store.MaxBatch)
		writes := make([]store.Write, n)
		for i, d := range docs[:n] {
			writes[i] = store.Write{Key: d.Key, IfVersion: d.Version}
		}
		if _, err := s.Batch(ctx, writes); err != nil {
			return err
		}
		docs = docs[n:]
	}
	return nil
}

// each lists all that the query finds, a page at a time.
func (s shelf) each(ctx context.Context, q store.Query, do func([]store.Document) error) error {
	for {
		docs, err := s.List(ctx, q)
		if err != nil {
			return err
		}
		if len(docs) > 0 {
			q.After = docs[len(docs)-1].Key.Key
			if err := do(docs); err != nil {
				return err
			}
		}
		if len(docs) < q.Limit {
			return nil
		}
	}
}

// count counts what the query finds.
func (s shelf) count(ctx context.Context, q store.Query) (n int, err error) {
	if counter, can := s.Documents.(interface {
		Count(ctx context.Context, q store.Query) (int, error)
	}); can {
		return counter.Count(ctx, q)
	}
	q.Limit = store.MaxLimit
	err = s.each(ctx, q, func(docs []store.Document) error {
		n += len(docs)
		return nil
	})
	return n, err
}

// waits counts what waits of the subscription.
func (s shelf) waits(ctx context.Context, sub subscription) (n int, err error) {
	for _, lane := range sub.lanes() {
		more, err := s.count(ctx, later.query(lane))
		if err != nil {
			return 0, err
		}
		n += more
	}
	return n, nil
}

// again counts that a suspect is in hand, and tells how often it was before.
func (s shelf) again(ctx context.Context, k store.Key) (before int, err error) {
	d, err := s.Get(ctx, k)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	if err == nil {
		if err := json.Unmarshal(d.Data, &before); err != nil {
			return 0, err
		}
	}
	return before, s.write(ctx, k, before+1, s.now().Add(keptTried))
}

// forget removes what is the key's, or begins with it and a slash.
func (s shelf) forget(ctx context.Context, sub subscription, key string) error {
	for _, q := range []store.Query{later.query(sub.lane(key)), dead.query(sub.uid())} {
		err := s.each(ctx, q, func(docs []store.Document) error {
			var theirs []store.Document
			for _, d := range docs {
				var p parcel
				if err := json.Unmarshal(d.Data, &p); err != nil {
					return err
				}
				if p.Key == key || strings.HasPrefix(p.Key, key+"/") {
					d.Version = store.Any
					theirs = append(theirs, d)
				}
			}
			return s.remove(ctx, theirs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// expire removes what has served its time: letters, counts of messages that are no
// more, and a circuit that nobody opened for long.
func (s shelf) expire(ctx context.Context, sub subscription) error {
	now := s.now()
	old := dead.query(sub.uid())
	old.From, old.To = "circuit", dead.from(now.Add(-keptDead))
	all := []store.Query{old}
	for _, lane := range sub.lanes() {
		q := tried.query(lane)
		q.To = tried.from(now)
		all = append(all, q)
	}
	for _, q := range all {
		err := s.each(ctx, q, func(docs []store.Document) error {
			docs = slices.DeleteFunc(docs, func(d store.Document) bool { return d.Due.After(now) })
			return s.remove(ctx, docs...)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
