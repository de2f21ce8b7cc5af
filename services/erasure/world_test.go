package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/queue"
	queuedb "github.com/clarity-loop/clarity/services/queue/sqlite"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	storedb "github.com/clarity-loop/clarity/services/store/sqlite"
)

const (
	anna = "anna"
	ben  = "ben"
)

var errDead = errors.New("the process is dead")

// A world is an erasure over embedded drivers, in a process that can die at any change.
type world struct {
	t      *testing.T
	dir    string
	driver store.Driver
	store  *store.Store
	blobs  *files.Store
	queue  queue.Driver
	keys   *tink.Keyring
	stage  *erasure.Stage
	logs   strings.Builder

	mu      sync.Mutex
	now     time.Time
	changes int
	dieAt   int // at this change; 0 for never
	after   bool
	dead    bool
	audited []audit.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	dir := w.dir
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	documents, err := storedb.Open(t.Context(), dir, w.clock)
	must(err)
	messages, err := queuedb.Open(t.Context(), dir, flow.Consumers(), w.clock)
	must(err)
	w.keys, err = tink.Open(dir + "/keys")
	must(err)
	w.blobs, err = files.Open(dir+"/blobs", w.clock)
	must(err)
	t.Cleanup(func() {
		for _, c := range []io.Closer{documents, messages, w.blobs} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	w.driver, w.queue = documents, messages
	w.store = store.New(&mortalStore{documents, w}, w.keys)
	w.stage = erasure.New(erasure.Needs{Store: w.store, Keys: mortalKeys{w}, Names: w.keys, Blobs: mortalBlobs{w}, Queue: mortalQueue{w}, Relay: nobody{}, Audit: mortalAudit{w},
		Longest: 2 * time.Second, Now: w.clock, Log: slog.New(slog.NewTextHandler(&w.logs, nil))})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// change makes a change, or dies before or behind it.
func (w *world) change(effect func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errDead
	}
	if w.changes++; w.changes == w.dieAt {
		w.dead = true
		if w.after {
			_ = effect()
		}
		return errDead
	}
	return effect()
}

func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.dieAt = false, 0
}

func (w *world) isDead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

type mortalStore struct {
	store.Driver
	w *world
}

func (m *mortalStore) Batch(ctx context.Context, writes []store.Write) (versions []int64, err error) {
	m.w.mu.Lock() // its clock is asked in the transaction
	if m.w.dead {
		m.w.mu.Unlock()
		return nil, errDead
	}
	m.w.changes++
	dies, after := m.w.changes == m.w.dieAt, m.w.after
	m.w.dead = dies
	m.w.mu.Unlock()
	if !dies || after {
		versions, err = m.Driver.Batch(ctx, writes)
	}
	if dies {
		return nil, errDead
	}
	return versions, err
}

func (m *mortalStore) EraseUser(ctx context.Context, uid string) error {
	return m.w.change(func() error { return m.Driver.EraseUser(ctx, uid) })
}

type mortalKeys struct{ w *world }

func (m mortalKeys) Destroy(ctx context.Context, uid string) error {
	return m.w.change(func() error { return m.w.keys.Destroy(ctx, uid) })
}
func (m mortalKeys) Lag() time.Duration { return 0 }

type mortalBlobs struct{ w *world }

func (m mortalBlobs) Delete(ctx context.Context, name string, generation int64) error {
	if err := m.w.change(func() error { return nil }); err != nil {
		return err
	}
	return m.w.blobs.Delete(ctx, name, generation)
}

func (m mortalBlobs) DeletePrefix(ctx context.Context, prefix string) error {
	if err := m.w.change(func() error { return nil }); err != nil {
		return err
	}
	return m.w.blobs.DeletePrefix(ctx, prefix)
}

func (m mortalBlobs) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	return m.w.blobs.List(ctx, prefix, after, limit)
}

type mortalQueue struct{ w *world }

func (m mortalQueue) Forget(ctx context.Context, key string) error {
	if err := m.w.change(func() error { return nil }); err != nil {
		return err
	}
	return m.w.queue.Forget(ctx, key)
}

type mortalAudit struct{ w *world }

func (m mortalAudit) Append(_ context.Context, e audit.Event) error {
	return m.w.change(func() error { m.w.audited = append(m.w.audited, e); return nil })
}

// names are what a person's objects are named by, and were.
func (w *world) names(uid string) []string {
	w.t.Helper()
	pseudonym, err := w.keys.Pseudonym(w.t.Context(), uid)
	if err != nil {
		w.t.Fatal(err)
	}
	return []string{pseudonym, uid}
}

// furnish gives the person something of each kind, n objects among them.
func (w *world) furnish(uid string, n int) {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := w.store.Answer(ctx, uid, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} }); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.Uploads.Put(ctx, uid, "upload-1", 0, record.Upload{State: record.UploadReceived}); err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		for _, kind := range blob.PersonKinds() {
			for _, name := range w.names(uid) { // as it is named now, and as it was by the releases before
				if _, err := w.blobs.Put(ctx, fmt.Sprintf("%s%04d", blob.PersonPrefix(kind, name), i), []byte("x")); err != nil {
					w.t.Fatal(err)
				}
			}
		}
	}
	m, err := queue.JSON(flow.TopicUploads, uid, flow.UploadReceived{UID: uid, UploadID: "upload-1"})
	if err == nil {
		err = w.queue.Publish(ctx, m)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) erase(grace time.Duration) {
	w.t.Helper()
	if _, err := w.store.MarkErased(w.t.Context(), anna, w.clock(), grace, "receipt"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) account() store.Record[record.Account] {
	w.t.Helper()
	a, err := w.store.Accounts.Get(w.t.Context(), anna, record.AccountKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// left names what there still is of the person.
func (w *world) left(uid string) (kinds []string) {
	w.t.Helper()
	ctx := w.t.Context()
	for _, kind := range blob.PersonKinds() {
		for _, name := range w.names(uid) {
			if found, err := w.blobs.List(ctx, blob.PersonPrefix(kind, name), "", 1); err != nil || len(found) > 0 {
				kinds = append(kinds, fmt.Sprint(kind, err))
			}
		}
	}
	if _, err := w.store.Uploads.Get(ctx, uid, "upload-1"); !errors.Is(err, store.ErrNotFound) {
		kinds = append(kinds, "documents")
	}
	return kinds
}

// nobody listens elsewhere.
type nobody struct{}

func (nobody) Forget(context.Context, string) error { return nil }
