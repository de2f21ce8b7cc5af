package intake_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A laptop is the stage over the embedded drivers, in a directory.
type laptop struct {
	store *store.Store
	blobs blob.Store
	keys  keyring.Keyring
	queue queue.Driver
	stage *intake.Stage
}

func newLaptop(t testing.TB) *laptop {
	t.Helper()
	now := func() time.Time { return received.Add(time.Hour) }
	opened := stagetest.Open(t, stagetest.Options{Now: now})
	l := &laptop{store: opened.Store, blobs: opened.Blobs, keys: opened.Keys, queue: opened.Queue}
	l.stage = intake.New(intake.Needs{Store: l.store, Windows: &due.Windows{Store: l.store, Now: now, Quiet: time.Second}, Objects: vault.New(l.blobs, l.keys), News: news.NewBook(l.store, now), Queue: l.queue, Now: now, Log: slog.New(slog.DiscardHandler)})
	if _, err := l.store.Answer(t.Context(), person, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} }); err != nil {
		t.Fatal(err)
	}
	return l
}

// objects are the person's of a kind.
func (l *laptop) objects(t testing.TB, kind string) []blob.Info {
	t.Helper()
	prefix, err := vault.NewNames(l.keys).Prefix(t.Context(), kind, person)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := l.blobs.List(t.Context(), prefix, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

// arrive leaves an upload as the ingress does.
func (l *laptop) arrive(t testing.TB, a arrival, encoding string) {
	t.Helper()
	name := blob.PersonPrefix(blob.KindUploads, person) + a.id + "/0"
	sealed, err := l.keys.Seal(t.Context(), person, name, a.body)
	if err == nil {
		_, err = l.blobs.Put(t.Context(), name, sealed)
	}
	if err == nil {
		_, err = l.store.Uploads.Put(t.Context(), person, a.id, 0, record.Upload{Blob: name, Encoding: encoding, ReceivedAt: a.received, State: record.UploadReceived})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *laptop) announce(t testing.TB, id string) {
	t.Helper()
	m := queue.Message{Topic: flow.TopicUploads, Key: person, Body: fmt.Appendf(nil, `{"uid":%q,"uploadId":%q}`, person, id)}
	if err := l.queue.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// work handles the topic until nothing is left of it.
func (l *laptop) work(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	done := make(chan error, 1)
	go func() {
		done <- l.queue.Receive(ctx, queue.Subscription{Topic: flow.TopicUploads, Name: flow.Intake, Concurrency: 4}, l.stage.Handle)
	}()
	for {
		depth, err := l.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake)
		if err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
		if depth.Waiting+depth.Leased == 0 {
			if depth.Dead != 0 {
				t.Errorf("%d dead letters", depth.Dead)
			}
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// days are the chunks' bytes as they are on the disk, opened.
func (l *laptop) days(t testing.TB) map[string]string {
	t.Helper()
	records, err := l.store.Days.List(t.Context(), person, store.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	open := func(key, name string) {
		sealed, err := l.blobs.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := l.keys.Open(t.Context(), person, name, sealed)
		if err != nil {
			t.Fatal(err)
		}
		got[key] = string(plain)
	}
	for _, r := range records {
		open(r.Key, r.Value.Chunk)
	}
	if r, err := l.store.Tombstones.Get(t.Context(), person, record.TombstonesKey); err == nil {
		open("tombstones", r.Value.Blob)
	}
	return got
}

func TestOnTheEmbeddedDriversTheOrderDoesNotMatterEither(t *testing.T) {
	all := arrivals(t, 5, 7)
	var want map[string]string
	for seed := range uint64(3) {
		l := newLaptop(t)
		for _, a := range all {
			l.arrive(t, a, "identity")
		}
		for _, i := range append(rand.New(rand.NewPCG(seed, 1)).Perm(len(all)), 0, 3) {
			l.announce(t, all[i].id)
		}
		l.work(t)
		got := l.days(t)
		if seed == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 3 {
			t.Fatalf("order %d, %d objects (-first +now):\n%s", seed, len(got), diff)
		}
		// What was replaced stays for who has just read the record, and goes later.
		sweep := retention.New(l.blobs, l.store, l.keys, func() time.Time { return time.Now().Add(2 * retention.Former) })
		if _, err := sweep.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		objects := 0
		for _, kind := range []string{blob.KindDays, blob.KindTombstones} {
			objects += len(l.objects(t, kind))
		}
		if objects != len(got) {
			t.Errorf("%d objects for %d days and tombstones: replaced ones are left", objects, len(got))
		}
	}
}

// A destroyed key ends what waits, in every state.
func TestAnErasedPersonsUploadIsNothing(t *testing.T) {
	l := newLaptop(t)
	l.arrive(t, arrivals(t, 5, 1)[0], "identity")
	if err := l.keys.Destroy(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	l.announce(t, "upload-0")
	l.work(t)
	if infos := l.objects(t, blob.KindDays); len(infos) != 0 {
		t.Errorf("%d days", len(infos))
	}
}

// One upload of 500 samples into a day, durably, on the embedded drivers.
func BenchmarkHandle500(b *testing.B) {
	l := newLaptop(b)
	i := 0
	for b.Loop() {
		b.StopTimer()
		a := arrival{fmt.Sprint("u", i), uploadtest.Gzip(uploadtest.Body(500, uploadtest.Options{Seed: uint64(i), Start: received.AddDate(0, 0, -i)})), received}
		l.arrive(b, a, "gzip")
		b.StartTimer()
		body := fmt.Appendf(nil, `{"uid":%q,"uploadId":%q}`, person, a.id)
		if v := stagetest.Word(l.stage.Handle(b.Context(), queue.Delivery{Message: queue.Message{Body: body}, Attempt: 1})); v != "ack" {
			b.Fatal(v)
		}
		i++
	}
}
