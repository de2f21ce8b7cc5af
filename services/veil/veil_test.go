package veil_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/veil"
)

// hashes name people by a hash: what takes no backend.
type hashes struct{}

func (hashes) Pseudonym(_ context.Context, uid string) (string, error) {
	sum := sha256.Sum256([]byte("of this platform: " + uid))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

func namer() veil.Namer { return hashes{} }

func TestDocumentsKeepTheContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener {
		m := storetest.Memory(time.Now)
		return func() store.Driver { return veil.NewDocuments(m, namer()) }
	})
}

func TestMessagesKeepTheContract(t *testing.T) {
	queuetest.Run(t, func(*testing.T) queuetest.Opener {
		place := queuetest.Memory(time.Now)
		return func(c queue.Consumers) queue.Driver { return veil.NewMessages(place.Open(c), namer(), nil) }
	})
}

// a seen driver notes what it was given.
type seen struct {
	store.Driver
	all *strings.Builder
}

func (s seen) Batch(ctx context.Context, writes []store.Write) ([]int64, error) {
	for _, w := range writes {
		fmt.Fprintf(s.all, "%v %s\n", w.Key, w.Data)
	}
	return s.Driver.Batch(ctx, writes)
}

func (s seen) Get(ctx context.Context, k store.Key) (store.Document, error) {
	fmt.Fprintln(s.all, k)
	return s.Driver.Get(ctx, k)
}

func (s seen) List(ctx context.Context, q store.Query) ([]store.Document, error) {
	fmt.Fprintln(s.all, q)
	return s.Driver.List(ctx, q)
}

func (s seen) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	fmt.Fprintln(s.all, uid, after)
	return s.Driver.Tail(ctx, collection, uid, after)
}

func (s seen) People(ctx context.Context, after string, limit int) ([]string, error) {
	fmt.Fprintln(s.all, after)
	return s.Driver.People(ctx, after, limit)
}

func (s seen) EraseUser(ctx context.Context, uid string) error {
	fmt.Fprintln(s.all, uid)
	return s.Driver.EraseUser(ctx, uid)
}

func TestADriverSeesNobody(t *testing.T) {
	ctx, all := t.Context(), &strings.Builder{}
	d := veil.NewDocuments(seen{storetest.Memory(time.Now), all}, namer())
	const uid, upload = "anna-who-is-looked-for", "upload-of-the-phone"
	now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	writes := []store.Write{
		{Key: store.Key{Collection: "uploads", UID: uid, Key: upload}, Data: []byte("sealed")},
		{Key: store.Key{Collection: "agenda", UID: uid, Key: "upload:" + upload}, Data: []byte("sealed"), Due: now},
		{Key: store.Key{Collection: "accounts", UID: uid, Key: "account"}, Data: []byte("{}")},
		{Key: store.Key{Collection: "consents", UID: uid, Key: "processing"}, Data: []byte("sealed")},
	}
	if _, err := d.Batch(ctx, writes); err != nil {
		t.Fatal(err)
	}
	shard, err := d.Shard(ctx, uid)
	if err != nil {
		t.Fatal(err)
	}
	due, err := d.Due(ctx, []string{"agenda", "uploads"}, shard, now, 10)
	if err != nil || len(due) != 1 || due[0].Key != writes[1].Key || string(due[0].Data) != "sealed" {
		t.Errorf("due: %+v, %v", due, err)
	}
	for _, collection := range []string{"uploads", "agenda"} {
		docs, err := d.List(ctx, store.Query{Collection: collection, UID: uid, Limit: 10})
		if err != nil || len(docs) != 1 || !strings.HasSuffix(docs[0].Key.Key, upload) {
			t.Errorf("%s: %+v, %v", collection, docs, err)
		}
		if docs, err = d.List(ctx, store.Query{Collection: collection, UID: uid, After: docs[0].Key.Key, Limit: 10}); err != nil || len(docs) > 0 {
			t.Errorf("%s behind the last: %+v, %v", collection, docs, err)
		}
		if _, err := d.List(ctx, store.Query{Collection: collection, UID: uid, From: "a", Limit: 10}); err == nil {
			t.Errorf("%s has bounds", collection)
		}
	}
	people, err := d.People(ctx, "", 10)
	if diff := cmp.Diff([]string{uid}, people); diff != "" || err != nil {
		t.Errorf("people (-want +got), %v:\n%s", err, diff)
	}
	_, got := d.Get(ctx, writes[0].Key)
	_, tail := d.Tail(ctx, "uploads", uid, upload)
	_, behind := d.People(ctx, uid, 10)
	if err := errors.Join(got, tail, behind, d.EraseUser(ctx, uid)); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{uid, upload} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("the driver saw %q:\n%s", secret, all)
		}
	}
}

// A page of an upload's keys, in either direction, meets each once.
func TestSealedKeysArePaged(t *testing.T) {
	ctx := t.Context()
	d := veil.NewDocuments(storetest.Memory(time.Now), namer())
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("upload-%02d", i)
		if _, err := d.Batch(ctx, []store.Write{{Key: store.Key{Collection: "uploads", UID: "anna", Key: key}, Data: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		want = append(want, key)
	}
	for _, descending := range []bool{false, true} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := d.List(ctx, store.Query{Collection: "uploads", UID: "anna", After: after, Descending: descending, Limit: 7})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, doc := range page {
				got = append(got, doc.Key.Key)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("descending %v (-want +got):\n%s", descending, diff)
		}
	}
}

// Who is erased for good is known to who says their name, and to no list.
func TestWhoIsErasedForGoodIsNobodys(t *testing.T) {
	ctx := t.Context()
	memory := storetest.Memory(time.Now)
	keys := keyringtest.Memory(time.Now, 0).Process()
	d := veil.NewDocuments(memory, keys)
	s := store.New(d, keys)
	at := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	account := record.Account{}.Erased(at, "receipt")
	listed := func() []string {
		t.Helper()
		people, err := s.People(ctx, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return people
	}
	for _, step := range []erased.Step{erased.Requested, erased.Repeated, erased.Ended} {
		progress := *account.Erasure
		progress.Step = step
		account.Erasure = &progress
		if _, err := s.Accounts.Put(ctx, "anna", record.AccountKey, store.Any, account); err != nil {
			t.Fatal(err)
		}
		if people := listed(); (len(people) == 0) != (step == erased.Ended) {
			t.Errorf("behind %s: %v", step, people)
		}
		if a, err := s.Accounts.Get(ctx, "anna", record.AccountKey); err != nil || a.Value.Erasure.Step != step {
			t.Errorf("behind %s: %+v, %v", step, a, err)
		}
	}
	if _, err := s.Accounts.Put(ctx, "anna", record.AccountKey, store.Any, account.Anew()); err != nil {
		t.Fatal(err)
	}
	if people := listed(); !slices.Equal(people, []string{"anna"}) {
		t.Errorf("who has come back: %v", people)
	}
	if _, err := s.Accounts.Put(ctx, "bert", record.AccountKey, 0, record.Account{ErasedAt: at, Receipt: "of a release before"}); err != nil {
		t.Fatal(err)
	}
	if people := listed(); !slices.Equal(people, []string{"anna"}) {
		t.Errorf("who was erased under a release before: %v", people)
	}
}

func TestMessagesTellNobody(t *testing.T) {
	ctx := t.Context()
	place := queuetest.Memory(time.Now)
	consumers := queue.Consumers{"t": {"c"}}
	below := place.Open(consumers)
	q := veil.NewMessages(below, namer(), nil)
	const uid, body = "anna-who-is-looked-for", `{"uid":"anna-who-is-looked-for"}`
	// Of a release before, and of this one.
	if err := errors.Join(below.Publish(ctx, queue.Message{Topic: "t", Key: uid, Body: []byte(body)}), q.Publish(ctx, queue.Message{Topic: "t", Key: uid, Body: []byte(body)})); err != nil {
		t.Fatal(err)
	}
	handled := 0
	receiving, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	err := q.Receive(receiving, queue.Subscription{Topic: "t", Name: "c"}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		if d.Key != uid || string(d.Body) != body {
			t.Errorf("handed %q of %q", d.Body, d.Key)
		}
		if handled++; handled == 2 {
			stop()
		}
		return queue.Dead("poison")
	})
	if err != nil || handled != 2 {
		t.Fatalf("%d handled, %v", handled, err)
	}
	letters, err := below.Dead(ctx, "t", "c", "", 10)
	if err != nil || len(letters) != 2 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	named := 0
	for _, l := range letters {
		if strings.Contains(l.Key, uid) || bytes.Contains(l.Body, []byte(uid)) {
			named++
		}
	}
	if named != 1 {
		t.Errorf("%d of the two letters name her, want that of the release before", named)
	}
	if letters, err = q.Dead(ctx, "t", "c", "", 10); err != nil || letters[0].Key != uid || letters[1].Key != uid || string(letters[1].Body) != body {
		t.Errorf("%+v, %v", letters, err)
	}
	if err := q.Forget(ctx, uid); err != nil {
		t.Fatal(err)
	}
	if letters, err = below.Dead(ctx, "t", "c", "", 10); err != nil || len(letters) != 0 {
		t.Errorf("forgotten, %d letters are left, %v", len(letters), err)
	}
}

// A directory beside the keys of another.
func TestWhatOtherKeysHaveSealedIsSaidToBe(t *testing.T) {
	ctx := t.Context()
	memory := storetest.Memory(time.Now)
	other := otherNamer{namer()}
	k := store.Key{Collection: "accounts", UID: "anna", Key: "account"}
	if _, err := veil.NewDocuments(memory, namer()).Batch(ctx, []store.Write{{Key: k, Data: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	d := veil.NewDocuments(memory, other)
	if _, err := d.Get(ctx, k); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := d.People(ctx, "", 10); err == nil || strings.Contains(err.Error(), "anna") {
		t.Errorf("%v", err)
	}
}

// otherNamer is that of another platform.
type otherNamer struct{ veil.Namer }

func (n otherNamer) Pseudonym(ctx context.Context, uid string) (string, error) {
	return n.Namer.Pseudonym(ctx, "other"+uid)
}

// What other keys have sealed stands before nothing that is due.
func TestWhatIsNobodysHidesNothingThatIsDue(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	memory := storetest.Memory(func() time.Time { return now })
	theirs, mine := veil.NewDocuments(memory, otherNamer{namer()}), veil.NewDocuments(memory, namer())
	shard, err := mine.Shard(ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	foreign := 0
	for i := 0; foreign < 3; i++ {
		uid := fmt.Sprint("ben", i)
		if in, err := theirs.Shard(ctx, uid); err != nil || in != shard {
			continue
		}
		foreign++
		if _, err := theirs.Batch(ctx, []store.Write{{Key: store.Key{Collection: "uploads", UID: uid, Key: "u"}, Data: []byte("x"), Due: now.Add(-time.Hour)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mine.Batch(ctx, []store.Write{{Key: store.Key{Collection: "uploads", UID: "anna", Key: "u"}, Data: []byte("x"), Due: now}}); err != nil {
		t.Fatal(err)
	}
	if docs, err := mine.Due(ctx, []string{"uploads"}, shard, now.Add(1000*time.Hour), 10); err != nil || len(docs) != 1 { // they are in nobody's way
		t.Fatal(docs, err)
	}
	var got []store.Document
	for range 3 { // looks
		docs, err := mine.Due(ctx, []string{"uploads"}, shard, now, 2)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, docs...)
	}
	if len(got) == 0 || got[0].Key.UID != "anna" {
		t.Errorf("%+v", got)
	}
	if docs, err := theirs.Due(ctx, []string{"uploads"}, shard, now.Add(2*time.Hour), 10); err != nil || len(docs) < foreign-1 {
		t.Errorf("beside their own keys again, %d are due, %v", len(docs), err)
	}
}

func TestAMessageOfOtherKeysIsLogged(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	below := queuetest.Memory(time.Now).Open(queue.Consumers{"t": {"c"}})
	if err := veil.NewMessages(below, namer(), nil).Publish(ctx, queue.Message{Topic: "t", Key: "anna", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	log := &said{stop: stop}
	q := veil.NewMessages(below, otherNamer{namer()}, slog.New(slog.NewTextHandler(log, nil)))
	err := q.Receive(ctx, queue.Subscription{Topic: "t", Name: "c"}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Ack() })
	if err != nil || !strings.Contains(log.String(), "sealed under other keys") || strings.Contains(log.String(), "anna") {
		t.Errorf("%v; the log says %q", err, log.String())
	}
}

// said is a log that ends what is waited for.
type said struct {
	strings.Builder
	stop func()
}

func (s *said) Write(p []byte) (int, error) {
	defer s.stop()
	return s.Builder.Write(p)
}
