package sim_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

var errAway = errors.New("away")

func away(room, op string) error {
	return &fault.Error{Room: room, Op: op, Class: fault.Unavailable, Code: "away", Cause: errAway}
}

// call is one call of a driver by a replica: it waits for its turn, happens, and
// ends as its fate says. It is idle where nothing can come of it.
func (r *replica) call(ctx context.Context, room, op, on string, do func() error) error {
	t, _ := ctx.Value(taskKey{}).(*task)
	if t == nil { // a request: the server that was built before the run knows no task
		t = r.request
	}
	if r.dying || t.dead {
		return away(room, op)
	}
	f := r.world.loom.wait(t, room+"."+op+" "+on, time.Time{}, true)
	switch {
	case f == dies:
		return away(room, op)
	case f == failsBefore || r.world.gone[room]:
		return away(room, op)
	}
	err := do()
	if r.world.loom.tell != nil && err != nil {
		r.world.loom.aside(err.Error())
	}
	switch f {
	case failsBehind:
		return away(room, op)
	case diesBehind:
		t.dead = true
		r.world.doomed = append(r.world.doomed, r)
		return away(room, op)
	}
	return err
}

// documents are the store as a replica has it.
type documents struct{ *replica }

func placeOf(k store.Key) string {
	if k.Collection == "exports" {
		return "exports/" + k.UID // by a random id
	}
	return k.Collection + "/" + k.UID + "/" + k.Key
}

func (d documents) Get(ctx context.Context, k store.Key) (doc store.Document, err error) {
	err = d.call(ctx, "store", "get", placeOf(k), func() error { doc, err = d.world.store.Get(ctx, k); return err })
	return doc, err
}

func (d documents) Batch(ctx context.Context, writes []store.Write) (versions []int64, err error) {
	on := make([]string, len(writes))
	for i, w := range writes {
		on[i] = placeOf(w.Key)
		switch {
		case w.Check:
			on[i] = "?" + on[i]
		case w.Data == nil:
			on[i] = "-" + on[i]
		}
	}
	err = d.call(ctx, "store", "batch", strings.Join(on, " "), func() error {
		d.world.tells(writes)
		versions, err = d.world.store.Batch(ctx, writes)
		if err == nil {
			d.world.wrote(ctx, writes)
		}
		return err
	})
	return versions, err
}

func (d documents) List(ctx context.Context, q store.Query) (docs []store.Document, err error) {
	err = d.call(ctx, "store", "list", q.Collection+"/"+q.UID+"/"+q.From+q.After, func() error { docs, err = d.world.store.List(ctx, q); return err })
	return docs, err
}

func (d documents) Tail(ctx context.Context, collection, uid, after string) (tokens <-chan struct{}, err error) {
	err = d.call(ctx, "store", "tail", collection+"/"+uid+"/"+after, func() error { tokens, err = d.world.store.Tail(ctx, collection, uid, after); return err })
	return tokens, err
}

// Due takes no turn where there is nothing: of that there is no other order.
func (d documents) Due(ctx context.Context, collections []string, shard int, before time.Time, limit int) (docs []store.Document, err error) {
	docs, err = d.world.memory.Due(ctx, collections, shard, before, limit)
	if err != nil || len(docs) == 0 && !d.world.shown[shard] {
		return nil, err
	}
	d.world.shown[shard] = true
	err = d.call(ctx, "store", "due", docsPlace(shard), func() error { docs, err = d.world.store.Due(ctx, collections, shard, before, limit); return err })
	return docs, err
}

func docsPlace(shard int) string { return string(rune('A'+shard/8)) + string(rune('0'+shard%8)) }

func (d documents) People(ctx context.Context, after string, limit int) (uids []string, err error) {
	err = d.call(ctx, "store", "people", after, func() error { uids, err = d.world.store.People(ctx, after, limit); return err })
	return uids, err
}

func (d documents) EraseUser(ctx context.Context, uid string) error {
	return d.call(ctx, "store", "erase", uid, func() error { return d.world.store.EraseUser(ctx, uid) })
}

func (d documents) Ready(ctx context.Context) error { return d.world.store.Ready(ctx) }

// objects are the blobs as a replica has them.
type objects struct{ *replica }

// nameOf is a name without what is random in it.
func nameOf(name string) string {
	if kind, _, _, ok := blob.SplitPerson(name); ok && kind != blob.KindUploads {
		return name[:strings.LastIndexByte(name, '/')]
	}
	return name
}

func (o objects) Put(ctx context.Context, name string, data []byte) (generation int64, err error) {
	err = o.call(ctx, "blob", "put", nameOf(name), func() error { generation, err = o.world.blobs.Put(ctx, name, data); return err })
	return generation, err
}

func (o objects) Renew(ctx context.Context, name string) (generation int64, err error) {
	err = o.call(ctx, "blob", "renew", nameOf(name), func() error { generation, err = o.world.blobs.Renew(ctx, name); return err })
	return generation, err
}

func (o objects) Stat(ctx context.Context, name string) (info blob.Info, err error) {
	err = o.call(ctx, "blob", "stat", nameOf(name), func() error { info, err = o.world.blobs.Stat(ctx, name); return err })
	return info, err
}

func (o objects) Get(ctx context.Context, name string) (data []byte, err error) {
	err = o.call(ctx, "blob", "get", nameOf(name), func() error { data, err = o.world.blobs.Get(ctx, name); return err })
	return data, err
}

func (o objects) Delete(ctx context.Context, name string, generation int64) error {
	return o.call(ctx, "blob", "delete", nameOf(name), func() error { return o.world.blobs.Delete(ctx, name, generation) })
}

func (o objects) DeletePrefix(ctx context.Context, prefix string) error {
	return o.call(ctx, "blob", "delete prefix", prefix, func() error { return o.world.blobs.DeletePrefix(ctx, prefix) })
}

func (o objects) List(ctx context.Context, prefix, after string, limit int) (infos []blob.Info, err error) {
	err = o.call(ctx, "blob", "list", prefix, func() error { infos, err = o.world.blobs.List(ctx, prefix, after, limit); return err })
	slices.SortFunc(infos, func(a, b blob.Info) int { // what is random in names decides on no order
		return cmp.Or(strings.Compare(nameOf(a.Name), nameOf(b.Name)), cmp.Compare(a.Generation, b.Generation))
	})
	return infos, err
}

// messages are the queue as a replica has it: nobody receives by it, the world
// hands deliveries out.
type messages struct {
	queue.Driver
	*replica
}

func (m messages) Publish(ctx context.Context, msgs ...queue.Message) error {
	topics := make([]string, len(msgs))
	for i, msg := range msgs {
		topics[i] = msg.Topic + "/" + msg.Key
	}
	return m.call(ctx, "queue", "publish", strings.Join(topics, " "), func() error {
		if len(msgs) > 1 && m.world.unlucky() { // any of them may be seen
			_ = m.Driver.Publish(ctx, msgs[:1]...)
			return away("queue", "publish")
		}
		return m.Driver.Publish(ctx, msgs...)
	})
}

func (m messages) Forget(ctx context.Context, key string) error {
	return m.call(ctx, "queue", "forget", key, func() error { return m.Driver.Forget(ctx, key) })
}

// ring is the keys as a replica has them: most calls are of memory, and take no turn.
type ring struct {
	*keyringtest.MemoryRing
	*replica
}

func (k ring) Seal(ctx context.Context, uid, name string, plaintext []byte) ([]byte, error) {
	if err := k.keysAway("seal"); err != nil {
		return nil, err
	}
	return k.MemoryRing.Seal(ctx, uid, name, plaintext)
}

func (k ring) Open(ctx context.Context, uid, name string, ciphertext []byte) ([]byte, error) {
	if err := k.keysAway("open"); err != nil {
		return nil, err
	}
	return k.MemoryRing.Open(ctx, uid, name, ciphertext)
}

func (k ring) keysAway(op string) error {
	if k.world.gone["keyring"] || k.dying {
		return away("keyring", op)
	}
	return nil
}

func (k ring) Destroy(ctx context.Context, uid string) error {
	return k.call(ctx, "keyring", "destroy", uid, func() error { return k.MemoryRing.Destroy(ctx, uid) })
}

func (k ring) Renew(ctx context.Context, uid string, life int) error {
	return k.call(ctx, "keyring", "renew", uid, func() error { return k.MemoryRing.Renew(ctx, uid, life) })
}

var _ keyring.Keyring = ring{}

// ledger is the audit log as a replica has it.
type ledger struct{ *replica }

func (l ledger) Append(ctx context.Context, e audit.Event) error {
	return l.call(ctx, "audit", "append", string(e.Action)+" "+e.UID, func() error {
		l.world.audited = append(l.world.audited, e)
		return nil
	})
}

func (l ledger) Verify(context.Context) (int64, error) { return int64(len(l.world.audited)), nil }

// passport knows everybody by their token, which is their uid.
type passport struct{ *replica }

func (p passport) Verify(_ context.Context, token string) (identity.Subject, error) {
	if p.world.gone["identity"] {
		return identity.Subject{}, identity.ErrUnavailable
	}
	return identity.Subject{UID: token, AuthTime: time.Now(), Expires: time.Now().Add(time.Hour)}, nil
}

// Fresh is Verify: nobody is revoked.
func (p passport) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	return p.Verify(ctx, token)
}
