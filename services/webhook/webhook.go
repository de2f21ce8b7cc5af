// Package webhook tells the servers of a tenant what is new of its people.
//
// A service of the tenant registers an endpoint, an https address. For each event
// that a person of the tenant is told it is sent a POST of the event: which person,
// which event, what to fetch. Never what that holds.
//
//	{"type":"result.stored","timestamp":"2026-11-20T07:00:00Z",
//	 "data":{"userId":"…","id":"000000000000002a","ref":"2026-11-20","version":"…"}}
//
// # Requests
//
// They are signed as Standard Webhooks says, by every secret that is live: webhook-id,
// the same each time that the event is sent; webhook-timestamp, of this request; and
// webhook-signature, v1 (HMAC-SHA256) and v1a (Ed25519) over the three. A 2xx within 15
// seconds says that the event was taken. Anything else, a redirect too, has it sent
// again, ever more rarely, for 24 hours. 410 says that nothing is to be sent any more. An
// event may be sent more than once, and overtaken by others: the numbers are in order.
//
// # Addresses
//
// Only addresses of the public internet are spoken to. The name is resolved for each
// connection, every address of it is looked at, and the connection is made to one of
// those: nobody resolves it again. No redirect is followed and no proxy asked.
//
// # Circuits
//
// Where five requests to an endpoint fail in a row, this process asks it by one at a
// time, first after half a minute and then ever more rarely; what is new waits in the
// queue, for as long as it is left alone. No more than four requests are made to an
// endpoint at a time, and no more than a quarter of all to those of a tenant, so that
// slow ones leave room for the others'. What finds no room comes again when those before
// it are through, by how long requests take. None of this asks the store.
//
// # What is kept
//
// Of what was taken nothing. What was not is kept with the tenant until a week after it was
// tried last, with how often that was and what came of it, and can be sent anew once it is
// given up. An errand on the tenant's agenda, written in one batch with it, has it go then.
// An erasure removes it by the person's marks; see Book.Forget.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

// The errors of who registers.
var (
	ErrURL  = errors.New("webhook: an address that nothing is sent to")
	ErrMany = errors.New("webhook: there are as many endpoints as a tenant has")
	// ErrSettled is of an event that is not sent anew: it is not given up, or too old, or
	// its endpoint is gone.
	ErrSettled = errors.New("webhook: an event that is not sent anew")
)

// A Publisher has the servers be told; a queue is one.
type Publisher interface {
	Publish(ctx context.Context, msgs ...queue.Message) error
}

// A Book is the endpoints of all tenants.
type Book struct {
	store *store.Store
	queue Publisher
	now   func() time.Time

	mu    sync.Mutex
	known map[string]known // by tenant
}

// known is whether a tenant had endpoints then.
type known struct {
	any  bool
	read time.Time
}

const (
	// believed is how long a process believes what it read of whether a tenant has endpoints.
	believed = 5 * time.Second
	// remembered bounds the tenants of whom it is.
	remembered = 10_000
)

// NewBook is the book in the store.
func NewBook(s *store.Store, q Publisher, now func() time.Time) *Book {
	return &Book{store: s, queue: q, now: now, known: map[string]known{}}
}

// owner is the uid under which a tenant's endpoints lie. No person has it: it has a sign
// in it that no uid has.
func owner(tenant string) string { return "=webhooks:" + tenant }

func ownerOf(uid string) string {
	tenant, _ := identity.Tenant(uid)
	return owner(tenant)
}

// Endpoints are the tenant's, by their ids.
func (b *Book) Endpoints(ctx context.Context, tenant string) ([]store.Record[hook.Endpoint], error) {
	return b.store.Endpoints.List(ctx, owner(tenant), store.Query{Limit: store.MaxLimit})
}

// registered is the key of a mark of the tenant's own: it changes with each endpoint that
// comes to be, so that what was counted before holds.
const registered = "registered"

// tries is how often what others change meanwhile is tried: no more can be first than
// there are endpoints.
const tries = hook.Most + 2

// Create has an endpoint be told of the kinds, of all where there is none, from a few
// seconds on. It is ErrURL or ErrMany where that cannot be.
func (b *Book) Create(ctx context.Context, tenant, url string, kinds []flow.EventKind) (id string, e hook.Endpoint, err error) {
	if err := CheckURL(url); err != nil {
		return "", e, err
	}
	id = hex.EncodeToString(random(16))
	e = hook.Endpoint{Tenant: tenant, URL: url, Kinds: kinds, Secrets: []hook.Secret{newSecret()}, CreatedAt: b.now().UTC()}
	for range tries {
		mark, err := b.store.Marks.Get(ctx, owner(tenant), registered) // before they are counted
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", e, err
		}
		there, err := b.Endpoints(ctx, tenant)
		if err != nil {
			return "", e, err
		}
		if len(there) >= hook.Most {
			return "", e, ErrMany
		}
		_, err = b.store.Batch(ctx, owner(tenant), b.store.Endpoints.ToPut(id, 0, e), b.store.Marks.ToPut(registered, mark.Version, hook.Mark{}))
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return "", e, fmt.Errorf("write an endpoint: %w", err)
		}
		b.forgetTenant(tenant)
		return id, e, nil
	}
	return "", e, fmt.Errorf("write an endpoint: %w", store.ErrConflict)
}

// Rotate gives the endpoint a new secret; the one before signs for a day more.
func (b *Book) Rotate(ctx context.Context, tenant, id string) (hook.Endpoint, error) {
	found, err := b.store.Endpoints.Get(ctx, owner(tenant), id)
	if err != nil {
		return found.Value, err
	}
	before := found.Value.Secrets[0]
	before.Until = b.now().UTC().Add(hook.Overlap)
	found.Value.Secrets = []hook.Secret{newSecret(), before}
	if _, err = b.store.Endpoints.Put(ctx, owner(tenant), id, found.Version, found.Value); err != nil {
		return found.Value, fmt.Errorf("write an endpoint: %w", err)
	}
	return found.Value, nil
}

// Delete has the endpoint be told nothing more, and what it missed go. It goes last
// itself: where a call comes to no end, the next goes on.
func (b *Book) Delete(ctx context.Context, tenant, id string) error {
	found, err := b.store.Endpoints.Get(ctx, owner(tenant), id)
	if err == nil && found.Value.GoneAt.IsZero() {
		err = b.gone(ctx, found)
	}
	if err != nil {
		return err
	}
	b.forgetTenant(tenant)
	for more := true; more; {
		missed, err := b.store.Missed.List(ctx, owner(tenant), store.Query{From: id + "-", To: id + ".", Limit: store.MaxBatch})
		if err != nil {
			return err
		}
		for _, m := range missed {
			if err := b.remove(ctx, m.Value.UID, m.Key); err != nil {
				return err
			}
		}
		more = len(missed) == store.MaxBatch
	}
	return b.store.Endpoints.Delete(ctx, owner(tenant), id, store.Any)
}

// Missed lists what the endpoint has not taken, the newest first, behind the one of
// the id. Their keys are the endpoint's id, a dash and their own.
func (b *Book) Missed(ctx context.Context, tenant, id, after string, limit int) ([]store.Record[hook.Missed], error) {
	if _, err := b.store.Endpoints.Get(ctx, owner(tenant), id); err != nil {
		return nil, err
	}
	q := store.Query{From: id + "-", To: id + ".", Descending: true, Limit: limit}
	if after != "" {
		q.After = id + "-" + after
	}
	return b.store.Missed.List(ctx, owner(tenant), q)
}

// Replay has what was given up be sent anew, for another 24 hours. It is ErrSettled
// where it is tried anyway, is no longer listed, or nothing is sent to its endpoint.
func (b *Book) Replay(ctx context.Context, tenant, id, event string) (hook.Missed, error) {
	m, version, err := b.take(ctx, tenant, id, id+"-"+event)
	if err != nil {
		return m, err
	}
	err = b.publish(ctx, hooking.Due{UID: m.UID, First: m.Number, Endpoint: id, Again: true, Begun: b.now().UTC(),
		Events: []hooking.Event{{Kind: string(m.Kind), Ref: m.Ref, Version: m.Version, At: m.At}}})
	if err != nil {
		m.State = hook.Failed
		_, back := b.store.Missed.Put(ctx, owner(tenant), id+"-"+event, version, m)
		return m, errors.Join(err, back)
	}
	return m, nil
}

// take has what was given up be pending, for one of all who ask.
func (b *Book) take(ctx context.Context, tenant, id, key string) (m hook.Missed, version int64, err error) {
	for range tries {
		endpoint, err := b.store.Endpoints.Get(ctx, owner(tenant), id)
		if err != nil {
			return m, 0, err
		}
		found, err := b.store.Missed.Get(ctx, owner(tenant), key)
		if err != nil {
			return m, 0, err
		}
		m = found.Value
		if m.State != hook.Failed || b.now().Sub(m.Last) >= hook.Kept || !endpoint.Value.GoneAt.IsZero() {
			return m, 0, ErrSettled
		}
		m.State = hook.Pending
		versions, err := b.store.Batch(ctx, owner(tenant), b.store.Missed.ToPut(key, found.Version, m), b.store.Endpoints.ToCheck(id, endpoint.Version))
		if err == nil {
			return m, versions[0], nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return m, 0, fmt.Errorf("have an event be sent anew: %w", err)
		}
	}
	return m, 0, fmt.Errorf("have an event be sent anew: %w", store.ErrConflict)
}

// Wants says whether the person's tenant has endpoints, as of some seconds ago; where
// that cannot be read it may have.
func (b *Book) Wants(ctx context.Context, uid string) bool {
	tenant, _ := identity.Tenant(uid)
	now := b.now()
	b.mu.Lock()
	k, there := b.known[tenant]
	b.mu.Unlock()
	if age := now.Sub(k.read); there && age < believed && age >= 0 {
		return k.any
	}
	endpoints, err := b.store.Endpoints.List(ctx, owner(tenant), store.Query{Limit: 1})
	if err != nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= remembered {
		clear(b.known)
	}
	b.known[tenant] = known{len(endpoints) > 0, now}
	return len(endpoints) > 0
}

func (b *Book) forgetTenant(tenant string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, tenant)
}

// Tell has the endpoints be told of events, the first under the number.
func (b *Book) Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error {
	due := hooking.Due{UID: uid, First: first}
	for _, e := range events {
		due.Events = append(due.Events, hooking.Event{Kind: string(e.Kind), Ref: e.Ref, Version: e.Version, At: e.At})
	}
	return b.publish(ctx, due)
}

func (b *Book) publish(ctx context.Context, all ...hooking.Due) error {
	msgs := make([]queue.Message, len(all))
	for i, due := range all {
		key := due.UID
		if due.Endpoint != "" {
			key += "/" + due.Endpoint
		}
		var err error
		if msgs[i], err = queue.JSON(hooking.Topic, key, due); err != nil {
			return err
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	if err := b.queue.Publish(ctx, msgs...); err != nil {
		return fmt.Errorf("publish what is to be sent: %w", err)
	}
	return nil
}

// Forget removes what was missed of the person's events. The marks say what that is,
// also where their own key is destroyed.
func (b *Book) Forget(ctx context.Context, uid string) error {
	for more := true; more; {
		keys, err := b.store.Marks.Keys(ctx, uid, store.MaxBatch)
		if err != nil {
			return fmt.Errorf("list what was missed: %w", err)
		}
		for _, key := range keys {
			if err := b.remove(ctx, uid, key); err != nil {
				return err
			}
		}
		more = len(keys) == store.MaxBatch
	}
	return nil
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

func newSecret() hook.Secret { return hook.Secret{HMAC: random(32), Seed: random(32)} }
