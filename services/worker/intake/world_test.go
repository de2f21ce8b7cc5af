package intake_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

const person = "anna:canary@example.org"

var errCrashed = errors.New("crashed at /data/days/4f/" + person)

// A world is everything around the stage, in memory. It can die: at the n-th
// change, before or after it took effect, and from then on answers nothing.
type world struct {
	mu       sync.Mutex
	docs     map[store.Key]store.Document
	versions int64
	objects  map[string][]byte
	erased   bool
	lost     bool // the key
	sealed   atomic.Int64

	changes int
	dieAt   int  // 0: never
	after   bool // the change that it dies at takes effect
	dead    bool

	steps   int         // looks and changes
	between func(n int) // called before each of them, if not nil

	now     time.Time
	store   *store.Store
	stage   *intake.Stage
	windows *due.Windows
	asked   messages
	logs    bytes.Buffer
}

// messages are those that were published.
type messages struct {
	mu  sync.Mutex
	all []queue.Message
}

func (m *messages) Publish(_ context.Context, msgs ...queue.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, msgs...)
	return nil
}

func newWorld() *world {
	w := &world{docs: map[store.Key]store.Document{}, objects: map[string][]byte{}, now: time.Date(2026, 4, 2, 9, 0, 0, 0, time.UTC)}
	w.store = store.New((*driver)(w), (*keys)(w))
	now := func() time.Time { return w.now }
	w.windows = &due.Windows{Store: w.store, Now: now, Quiet: time.Second}
	w.stage = intake.New(intake.Needs{Store: w.store, Windows: w.windows, Objects: vault.New((*blobs)(w), (*keys)(w)), News: news.NewBook(w.store, now),
		Queue: &w.asked, Now: now, Log: slog.New(slog.NewTextHandler(&w.logs, &slog.HandlerOptions{ReplaceAttr: timeless}))})
	return w
}

// words are the messages, in order.
func (m *messages) words() (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, msg := range m.all {
		all = append(all, msg.Topic+" "+msg.Key+" "+string(msg.Body))
	}
	return all
}

// change runs one side effect, or dies.
func (w *world) change(effect func() error) error {
	w.step()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errCrashed
	}
	if w.changes++; w.changes == w.dieAt {
		w.dead = true
		if w.after {
			_ = effect()
		}
		return errCrashed
	}
	return effect()
}

func (w *world) step() {
	w.mu.Lock()
	w.steps++
	n, between := w.steps, w.between
	w.mu.Unlock()
	if between != nil {
		between(n)
	}
}

func (w *world) look(read func() error) error {
	w.step()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errCrashed
	}
	return read()
}

// dieNext lets the process die at the next change, after it took effect.
func (w *world) dieNext() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dieAt, w.after = w.changes+1, true
}

func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.dieAt = false, 0
}

type driver world

func (d *driver) Get(_ context.Context, k store.Key) (doc store.Document, err error) {
	err = (*world)(d).look(func() error {
		var ok bool
		if doc, ok = d.docs[k]; !ok {
			return store.ErrNotFound
		}
		return nil
	})
	return doc, err
}

func (d *driver) Batch(_ context.Context, writes []store.Write) (versions []int64, err error) {
	if err := store.CheckBatch(writes); err != nil {
		return nil, err
	}
	err = (*world)(d).change(func() error {
		for _, w := range writes {
			if w.IfVersion != store.Any && w.IfVersion != d.docs[w.Key].Version {
				return store.ErrConflict
			}
		}
		versions = make([]int64, len(writes))
		for i, w := range writes {
			switch {
			case w.Check:
				versions[i] = w.IfVersion
			case w.Data == nil:
				delete(d.docs, w.Key)
			default:
				d.versions++
				versions[i] = d.versions
				d.docs[w.Key] = store.Document{Key: w.Key, Version: d.versions, Updated: d.now, Due: w.Due, Data: w.Data}
			}
		}
		return nil
	})
	return versions, err
}

func (d *driver) List(_ context.Context, q store.Query) (docs []store.Document, err error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	err = (*world)(d).look(func() error {
		for k, doc := range d.docs {
			if k.Collection == q.Collection && k.UID == q.UID && k.Key > q.After && k.Key >= q.From && (q.To == "" || k.Key < q.To) {
				docs = append(docs, doc)
			}
		}
		slices.SortFunc(docs, func(a, b store.Document) int { return strings.Compare(a.Key.Key, b.Key.Key) })
		if q.Descending {
			slices.Reverse(docs)
		}
		docs = docs[:min(len(docs), q.Limit)]
		return nil
	})
	return docs, err
}

func (d *driver) Tail(context.Context, string, string, string) (<-chan struct{}, error) {
	return nil, nil
}
func (d *driver) Due(context.Context, []string, int, time.Time, int) ([]store.Document, error) {
	return nil, nil
}
func (d *driver) People(context.Context, string, int) ([]string, error) { return nil, nil }
func (d *driver) EraseUser(context.Context, string) error               { return nil }
func (d *driver) Ready(context.Context) error                           { return nil }

type blobs world

// Put counts on names that are taken by nobody else, as the stage's are.
func (b *blobs) Put(_ context.Context, name string, data []byte) (int64, error) {
	if err := blob.CheckName(name); err != nil {
		return 0, err
	}
	return 1, (*world)(b).change(func() error {
		if _, taken := b.objects[name]; taken {
			return blob.ErrExists
		}
		b.objects[name] = bytes.Clone(data)
		return nil
	})
}

func (b *blobs) Get(_ context.Context, name string) (data []byte, err error) {
	err = (*world)(b).look(func() error {
		var ok bool
		if data, ok = b.objects[name]; !ok {
			return blob.ErrNotFound
		}
		return nil
	})
	return bytes.Clone(data), err
}

func (b *blobs) Renew(context.Context, string) (int64, error)    { panic("a name is taken") }
func (b *blobs) Stat(context.Context, string) (blob.Info, error) { panic("a name is taken") }
func (b *blobs) Delete(context.Context, string, int64) error     { panic("a name is taken") }

// keys seal by writing the name in front, and a number that no other has.
type keys world

func (k *keys) Seal(_ context.Context, uid, name string, plain []byte) ([]byte, error) {
	if k.erased {
		return nil, keyring.ErrDestroyed
	}
	return append(fmt.Appendf(nil, "%s\n%s\n%016x", uid, name, k.sealed.Add(1)), plain...), nil
}

func (k *keys) Open(_ context.Context, uid, name string, sealed []byte) ([]byte, error) {
	if k.erased {
		return nil, keyring.ErrDestroyed
	}
	if k.lost {
		return nil, keyring.Fault("open", keyring.ErrNoKey)
	}
	plain, ok := bytes.CutPrefix(sealed, []byte(uid+"\n"+name+"\n"))
	if !ok || len(plain) < 16 {
		return nil, keyring.ErrTampered
	}
	return plain[16:], nil
}

func (k *keys) Pseudonym(_ context.Context, uid string) (string, error) {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(uid))), nil
}

// An arrival is an upload as the ingress leaves it.
type arrival struct {
	id       string
	body     []byte
	received time.Time
}

func (w *world) consent(t testing.TB, granted bool) {
	t.Helper()
	if _, err := w.store.Answer(t.Context(), person, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: granted} }); err != nil {
		t.Fatal(err)
	}
}

func (w *world) arrive(t testing.TB, a arrival) {
	t.Helper()
	name := blob.PersonPrefix(blob.KindUploads, person) + a.id + "/0"
	sealed, err := (*keys)(w).Seal(t.Context(), person, name, a.body)
	if err != nil {
		t.Fatal(err)
	}
	w.objects[name] = sealed
	record := record.Upload{Blob: name, Encoding: "identity", Bytes: len(a.body), ReceivedAt: a.received, State: record.UploadReceived}
	if _, err := w.store.Batch(t.Context(), person, w.store.Uploads.ToPut(a.id, 0, record).At(a.received)); err != nil {
		t.Fatal(err)
	}
}

// handle has the stage handle the upload's message, and returns its verdict in words.
func (w *world) handle(t testing.TB, id string, attempt int) string {
	t.Helper()
	body, err := json.Marshal(flow.UploadReceived{UID: person, UploadID: id})
	if err != nil {
		t.Fatal(err)
	}
	return stagetest.Word(w.stage.Handle(t.Context(), queue.Delivery{Message: queue.Message{Topic: flow.TopicUploads, Key: person, Body: body}, Attempt: attempt, Failed: attempt - 1}))
}

func (w *world) upload(t testing.TB, id string) record.Upload {
	t.Helper()
	r, err := w.store.Uploads.Get(t.Context(), person, id)
	if err != nil {
		t.Fatal(err)
	}
	return r.Value
}

// A state is all that must not depend on the order of uploads, or on a crash.
type state struct {
	Days       map[string]string // record without its object's name, and the chunk's bytes
	Tombstones string
	Cursors    map[string]record.Cursor
}

func (w *world) state(t testing.TB) state {
	t.Helper()
	ctx := t.Context()
	s := state{Days: map[string]string{}, Cursors: map[string]record.Cursor{}}
	days, err := w.store.Days.List(ctx, person, store.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		chunk := w.plain(t, d.Value.Chunk)
		d.Value.Chunk = ""
		for i, r := range d.Value.Series {
			chunk = append(chunk, w.points(t, r)...)
			d.Value.Series[i].Blob = ""
		}
		measured := *d.Value.Measured
		d.Value.Measured = nil
		s.Days[d.Key] = fmt.Sprintf("%+v %+v %x", d.Value, measured, chunk)
	}
	if g, err := w.store.Tombstones.Get(ctx, person, record.TombstonesKey); err == nil {
		s.Tombstones = fmt.Sprintf("%d %x", g.Value.Count, w.plain(t, g.Value.Blob))
	}
	cursors, err := w.store.Synced(ctx, person)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.Cursors, cursors.Value.Types)
	truth, err := w.store.Digest(ctx, person)
	if err != nil {
		t.Fatal(err)
	}
	for i := range truth.Days { // one that was written with the digest has no version there
		if h := cursors.Value.Held; h != nil && i < len(h.Days) && h.Days[i].Version == held.Unread {
			truth.Days[i].Version = held.Unread
		}
	}
	if diff := cmp.Diff(truth, cursors.Value.Held, cmpopts.EquateEmpty()); diff != "" && cursors.Value.Held != nil {
		t.Errorf("the digest is not of the records (-records +digest):\n%s", diff)
	}
	return s
}

// points are those that a day's record refers to.
func (w *world) points(t testing.TB, r points.Reference) []byte {
	t.Helper()
	of, err := health.ParseUUID(r.UUID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := timeline.NewReader(vault.New((*blobs)(w), (*keys)(w))).Series(t.Context(), person, r.Blob, of)
	if err != nil {
		t.Fatalf("a record refers to a series that does not open: %v", err)
	}
	return content
}

func (w *world) plain(t testing.TB, name string) []byte {
	t.Helper()
	plain, err := (*keys)(w).Open(t.Context(), person, name, w.objects[name])
	if err != nil {
		t.Fatalf("a record refers to an object that does not open: %v", err)
	}
	return plain
}

// due are the windows that are to be analysed.
func (w *world) due(t testing.TB) (ends []string) {
	t.Helper()
	a, err := w.windows.Asked(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range a.Ends() {
		ends = append(ends, end.String())
	}
	return ends
}

func (w *world) chunk(t testing.TB, name string) timeline.Chunk {
	t.Helper()
	c, err := timeline.Decode(w.plain(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// timeless leaves the time out of a log line: its digits may be those that a
// test looks for.
func timeless(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
