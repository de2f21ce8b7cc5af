package exports_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/exports"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

const (
	anna = "anna-canary"
	id   = "0123456789abcdef0123456789abcdef"
)

var errDead = errors.New("the process is dead")

// A world is the stage over a laptop, in a process that can die at any change.
type world struct {
	t       *testing.T
	laptop  *stagetest.Laptop
	stage   *exports.Stage
	vault   *vault.Vault
	now     time.Time
	log     bytes.Buffer
	told    []string
	keys    int // of each section
	reading func(key string) error

	changes, dieAt int // 0 for never
	after, dead    bool
}

// change is one that may be the last, or not be at all.
func (w *world) change(do func() error) error {
	w.changes++
	at := w.dieAt == w.changes
	if w.dead || at && !w.after {
		w.dead = true
		return errDead
	}
	err := do()
	if at {
		w.dead = true
		return errDead
	}
	return err
}

type documents struct {
	store.Driver
	*world
}

func (d documents) Batch(ctx context.Context, writes []store.Write) (versions []int64, err error) {
	return versions, d.change(func() error { versions, err = d.Driver.Batch(ctx, writes); return err })
}

func (w *world) Publish(_ context.Context, msgs ...queue.Message) error {
	return w.change(func() error {
		for _, m := range msgs {
			w.told = append(w.told, m.Topic+" "+string(m.Body))
		}
		return nil
	})
}

func (w *world) Replace(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error) {
	return name, w.change(func() error { name, err = w.vault.Replace(ctx, kind, uid, rest, plain); return err })
}

func (w *world) Remove(ctx context.Context, name string) error {
	return w.change(func() error { return w.vault.Remove(ctx, name) })
}

// section has three lines a key.
func (w *world) section(name string) exports.Section {
	return exports.Section{Name: name, Each: func(_ context.Context, _, after string, line func(kind, key string, value any) error) error {
		for n := range w.keys {
			key := fmt.Sprintf("%04d", n)
			if key <= after {
				continue
			}
			if w.reading != nil {
				if err := w.reading(name + key); err != nil {
					return err
				}
			}
			for i := range 3 {
				if err := line(name, key, strings.Repeat("<", i+1)); err != nil {
					return err
				}
			}
		}
		return nil
	}}
}

func newWorld(t *testing.T, keys int) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), keys: keys}
	w.laptop = stagetest.Open(t, stagetest.Options{Now: func() time.Time { return w.now }, Over: func(d store.Driver) store.Driver { return documents{d, w} }})
	w.vault = vault.New(w.laptop.Blobs, w.laptop.Keys)
	w.stage = exports.New(exports.Needs{Store: w.laptop.Store, Objects: w, Queue: w, Now: func() time.Time { return w.now },
		Held: []exports.Section{w.section("a"), w.section("b")}, Log: slog.New(slog.NewTextHandler(&w.log, nil))}).Paced(time.Hour, 100)
	e := record.Export{State: exported.Pending, CreatedAt: w.now, Slot: 2}
	_, err := w.laptop.Store.Batch(t.Context(), anna, w.laptop.Store.Exports.ToPut(id, 0, e),
		w.laptop.Store.Agenda.ToPut(agenda.ExportKey(2), 0, agenda.Errand{Kind: agenda.Export, Ref: id, Since: w.now}).At(w.now))
	if err != nil {
		t.Fatal(err)
	}
	w.changes = 0
	return w
}

func (w *world) handle() string {
	w.t.Helper()
	m, err := queue.JSON(exporting.Topic, anna, exporting.Due{UID: anna, ExportID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return stagetest.Word(w.stage.Handle(w.t.Context(), queue.Delivery{Message: m, Attempt: 1}))
}

// record is the export's; its state is "" where it is gone.
func (w *world) record() record.Export {
	w.t.Helper()
	found, err := w.laptop.Store.Exports.Get(w.t.Context(), anna, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	return found.Value
}

// due is when the agenda looks at the export again; zero where it does not.
func (w *world) due() time.Time {
	w.t.Helper()
	found, err := w.laptop.Store.Agenda.Get(w.t.Context(), anna, agenda.ExportKey(2))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.t.Fatal(err)
	}
	return found.Due
}

// content is all that the parts of the export hold.
func (w *world) content() string {
	w.t.Helper()
	var all []byte
	for _, part := range w.record().Parts {
		packed, err := w.vault.Get(w.t.Context(), anna, part.Object)
		if err != nil {
			w.t.Fatal(err)
		}
		lines, err := part.Unpack(packed)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, lines...)
	}
	return string(all)
}

// whole holds what the record says of an export that is ready against its content.
func (w *world) whole() {
	w.t.Helper()
	e, content := w.record(), w.content()
	sum := sha256.Sum256([]byte(content))
	if e.State != exported.Ready || e.Digest != hex.EncodeToString(sum[:]) || e.Bytes != len(content) || e.Lines["a"] != 3*w.keys || e.Lines["b"] != 3*w.keys || !e.ReadyAt.Equal(w.now) || !e.ExpiresAt.Equal(w.now.Add(7*24*time.Hour)) {
		w.t.Errorf("%+v of %d bytes", e, len(content))
	}
	want := ""
	for _, name := range []string{"a", "b"} {
		for n := range w.keys {
			for i := range 3 {
				want += fmt.Sprintf("{\"kind\":%q,\"key\":\"%04d\",\"value\":%q}\n", name, n, strings.Repeat("<", i+1))
			}
		}
	}
	if want += fmt.Sprintf("{\"kind\":\"end\",\"lines\":%d}\n", 6*w.keys); content != want {
		w.t.Errorf("it holds\n%s\nwant\n%s", content, want)
	}
	if !w.due().Equal(e.ExpiresAt) || len(w.told) == 0 || !strings.Contains(w.told[0], `"kind":"export.ready","ref":"`+id) {
		w.t.Errorf("looked at again at %v, told %q", w.due(), w.told)
	}
}

func TestAnExportInParts(t *testing.T) {
	w := newWorld(t, 20)
	if v := w.handle(); v != "ack" {
		t.Fatal(v)
	}
	w.whole()
	for i, part := range w.record().Parts {
		if part.Bytes > 200 || part.Bytes < 100 && i < len(w.record().Parts)-1 {
			t.Errorf("part %d has %d bytes, a part is of about 100", i, part.Bytes)
		}
	}
	if v := w.handle(); v != "ack" { // the message comes again
		t.Fatal(v)
	}
	w.whole()
}

func TestAnExportInTurns(t *testing.T) {
	w := newWorld(t, 5)
	w.stage.Paced(0, 1<<20)
	for turns := 1; ; turns++ {
		v := w.handle()
		if v == "ack" {
			if turns != 11 { // each of ten keys, and the end
				t.Errorf("%d turns", turns)
			}
			break
		}
		if e := w.record(); v != "postpone: the rest has its turn" || e.State != exported.Pending || len(e.Parts) != turns || turns > 20 {
			t.Fatalf("%s: %+v", v, e)
		}
		if !w.due().Equal(w.now.Add(5 * time.Minute)) {
			t.Errorf("looked at again at %v", w.due())
		}
	}
	w.whole()
}

// Whatever dies before or behind which change: the export is complete in the end.
func TestAnExportThatDiesAtAnyChangeIsCompleted(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t, 4)
		w.dieAt, w.after = (at+1)/2, at%2 == 0
		_ = w.handle()
		died := w.dead
		if e := w.record(); died && e.State == exported.Ready && e.Bytes != len(w.content()) {
			t.Fatalf("dead at change %d: it looks ready, with %d of %d bytes", at, len(w.content()), e.Bytes)
		}
		if died && w.due().IsZero() {
			t.Fatalf("dead at change %d: nobody looks at it", at)
		}
		w.dead, w.dieAt = false, 0
		if v := w.handle(); v != "ack" {
			t.Fatalf("dead at change %d: %s", at, v)
		}
		w.whole()
		if t.Failed() {
			t.Fatalf("dead at change %d", at)
		}
		if !died {
			if at < 14 {
				t.Errorf("an export has %d changes: nothing to see", at/2)
			}
			return
		}
	}
}

func TestAnExportGoesWhenItsTimeIsOver(t *testing.T) {
	for at := 0; at < 12; at++ { // dies at any change of it, and not at all
		w := newWorld(t, 4)
		w.handle()
		w.now = w.record().ExpiresAt.Add(-time.Second)
		if v := w.handle(); v != "ack" || w.record().State != exported.Ready {
			t.Fatalf("a second before: %s, %+v", v, w.record())
		}
		w.now = w.now.Add(time.Second)
		w.changes, w.dieAt, w.after = 0, at, at%2 == 0
		_ = w.handle()
		w.dead, w.dieAt = false, 0
		if v := w.handle(); v != "ack" || w.record().State != "" || !w.due().IsZero() {
			t.Fatalf("dead at change %d: %s, %+v", at, v, w.record())
		}
		if left, err := w.laptop.Blobs.List(t.Context(), blob.KindExports+"/", "", 10); err != nil || len(left) > 0 {
			t.Fatalf("dead at change %d: %d objects are left, %v", at, len(left), err)
		}
	}
}

// What is damaged fails the export, an outage does not, and neither does a later
// release's data.
func TestWhatFailsAnExport(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		state exported.State
		word  string
	}{
		"damage":    {fmt.Errorf("read chunk: %w", blob.ErrCorrupt), exported.Failed, "ack"},
		"an outage": {errors.New("no answer"), exported.Pending, "retry"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 4)
			w.reading = func(key string) error {
				if key == "b0002" {
					return tt.err
				}
				return nil
			}
			if v := w.handle(); !strings.HasPrefix(v, tt.word) || w.record().State != tt.state {
				t.Fatalf("%s, %+v", v, w.record())
			}
			if strings.Contains(w.log.String(), anna) || w.log.Len() == 0 {
				t.Errorf("the log says %s", &w.log)
			}
			if tt.state == exported.Pending {
				w.reading = nil
				if v := w.handle(); v != "ack" {
					t.Fatal(v)
				}
				w.whole()
				return
			}
			e := w.record()
			if e.Reason != exports.Unreadable || !e.ExpiresAt.Equal(w.now.Add(24*time.Hour)) || !w.due().Equal(e.ExpiresAt) || len(w.told) != 1 || !strings.Contains(w.told[0], "export.failed") {
				t.Errorf("%+v, told %q", e, w.told)
			}
			w.now = e.ExpiresAt
			if v := w.handle(); v != "ack" || w.record().State != "" {
				t.Errorf("%s, %+v", v, w.record())
			}
		})
	}
}

// Nothing is written for who is erased meanwhile, nor of an export that is deleted.
func TestAnExportThatIsNotWantedAnyMore(t *testing.T) {
	w := newWorld(t, 4)
	w.reading = func(key string) error {
		if key != "b0002" {
			return nil
		}
		_, err := w.laptop.Store.MarkErased(t.Context(), anna, w.now, 0, "receipt")
		return err
	}
	parts := 0
	if v := w.handle(); !strings.HasPrefix(v, "postpone") {
		t.Errorf("erased in the middle: %s", v)
	}
	parts = len(w.record().Parts)
	if v := w.handle(); v != "ack" || w.record().State != exported.Pending || len(w.record().Parts) != parts {
		t.Errorf("erased: %s", v)
	}
	w = newWorld(t, 4)
	w.reading = func(key string) error {
		if key != "b0002" {
			return nil
		}
		found, err := w.laptop.Store.Exports.Get(t.Context(), anna, id)
		if err != nil {
			return err
		}
		found.Value.ExpiresAt = w.now
		_, err = w.laptop.Store.Exports.Put(t.Context(), anna, id, found.Version, found.Value)
		return err
	}
	if v := w.handle(); !strings.HasPrefix(v, "postpone") {
		t.Errorf("deleted in the middle: %s", v)
	}
	if v := w.handle(); v != "ack" || w.record().State != "" || slices.ContainsFunc(w.told, func(s string) bool { return strings.Contains(s, "export.") }) {
		t.Errorf("deleted: %s, %+v, told %q", v, w.record(), w.told)
	}
}

func TestAMessageThatIsNone(t *testing.T) {
	w := newWorld(t, 1)
	v := stagetest.Word(w.stage.Handle(t.Context(), queue.Delivery{Message: queue.Message{Body: []byte(`{"uid":"anna"}`)}}))
	if !strings.HasPrefix(v, "dead: ") {
		t.Error(v)
	}
}

// Who asks by a clock that is ahead, of an export whose time is not over by ours, has put
// it off; it stays so, and is not asked for again at once, and for hours.
func TestWhoseClockIsAheadAsksNotAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	if got := w.handle(); got != "ack" {
		t.Fatal(got)
	}
	put := w.record().ExpiresAt.Add(5 * time.Minute)
	e := agenda.Errand{Kind: agenda.Export, Ref: id, Since: w.now, Asked: 3}
	if _, err := w.laptop.Store.Batch(t.Context(), anna, w.laptop.Store.Agenda.ToPut(agenda.ExportKey(2), store.Any, e).At(put)); err != nil {
		t.Fatal(err)
	}
	w.now = w.record().ExpiresAt.Add(-time.Hour)
	if got := w.handle(); got != "ack" {
		t.Fatal(got)
	}
	found, err := w.laptop.Store.Agenda.Get(t.Context(), anna, agenda.ExportKey(2))
	if err != nil || !found.Due.Equal(put) || found.Value.Asked != 3 {
		t.Errorf("put off until %v, after %d askings, %v", found.Due, found.Value.Asked, err)
	}
}

// Who answers again and again while their export is written has it in one turn: only
// their erasure stops it, and it is of the life in which it was asked for.
func TestAnswersMeanwhileAreInNoExportsWay(t *testing.T) {
	change := func(w *world, to func(record.Account) record.Account) {
		now, err := w.laptop.Store.Standing(t.Context(), anna)
		if err == nil {
			_, err = w.laptop.Store.Accounts.Put(t.Context(), anna, record.AccountKey, now.Version, to(now.Value))
		}
		if err != nil {
			t.Error(err)
		}
	}
	answer := func(a record.Account) record.Account {
		return a.Answered(record.PurposeProcessing, !a.Agreed(record.PurposeProcessing))
	}
	for name, of := range map[string]struct {
		to      func(record.Account) record.Account
		verdict string
		state   exported.State
	}{
		"answers": {answer, "ack", exported.Ready},
		"erased": {func(a record.Account) record.Account { return a.Erased(time.Unix(1, 0), "receipt") },
			"postpone: another was first", exported.Pending},
		"returned": {func(a record.Account) record.Account { return a.Erased(time.Unix(1, 0), "receipt").Anew() },
			"postpone: another was first", exported.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 20)
			change(w, answer)
			w.reading = func(key string) error {
				if name == "answers" || key == "a0010" {
					change(w, of.to)
				}
				return nil
			}
			if got := w.handle(); got != of.verdict || w.record().State != of.state {
				t.Errorf("%s, and it is %s", got, w.record().State)
			}
		})
	}
}
