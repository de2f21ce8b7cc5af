package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

const address = "https://example.com/clarity" // the name is in the test server's certificate

// An event is sent to each endpoint of the person's tenant that wants its kind, signed,
// and says what to fetch.
func TestAnEventIsSentToTheTenantsServers(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	w.register("clinic", "https://example.com/uploads", flow.UploadMerged)
	w.register("other", "https://example.com/other")
	w.register("", "https://example.com/nobodys")
	w.spread(canary, 41, "2026-11-19", "2026-11-20")
	for _, m := range w.said {
		if m.Key != canary+"/"+id {
			t.Errorf("a message has the key %q", m.Key)
		}
	}
	if words := w.tell(); !slices.Equal(words, []string{"ack", "ack"}) {
		t.Error(words)
	}
	got := w.server.take()
	if diff := cmp.Diff([]string{"0000000000000029 2026-11-19", "000000000000002a 2026-11-20"}, refs(got)); diff != "" {
		t.Fatalf("sent (-want +got):\n%s", diff)
	}
	secret := w.endpoint("clinic", id).Secrets[0]
	for _, g := range got {
		if v1, v1a := g.verified(secret); !v1 || !v1a || g.at != w.clock().Unix() || g.path != "/clarity" || g.host != "example.com" || !strings.HasPrefix(g.id, "evt_") {
			t.Errorf("%+v: signed %v %v", g, v1, v1a)
		}
		want := message{"result.stored", w.clock(), data{"anna-canary", g.message.Data.ID, g.message.Data.Ref, "v"}}
		if diff := cmp.Diff(want, g.message); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
	if got[0].id == got[1].id {
		t.Error("two events have one id")
	}
	if left := w.missed("clinic", id); len(left) > 0 {
		t.Errorf("what was taken is kept: %v", left)
	}
	w.spread("somebody", 1, "a") // of no tenant
	w.tell()
	if got := w.server.take(); len(got) != 1 || got[0].path != "/nobodys" {
		t.Errorf("%+v", got)
	}
}

// An event that is not taken is sent again, more and more rarely, under the same id and
// with a signature of its own, for a day; then it is given up, and can be sent anew.
func TestWhatIsNotTakenIsSentAgain(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	w.server.answers(500, nil)
	w.spread(canary, 1, "a")
	m := w.said[0]
	w.said = nil
	attempts, ids := 0, map[string]bool{}
	for began := w.clock(); ; {
		attempts++
		word := w.one(m, attempts)
		for _, g := range w.server.take() {
			ids[g.id] = true
		}
		if word == "ack" {
			break
		}
		if word != "postpone: the endpoint did not take it: status" && word != "postpone: the endpoint rests" {
			t.Fatal(word)
		}
		if word == "postpone: the endpoint did not take it: status" {
			w.later(pause(attempts))
		} else {
			w.later(longestRest)
		}
		if w.clock().Sub(began) > 26*time.Hour {
			t.Fatal("it is never given up")
		}
	}
	if attempts < 20 || attempts > 60 || len(ids) != 1 {
		t.Errorf("%d attempts under %d ids", attempts, len(ids))
	}
	left := w.missed("clinic", id)
	if len(left) != 1 || left[0].Value.State != hook.Failed || left[0].Value.Ref != "a" || left[0].Value.Status != 500 && left[0].Value.Reason != "away" {
		t.Fatalf("%+v", left)
	}
	if since := w.endpoint("clinic", id).FailingSince; since.IsZero() {
		t.Error("nobody is told that the endpoint is away")
	}
	w.server.answers(204, nil)
	w.later(longestRest)
	_, event, _ := strings.Cut(left[0].Key, "-")
	if _, err := w.book.Replay(t.Context(), "clinic", id, event); err != nil {
		t.Fatal(err)
	}
	if words := w.tell(); !slices.Equal(words, []string{"ack"}) {
		t.Error(words)
	}
	if got := w.server.take(); len(got) != 1 || !ids[got[0].id] {
		t.Errorf("%+v", got)
	}
	if left := w.missed("clinic", id); len(left) > 0 {
		t.Errorf("what was taken in the end is kept: %+v", left)
	}
	if since := w.endpoint("clinic", id).FailingSince; !since.IsZero() {
		t.Error("nobody is told that the endpoint is back")
	}
	if log := w.log.String(); strings.Contains(log, "canary") || !strings.Contains(log, "an endpoint is away") || !strings.Contains(log, "an endpoint is back") {
		t.Errorf("the log says %s", log)
	}
}

// What became of a request, and whether it is tried again.
func TestWhatAnAnswerMeans(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		header http.Header
		word   string
		wait   time.Duration // at least
	}{
		"taken":                         {200, nil, "ack", 0},
		"taken for later":               {202, nil, "ack", 0},
		"moved":                         {302, http.Header{"Location": {"https://example.com/else"}}, "postpone: the endpoint did not take it: status", 5 * time.Second},
		"moved within":                  {307, http.Header{"Location": {"/else"}}, "postpone: the endpoint did not take it: status", 5 * time.Second},
		"not known":                     {404, nil, "postpone: the endpoint did not take it: status", 5 * time.Second},
		"busy, for a while":             {429, http.Header{"Retry-After": {"600"}}, "postpone: the endpoint did not take it: status", 10 * time.Minute},
		"busy, for longer than an hour": {503, http.Header{"Retry-After": {"999999"}}, "postpone: the endpoint did not take it: status", time.Hour},
		"gone":                          {410, nil, "ack", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.register("clinic", address)
			w.server.answers(tt.status, tt.header)
			w.spread(canary, 1, "a")
			v := w.stage.Handle(t.Context(), queue.Delivery{Message: w.said[0], Attempt: 1})
			var word string
			var wait time.Duration
			v.Match(queue.Cases{Ack: func() { word = "ack" }, Retry: func(_ time.Duration, why string) { word = "retry: " + why }, Dead: func(why string) { word = "dead: " + why },
				Postpone: func(after time.Duration, why string) { word, wait = "postpone: "+why, after }})
			if word != tt.word || wait < tt.wait {
				t.Errorf("%s after %v, want %s after %v", word, wait, tt.word, tt.wait)
			}
			if got := w.server.take(); len(got) != 1 {
				t.Errorf("%d requests", len(got))
			}
			if gone := !w.endpoint("clinic", id).GoneAt.IsZero(); gone != (tt.status == 410) {
				t.Errorf("gone %v", gone)
			}
			if n := len(w.missed("clinic", id)); (n == 1) != strings.HasPrefix(word, "postpone") {
				t.Errorf("%d are kept as missed", n)
			}
		})
	}
}

// A name that leads within is not spoken to, and says nothing of what is there.
func TestAServerWithinIsNotSpokenTo(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	d := newDialer()
	d.look = func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	w.stage.sender = senderOver(d, nil, w.clock)
	w.spread(canary, 1, "a")
	if words := w.tell(); !slices.Equal(words, []string{"postpone: the endpoint did not take it: address_not_public"}) {
		t.Error(words)
	}
	if left := w.missed("clinic", id); len(left) != 1 || left[0].Value.Reason != "address_not_public" || left[0].Value.Status != 0 {
		t.Errorf("%+v", left)
	}
	if len(w.server.take()) > 0 {
		t.Error("it is spoken to")
	}
}

// The two newest secrets sign, the older one for a day.
func TestASecretIsReplaced(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	secrets := []hook.Secret{w.endpoint("clinic", id).Secrets[0]}
	for range 2 {
		e, err := w.book.Rotate(t.Context(), "clinic", id)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, e.Secrets[0])
	}
	signs := func(n uint64) (by []bool) {
		t.Helper()
		w.spread(canary, n, "a")
		w.tell()
		got := w.server.take()
		if len(got) != 1 {
			t.Fatalf("%d requests", len(got))
		}
		for _, s := range secrets {
			v1, v1a := got[0].verified(s)
			if v1 != v1a {
				t.Errorf("v1 %v and v1a %v", v1, v1a)
			}
			by = append(by, v1)
		}
		return by
	}
	if by := signs(1); !slices.Equal(by, []bool{false, true, true}) {
		t.Errorf("signed by %v", by)
	}
	w.later(hook.Overlap)
	if by := signs(2); !slices.Equal(by, []bool{false, false, true}) {
		t.Errorf("a day later signed by %v", by)
	}
}

// A tenant has its endpoints alone, and so many.
func TestATenantHasItsOwnEndpoints(t *testing.T) {
	w := newWorld(t)
	id := w.register("clinic", address)
	ctx := t.Context()
	for name, err := range map[string]error{
		"delete": w.book.Delete(ctx, "other", id), "rotate": second(w.book.Rotate(ctx, "other", id)), "list what was missed": second(w.book.Missed(ctx, "other", id, "", 1)),
		"replay": second(w.book.Replay(ctx, "other", id, "x")),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another tenant's: %s: %v", name, err)
		}
	}
	if all, err := w.book.Endpoints(ctx, "other"); err != nil || len(all) > 0 {
		t.Error(all, err)
	}
	for range hook.Most - 1 {
		w.register("clinic", address)
	}
	if _, _, err := w.book.Create(ctx, "clinic", address, nil); !errors.Is(err, ErrMany) {
		t.Errorf("one more: %v", err)
	}
	if _, _, err := w.book.Create(ctx, "other", "https://10.0.0.1/", nil); !errors.Is(err, ErrURL) {
		t.Errorf("an address within: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// dying is a driver that is away from so many batches on.
type dying struct {
	store.Driver
	batches int
}

func (d *dying) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	if d.batches--; d.batches < 0 {
		return nil, errors.New("away")
	}
	return d.Driver.Batch(ctx, writes)
}

// What an endpoint missed may be more than a call removes: the next goes on, and nothing
// is sent meanwhile.
func TestADeletionGoesOnWhereItEnded(t *testing.T) {
	w := newWorld(t)
	driver := &dying{Driver: storetest.Memory(w.clock), batches: 1000}
	book := NewBook(store.New(driver, w.laptop.Keys), w, w.clock)
	id, _, err := book.Create(t.Context(), "clinic", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	due := func(n uint64) hooking.Due {
		return hooking.Due{UID: "clinic:ben", First: n, Endpoint: id, Events: []hooking.Event{{Kind: "result.stored", Ref: fmt.Sprint(n)}}}
	}
	for n := range uint64(5) {
		if err := book.missed(t.Context(), due(n), hook.Pending, answer{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, driver.batches = range []int{1, 4} {
		if err := book.Delete(t.Context(), "clinic", id); err == nil {
			t.Fatal("it was deleted by a driver that is away")
		}
		if there, err := book.Endpoints(t.Context(), "clinic"); err != nil || len(there) != 1 || there[0].Value.GoneAt.IsZero() {
			t.Errorf("%+v, %v: want it to be there, and gone", there, err)
		}
	}
	driver.batches = 1000
	if err := book.Delete(t.Context(), "clinic", id); err != nil {
		t.Fatal(err)
	}
	if err := book.missed(t.Context(), due(9), hook.Pending, answer{}); err != nil { // it was in flight
		t.Fatal(err)
	}
	left, err := book.store.Missed.List(t.Context(), owner("clinic"), store.Query{Limit: 100})
	marks, also := book.store.Marks.List(t.Context(), "clinic:ben", store.Query{Limit: 100})
	there, too := book.Endpoints(t.Context(), "clinic")
	if err := errors.Join(err, also, too); err != nil || len(left)+len(marks)+len(there) > 0 {
		t.Errorf("left: %d missed, %d marks, %d endpoints, %v", len(left), len(marks), len(there), err)
	}
}

// What is deleted is told nothing more, and what it missed goes; so does what a person
// who is erased was missed of, whatever their key opens.
func TestWhatGoes(t *testing.T) {
	w := newWorld(t)
	id, kept := w.register("clinic", address), w.register("clinic", "https://example.com/kept")
	w.server.answers(500, nil)
	for n := range uint64(3) {
		w.spread(canary, n+1, fmt.Sprint("r", n))
		w.tell()
		w.spread("clinic:ben", n+1, fmt.Sprint("r", n))
		w.tell()
	}
	if n := len(w.missed("clinic", kept)); n < 2 {
		t.Fatalf("%d were missed", n)
	}
	if err := w.laptop.Keys.Destroy(t.Context(), canary); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.book.Forget(t.Context(), canary); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range append(w.missed("clinic", id), w.missed("clinic", kept)...) {
		if m.Value.UID == canary {
			t.Error("something is left of who is erased")
		}
	}
	if err := w.book.Delete(t.Context(), "clinic", id); err != nil {
		t.Fatal(err)
	}
	all, err := w.laptop.Store.Missed.List(t.Context(), owner("clinic"), store.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if strings.HasPrefix(m.Key, id) {
			t.Error("what a deleted endpoint missed is left")
		}
	}
	w.server.take()
	w.server.answers(200, nil)
	w.later(longestRest)
	w.spread("clinic:ben", 9, "a")
	w.tell()
	if got := w.server.take(); len(got) != 1 || got[0].path != "/kept" {
		t.Errorf("%+v", got)
	}
}

// Who is erased is told of nothing more.
func TestNothingIsSentOfWhoIsErased(t *testing.T) {
	w := newWorld(t)
	w.register("clinic", address)
	w.spread(canary, 1, "a")
	if _, err := w.laptop.Store.MarkErased(t.Context(), canary, w.clock(), 0, "receipt"); err != nil {
		t.Fatal(err)
	}
	if words := w.tell(); !slices.Equal(words, []string{"ack"}) || len(w.server.take()) > 0 {
		t.Error(words)
	}
}

// A tenant without endpoints costs a look now and then, and one that has some is noticed.
func TestWhetherATenantListens(t *testing.T) {
	w := newWorld(t)
	if w.book.Wants(t.Context(), canary) {
		t.Error("nobody listens")
	}
	other := NewBook(w.laptop.Store, w, w.clock) // another process
	if _, _, err := other.Create(t.Context(), "clinic", address, nil); err != nil {
		t.Fatal(err)
	}
	if w.book.Wants(t.Context(), canary) {
		t.Error("it is read each time")
	}
	w.later(believed)
	if !w.book.Wants(t.Context(), canary) || w.book.Wants(t.Context(), "clinic2:anna") || w.book.Wants(t.Context(), "anna") {
		t.Error("the wrong ones listen")
	}
}

// A message that nobody can read is a dead letter.
func TestAMessageThatIsNone(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{"", "{", "{}", `{"uid":"u"}`, `{"uid":"u","endpoint":"e","events":[{},{}]}`} {
		if word := w.one(queue.Message{Topic: hooking.Topic, Body: []byte(body)}, 1); word != "dead: the message cannot be read" {
			t.Errorf("%q: %s", body, word)
		}
	}
}

// An endpoint that fails is left alone for a while, and then asked by one at a time; the
// others are told meanwhile.
func TestACircuit(t *testing.T) {
	w := newWorld(t)
	w.register("clinic", address)
	w.register("other", "https://example.com/other")
	w.server.answers(500, nil)
	w.spread(canary, 1, "a", "b", "c", "d", "e", "f", "g", "h")
	waiting := w.said
	words := w.tell()
	if n := len(w.server.take()); n != tolerated {
		t.Errorf("%d requests, want %d: %v", n, tolerated, words)
	}
	if words[7] != "postpone: the endpoint rests" {
		t.Error(words)
	}
	w.later(firstRest)
	for _, m := range waiting[:3] {
		w.one(m, 2)
	}
	if n := len(w.server.take()); n != 1 {
		t.Errorf("behind its rest it is asked by %d", n)
	}
	w.server.answers(200, nil)
	w.spread("other:ben", 1, "a")
	if words := w.tell(); !slices.Equal(words, []string{"ack"}) {
		t.Error(words)
	}
	w.later(2 * firstRest)
	for _, m := range waiting {
		if word := w.one(m, 3); word != "ack" {
			t.Error(word)
		}
	}
}

// Over a queue as bad as its contract each event comes, at least once and under one id,
// though the server does not take each the first time.
func TestOverAQueueAsBadAsItsContract(t *testing.T) {
	w := newWorld(t)
	hostile := queuetest.Hostile(w.laptop.Queue, 7)
	w.book = NewBook(w.laptop.Store, hostile, w.clock)
	w.stage = w.over(w.book)
	w.register("clinic", address)
	failed := map[string]int{}
	w.server.refuses = func(m message) bool { // each third event, twice
		failed[m.Data.ID]++
		return strings.HasSuffix(m.Data.Ref, "0") && failed[m.Data.ID] <= 2
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			sub := queue.Subscription{Topic: hooking.Topic, Name: hooking.Consumer, Concurrency: 4}
			if err := hostile.Receive(ctx, sub, w.stage.Handle); err != nil {
				t.Error(err)
			}
		})
	}
	const events = 30
	taken := map[string]string{} // id by event
	for n := range uint64(events) {
		for w.book.Tell(t.Context(), canary, n+1, w.told(fmt.Sprintf("r%d%d", n, n%3))) != nil { // as who hands on does
		}
	}
	for deadline := time.Now().Add(2 * time.Minute); len(taken) < events; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d events came", len(taken), events)
		}
		w.later(10 * time.Second) // the queue's clock, too
		for _, g := range w.server.take() {
			if g.status != http.StatusOK {
				continue
			}
			if before, there := taken[g.message.Data.ID]; there && before != g.id {
				t.Errorf("an event has the ids %s and %s", before, g.id)
			}
			taken[g.message.Data.ID] = g.id
		}
	}
	cancel()
	running.Wait()
}
