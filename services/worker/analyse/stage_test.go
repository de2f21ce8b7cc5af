package analyse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

const uid = "canary-person"

// A bench is the stage over real drivers; what it publishes and audits is noted.
type bench struct {
	t         *testing.T
	stage     *analyse.Stage
	store     *store.Store
	windows   *due.Windows
	driver    store.Driver
	blobs     blob.Store
	keys      keyring.Keyring
	published []queue.Message
	audited   []audit.Event
	fail      error // what Publish returns
	log       bytes.Buffer
}

func (b *bench) Publish(_ context.Context, m ...queue.Message) error {
	if b.fail != nil {
		return b.fail
	}
	b.published = append(b.published, m...)
	for _, m := range m {
		b.speak(m)
	}
	return nil
}

// speak has the Results of a message be put into words, as who is behind the stage does.
func (b *bench) speak(m queue.Message) {
	b.t.Helper()
	var ready flow.ResultsReady
	if err := json.Unmarshal(m.Body, &ready); err != nil {
		b.t.Fatal(err)
	}
	for _, c := range ready.Results {
		err := b.store.Insights.Delete(context.Background(), uid, c.End.String(), store.Any)
		if c.Version != "" {
			_, err = b.store.Insights.Put(context.Background(), uid, c.End.String(), store.Any, record.Insight{Insight: analysis.Insight{InputDigest: c.Version}})
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) Append(_ context.Context, e audit.Event) error {
	b.audited = append(b.audited, e)
	return nil
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t}
	l := stagetest.Open(t, stagetest.Options{Over: func(d store.Driver) store.Driver { b.driver = d; return d }})
	b.store, b.blobs, b.keys = l.Store, l.Blobs, l.Keys
	b.windows = &due.Windows{Store: b.store, Now: time.Now, Quiet: time.Second}
	b.stage = analyse.New(analyse.Needs{Store: b.store, Windows: b.windows, Chunks: timeline.NewReader(vault.New(b.blobs, b.keys)), Queue: b, Audit: b, Now: time.Now, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	b.consent(true)
	return b
}

func (b *bench) consent(granted bool) {
	b.t.Helper()
	if _, err := b.store.Answer(context.Background(), uid, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: granted} }); err != nil {
		b.t.Fatal(err)
	}
}

// keep stores samples as intake would: a chunk a day, and its record.
func (b *bench) keep(day health.Day, samples []health.Sample) {
	b.t.Helper()
	ctx := context.Background()
	chunk, _, err := timeline.Merge(timeline.Chunk{Day: day}, samples, timeline.Tombstones{})
	if err != nil {
		b.t.Fatal(err)
	}
	plain, digest, err := timeline.Encode(chunk)
	if err != nil {
		b.t.Fatal(err)
	}
	name := blob.PersonPrefix(blob.KindDays, uid) + day.String() + "/" + digest
	sealed, err := b.keys.Seal(ctx, uid, name, plain)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.blobs.Put(ctx, name, sealed); err != nil && !errors.Is(err, blob.ErrExists) {
		b.t.Fatal(err)
	}
	record := record.Day{Chunk: name, Digest: digest, Zone: "Europe/Berlin", Samples: len(chunk.Samples)}
	if _, err := b.store.Days.Put(ctx, uid, day.String(), store.Any, record); err != nil {
		b.t.Fatal(err)
	}
}

// keepWeek stores a week of a watch, and returns its last day.
func (b *bench) keepWeek() health.Day {
	b.t.Helper()
	in := aWeek(b.t)
	byDay := map[health.Day][]health.Sample{}
	for _, typ := range in.View.Types() {
		for _, s := range in.View.Samples(typ) {
			d := health.DayOf(s.Start, in.Zone)
			byDay[d] = append(byDay[d], s)
		}
	}
	for d, samples := range byDay {
		b.keep(d, samples)
	}
	return in.End
}

// handle asks for the window and returns the verdict in a word.
func (b *bench) handle(end health.Day, attempt int) string {
	b.t.Helper()
	body, err := json.Marshal(analysis.Request{UID: uid, End: end})
	if err != nil {
		b.t.Fatal(err)
	}
	word := stagetest.Word(b.stage.Handle(context.Background(), queue.Delivery{Message: queue.Message{Topic: flow.TopicAnalyses, Key: uid, Body: body}, Attempt: attempt}))
	if word == "postpone: the next windows have their turn" { // the weeks that were compared with this one
		word = "ack"
	}
	return word
}

func (b *bench) result(end health.Day) *analysis.Result {
	b.t.Helper()
	r, err := b.store.Results.Get(context.Background(), uid, end.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return &r.Value.Result
}

// told is what the messages say to the person's devices.
func (b *bench) told() (told []string) {
	for _, m := range b.published {
		var ready flow.ResultsReady
		if err := json.Unmarshal(m.Body, &ready); err != nil {
			b.t.Fatal(err)
		}
		for _, e := range ready.Told().All() {
			told = append(told, string(e.Kind)+" "+e.Ref+" "+e.Version)
		}
	}
	return told
}

func (b *bench) topics() (topics []string) {
	for _, m := range b.published {
		topics = append(topics, m.Topic)
	}
	return topics
}

func TestAStoredWeekBecomesAStoredResultOnce(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	if v := b.handle(end, 1); v != "ack" {
		t.Fatalf("verdict %q\n%s", v, b.log.String())
	}
	got := b.result(end)
	if got == nil {
		t.Fatal("no result")
	}
	in := aWeek(t)
	in.Chunks = got.Lineage.Chunks
	want := compute(t, in)
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("the stored result is not the computed one (-want +got):\n%s", diff)
	}
	if n := len(got.Lineage.Chunks); n != 8 || got.Lineage.Pipeline != analyse.Pipeline || got.Lineage.Model != analysis.NoModel {
		t.Errorf("lineage %+v", got.Lineage)
	}
	once := []string{flow.TopicResults}
	if diff := cmp.Diff(once, b.topics()); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"result.stored 2026-03-29 " + got.Lineage.InputDigest}, b.told()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if len(b.audited) != 1 || b.audited[0].Action != audit.ResultStored || b.audited[0].UID != uid {
		t.Errorf("audited %+v", b.audited)
	}

	t.Run("the same request again does nothing", func(t *testing.T) {
		if v := b.handle(end, 1); v != "ack" || len(b.published) != 1 || len(b.audited) != 1 {
			t.Errorf("verdict %q, published %v", v, b.topics())
		}
	})
	t.Run("a redelivery after a crash tells the stages behind once more", func(t *testing.T) {
		if v := b.handle(end, 2); v != "ack" || len(b.published) != 2 {
			t.Errorf("verdict %q, published %v", v, b.topics())
		}
	})
	t.Run("nothing of the person is logged", func(t *testing.T) {
		if strings.Contains(b.log.String(), uid) {
			t.Errorf("the log names the person:\n%s", b.log.String())
		}
	})
}

func TestChangedInputReplacesTheResult(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.handle(end, 1)
	before := b.result(end)

	t.Run("other samples", func(t *testing.T) {
		d := &diary{zone: aWeek(t).Zone}
		d.night(25)
		b.keep(end, d.samples[:1])
		if v := b.handle(end, 1); v != "ack" {
			t.Fatalf("verdict %q", v)
		}
		after := b.result(end)
		if after.Lineage.InputDigest == before.Lineage.InputDigest || after.Input.SampleCount >= before.Input.SampleCount {
			t.Errorf("digest %s and %d samples, before %s and %d", after.Lineage.InputDigest, after.Input.SampleCount, before.Lineage.InputDigest, before.Input.SampleCount)
		}
	})
	t.Run("another source priority", func(t *testing.T) {
		digest := b.result(end).Lineage.InputDigest
		if _, err := b.store.Profiles.Put(context.Background(), uid, "profile", store.Any, record.Profile{SourcePriority: []string{"iPhone"}}); err != nil {
			t.Fatal(err)
		}
		b.handle(end, 1)
		r := b.result(end)
		if r.Lineage.InputDigest == digest || *r.Days[0].Steps != 90*72 {
			t.Errorf("digest the same: %t, steps %v, want the phone's %d", r.Lineage.InputDigest == digest, *r.Days[0].Steps, 90*72)
		}
	})
	t.Run("no data at all withdraws it", func(t *testing.T) {
		for d := end - 7; d <= end; d++ {
			if err := b.store.Days.Delete(context.Background(), uid, d.String(), store.Any); err != nil {
				t.Fatal(err)
			}
		}
		if v := b.handle(end, 1); v != "ack" || b.result(end) != nil {
			t.Errorf("verdict %q, result %v", v, b.result(end))
		}
		if told := b.told(); told[len(told)-1] != "result.withdrawn "+end.String()+" withdrawn" {
			t.Errorf("told %v", told)
		}
	})
}

func TestWhatCannotBeAnalysed(t *testing.T) {
	ctx := context.Background()
	name := func(b *bench, end health.Day) string {
		r, err := b.store.Days.Get(ctx, uid, end.String())
		if err != nil {
			t.Fatal(err)
		}
		return r.Value.Chunk
	}
	tests := map[string]struct {
		spoil func(b *bench, end health.Day)
		want  string
	}{
		"nothing was ever stored": {func(b *bench, _ health.Day) { _ = b.store.EraseUser(ctx, uid); b.consent(true) }, "ack"},
		"consent was withdrawn":   {func(b *bench, _ health.Day) { b.consent(false) }, "ack"},
		"consent was never given": {func(b *bench, _ health.Day) {
			_ = b.store.Consents.Delete(ctx, uid, record.PurposeProcessing, store.Any)
			_ = b.store.Accounts.Delete(ctx, uid, record.AccountKey, store.Any)
		}, "ack"},
		"the key is destroyed": {func(b *bench, _ health.Day) { _ = b.keys.Destroy(ctx, uid) }, "ack"},
		"the account is erased": {func(b *bench, _ health.Day) {
			_, _ = b.store.MarkErased(ctx, uid, time.Now(), 0, "receipt")
		}, "ack"},
		"a chunk was replaced":     {func(b *bench, end health.Day) { b.remove(ctx, name(b, end)) }, "postpone: a chunk was replaced meanwhile"},
		"the queue does not take":  {func(b *bench, _ health.Day) { b.fail = fmt.Errorf("disk full for %s", uid) }, "retry: a backend is unavailable"},
		"a chunk of another place": {func(b *bench, end health.Day) { b.swap(ctx, name(b, end), name(b, end-1)) }, "dead: a chunk does not belong to its name"},
		"a chunk that is no chunk": {func(b *bench, end health.Day) { b.write(ctx, name(b, end), []byte("no chunk")) }, "dead: the input cannot be decoded"},
	}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			b := newBench(t)
			end := b.keepWeek()
			tt.spoil(b, end)
			if got := b.handle(end, 1); got != tt.want {
				t.Errorf("verdict %q, want %q", got, tt.want)
			}
			if len(b.published) > 0 {
				t.Errorf("published %v", b.topics())
			}
			if strings.Contains(b.log.String(), uid) {
				t.Errorf("the log names the person:\n%s", b.log.String())
			}
		})
	}
	t.Run("a message that is no request", func(t *testing.T) {
		b := newBench(t)
		got := stagetest.Word(b.stage.Handle(ctx, queue.Delivery{Message: queue.Message{Body: []byte("{")}, Attempt: 1}))
		if got != "dead: the input cannot be decoded" {
			t.Errorf("verdict %q", got)
		}
	})
}

// A crash between the deletion of a result and its message, too.
func TestAWithdrawalLostByACrashIsPublishedByTheRedelivery(t *testing.T) {
	b := newBench(t)
	if v := b.handle(aWeek(t).End, 1); v != "ack" || len(b.published) != 0 {
		t.Errorf("nothing there: verdict %q, published %v", v, b.topics())
	}
	if v := b.handle(aWeek(t).End, 2); v != "ack" || len(b.published) != 1 {
		t.Errorf("redelivered: verdict %q, published %v", v, b.topics())
	}
}

// Nobody asks for a window for what no number is made of: none may depend on it, else
// whether there is a result would be a matter of the order in which samples came.
func TestWhatIsNotMeasuredMakesNoResult(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.handle(end, 1)
	if b.result(end) == nil {
		t.Fatal("there is no result of a week of a watch")
	}
	start, _ := end.Bounds(aWeek(t).Zone)
	weighed := health.Sample{UUID: health.UUID{1}, Type: "HKQuantityTypeIdentifierBodyMass", Start: start, End: start, Value: 80, Unit: "kg"}
	for day := end - 7; day <= end+1; day++ {
		if err := b.store.Days.Delete(context.Background(), uid, day.String(), store.Any); err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	b.keep(end, []health.Sample{weighed})
	if v := b.handle(end, 1); v != "ack" || b.result(end) != nil {
		t.Errorf("verdict %q, and a result of a weight alone: %v", v, b.result(end) != nil)
	}
}

func TestTheWindowIsOfTheZoneOfMostSamples(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	for d, zone := range map[health.Day]string{end: "Asia/Tokyo", end - 1: "Asia/Tokyo", end - 2: "Nowhere/Land"} {
		r, err := b.store.Days.Get(context.Background(), uid, d.String())
		if err != nil {
			t.Fatal(err)
		}
		r.Value.Zone = zone
		if zone == "Nowhere/Land" {
			r.Value.Samples = 1_000_000
		}
		if _, err := b.store.Days.Put(context.Background(), uid, d.String(), r.Version, r.Value); err != nil {
			t.Fatal(err)
		}
	}
	b.handle(end, 1)
	if got := b.result(end).Window.TimeZone; got != "Europe/Berlin" {
		t.Errorf("zone %s: five days are of Berlin, two of Tokyo, and one of a zone that is not known", got)
	}
}

// A crash between the stored result and its message must not swallow the message.
func TestAMessageLostByACrashIsPublishedByTheRedelivery(t *testing.T) {
	b := newBench(t)
	end := b.keepWeek()
	b.fail = errors.New("down")
	if v := b.handle(end, 1); !strings.HasPrefix(v, "retry") || b.result(end) == nil {
		t.Fatalf("verdict %q, result stored: %t", v, b.result(end) != nil)
	}
	b.fail = nil
	if v := b.handle(end, 2); v != "ack" || len(b.published) != 1 {
		t.Errorf("verdict %q, published %v", v, b.topics())
	}
}

func (b *bench) remove(ctx context.Context, name string) {
	if err := vault.New(b.blobs, b.keys).Remove(ctx, name); err != nil {
		b.t.Fatal(err)
	}
}

// write replaces what lies under a name by other plaintext, rightly sealed.
func (b *bench) write(ctx context.Context, name string, plain []byte) {
	sealed, err := b.keys.Seal(ctx, uid, name, plain)
	if err == nil {
		b.remove(ctx, name)
		_, err = b.blobs.Put(ctx, name, sealed)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// swap puts the bytes of one object under the name of another.
func (b *bench) swap(ctx context.Context, name, other string) {
	data, err := b.blobs.Get(ctx, other)
	if err == nil {
		b.remove(ctx, name)
		_, err = b.blobs.Put(ctx, name, data)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
