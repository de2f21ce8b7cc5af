package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/audittest"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/internal/crashtest"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

func TestContract(t *testing.T) {
	url := gcstest.Start(t)
	audittest.Run(t, func(t *testing.T) func() audittest.Log {
		w := newWorld(t, url)
		return func() audittest.Log { return w.open(t) }
	})
}

// What the package says that calls cost.
func TestCallsAreCounted(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	var l *Log
	var n *notary
	steps := []struct {
		name string
		do   func()
		want map[string]int
	}{
		{"open", func() { l = w.open(t) }, map[string]int{"look at the bucket": 1, "list": 1}},
		{"append", func() {
			if err := l.Append(t.Context(), read("x")); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"insert if 0": 1}},
		{"100 entries at once", func() { l.flushed(t, 100) }, map[string]int{"insert if 0": 1}},
		{"ready", func() {
			if err := l.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}, map[string]int{}},
		{"verify", func() {
			if got, err := l.Verify(t.Context()); err != nil || got != 101 {
				t.Errorf("%d entries, %v", got, err)
			}
		}, map[string]int{"list": 4, "read": 2}},
		{"a notary", func() { n = w.notary(t) }, map[string]int{"look at the bucket": 1, "list": 1}},
		{"its first turn", func() { n.signed(t) }, map[string]int{"list": 4, "read": 2, "insert if 0": 1}},
		{"a turn with nothing new", func() { _ = n.turn(t.Context()) }, map[string]int{"list": 3}},
		{"a turn behind an object", func() {
			l.flushed(t, 3)
			n.signed(t)
		}, map[string]int{"insert if 0": 2, "list": 3, "read": 1}},
		{"close", func() {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}, map[string]int{"insert if 0": 1}},
	}
	for _, step := range steps {
		step.do()
		if diff := cmp.Diff(step.want, d.took()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// However many ask, a process makes five objects a second at most, beside those that were
// not needed before.
func TestObjectsAMinute(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	l := w.process(t)
	const seconds = 2
	ends, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
	defer cancel()
	d.took()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for ends.Err() == nil {
				if err := l.Append(ends, read("x")); err != nil && ends.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	made := d.took()["insert if 0"]
	t.Logf("%d objects in %d s", made, seconds)
	if most := flushBurst + seconds*perSecond + 1; made > most || made < seconds*perSecond {
		t.Errorf("%d objects in %d s; %d are the most", made, seconds, most)
	}
}

// Who comes alone waits for one object to be written, and for nobody.
func TestALoneEntryWaitsForItsObject(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	l := w.process(t)
	d.took()
	const n = 30
	began := time.Now()
	for range n {
		if err := l.Append(t.Context(), read("x")); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > n*time.Second/perSecond/2 {
		t.Errorf("%d entries, one after another, took %v", n, took)
	}
	if made := d.took()["insert if 0"]; made != n {
		t.Errorf("%d objects, want %d", made, n)
	}
}

func TestHowOftenItIsWrittenIsBounded(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	for _, wrong := range []int{-1, MostPerSecond + 1} {
		w.PerSecond = wrong
		if _, err := Open(t.Context(), w.Config, w.keys, w.now); err == nil {
			t.Errorf("%d a second are taken", wrong)
		}
	}
	w.PerSecond = MostPerSecond
	w.process(t).flushed(t, 1)
}

// A log whose bucket cannot be reached is not ready; one that is written to is not asked.
func TestALogWhoseBucketIsAwayIsNotReady(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	now := noon()
	w.now = func() time.Time { return now }
	l := w.process(t)
	ready := func(what string, want bool, calls map[string]int) {
		t.Helper()
		if err := l.Ready(t.Context()); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(calls, d.took()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	l.flushed(t, 1)
	if err := l.Append(t.Context(), read("x")); err != nil {
		t.Fatal(err)
	}
	d.took()
	ready("an object was written", true, map[string]int{})
	now = now.Add(heard)
	ready("a while ago", true, map[string]int{"look at the bucket": 1})
	d.stands(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	if err := l.Append(t.Context(), read("x")); err == nil {
		t.Fatal("it is written")
	}
	d.took()
	ready("none could be", false, map[string]int{"look at the bucket": 1})
	d.stands(nil)
	if err := l.Append(t.Context(), read("x")); err != nil {
		t.Fatal(err)
	}
	d.took()
	ready("one could", true, map[string]int{})
}

// A process that ends has written all it was given, and says that it has ended.
func TestClosingWritesWhatWaits(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.open(t)
	const n = 600 // three objects
	outcomes := make(chan error, n)
	for range n {
		go func() { outcomes <- l.Append(t.Context(), read("x")) }()
	}
	if err := <-outcomes; err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	written := int64(1)
	for range n - 1 {
		if err := <-outcomes; err == nil {
			written++
		}
	}
	again := w.process(t)
	if got, err := again.Verify(t.Context()); err != nil || got != written {
		t.Errorf("%d entries, %v; %d were acknowledged", got, err, written)
	}
	names := again.all(t, writersFolder)
	if last := again.holds(t, names[len(names)-1]); !bytes.HasPrefix(last, []byte(separator)) || !bytes.Contains(last, []byte(closing)) {
		t.Errorf("the last object does not say that the writer has ended:\n%s", last)
	}
}

// A chain goes on for a day.
func TestAWriterBeginsAnewEachDay(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	now := noon()
	w.now = func() time.Time { return now }
	l := w.process(t)
	for _, passes := range []time.Duration{0, writerLife - time.Second, time.Second, time.Hour} {
		now = now.Add(passes)
		l.flushed(t, 2)
	}
	writers, err := l.writers(t.Context(), time.Time{})
	if err != nil || len(writers) != 2 || !slices.IsSorted(writers) {
		t.Fatalf("writers %v, %v", writers, err)
	}
	if got := len(l.all(t, folderOf(writers[0]))); got != 3 {
		t.Errorf("the first has %d objects, want two and its end", got)
	}
	if got, err := l.Verify(t.Context()); err != nil || got != 8 {
		t.Errorf("%d entries, %v", got, err)
	}
	since, err := l.writers(t.Context(), noon().Add(time.Hour))
	if err != nil || len(since) != 1 {
		t.Errorf("since an hour later %v, %v", since, err)
	}
}

// Nobody knows what has become of a request; the entries are there once, or not
// acknowledged.
func TestUnknownOutcomes(t *testing.T) {
	url := gcstest.Start(t)
	one := func(again bool, answer func(w http.ResponseWriter, done int)) func(d *door) {
		return func(d *door) {
			answered := false
			d.stands(func(w http.ResponseWriter, r *http.Request, call string) bool {
				if call != "insert if 0" || answered {
					return false
				}
				answered = !again
				done := httptest.NewRecorder()
				d.proxy.ServeHTTP(done, r)
				answer(w, done.Code)
				return true
			})
		}
	}
	tests := map[string]struct {
		toxic   func(d *door)
		acked   bool
		entries int64 // of the one that was appended meanwhile, and one before and behind it
		writers int
	}{
		"503 behind it":    {one(false, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }), true, 3, 1},
		"429 behind it":    {one(false, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusTooManyRequests) }), true, 3, 1},
		"a broken answer":  {one(false, func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }), true, 3, 1},
		"no answer":        {one(false, func(http.ResponseWriter, int) { time.Sleep(attempt + 200*time.Millisecond) }), true, 3, 1},
		"503 for good":     {one(true, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusServiceUnavailable) }), false, 3, 2},
		"403 for a moment": {one(false, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusForbidden) }), false, 3, 2},
		"503 before it": {func(d *door) {
			calls := 0
			d.stands(func(w http.ResponseWriter, _ *http.Request, call string) bool {
				if calls++; call != "insert if 0" || calls > 2 {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
		}, true, 3, 1},
		"the reading back fails": {func(d *door) {
			failed := map[string]bool{}
			d.stands(func(w http.ResponseWriter, r *http.Request, call string) bool {
				if failed[call] || call != "insert if 0" && call != "read" {
					return false
				}
				failed[call] = true
				d.proxy.ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(http.StatusInternalServerError)
				return true
			})
		}, true, 3, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, d := through(t, newWorld(t, url))
			l := w.process(t)
			appends := func() error { return l.Append(t.Context(), read("x")) }
			if err := appends(); err != nil {
				t.Fatal(err)
			}
			tt.toxic(d)
			if err := appends(); (err == nil) != tt.acked {
				t.Errorf("append: %v", err)
			}
			d.stands(nil)
			if err := appends(); err != nil {
				t.Errorf("behind it: %v", err)
			}
			got, err := l.Verify(t.Context())
			writers, listing := l.writers(t.Context(), time.Time{})
			if err != nil || listing != nil || got != tt.entries || len(writers) != tt.writers {
				t.Errorf("%d entries of %d writers, %v; want %d of %d", got, len(writers), err, tt.entries, tt.writers)
			}
		})
	}
}

// Where another object has the name of the next the writer goes on under another name,
// and the other is found.
func TestAnotherHasTheName(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.process(t)
	l.flushed(t, 2)
	name := l.writer.chain.name
	l.puts(t, l.writer.chain.object(2), []byte("not the writer's"))
	if err := l.Append(t.Context(), read("x")); err == nil {
		t.Error("it is acknowledged")
	}
	if err := l.Append(t.Context(), read("x")); err != nil || l.writer.chain.name == name {
		t.Errorf("behind it: %v", err)
	}
	var bad *audit.BadEntry
	if n, err := l.Verify(t.Context()); n != 3 || !errors.As(err, &bad) || bad.Writer != name || bad.Index != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// No fault names an object or a person, whatever the service says.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		status int
		class  fault.Class
		code   string
	}{
		"no right":  {http.StatusForbidden, fault.Unavailable, "403"},
		"no bucket": {http.StatusNotFound, fault.Unavailable, "no bucket"},
		"too much":  {http.StatusTooManyRequests, fault.Limit, "429"},
		"away":      {http.StatusServiceUnavailable, fault.Unavailable, "503"},
	}
	w := newWorld(t, gcstest.Start(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, d := through(t, w)
			l, n := w.process(t), w.notary(t)
			l.flushed(t, 1)
			d.stands(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"The specified bucket b/%s does not exist."}}`, tt.status, faulttest.Mark)
				return true
			})
			_, verifying := l.Verify(t.Context())
			for op, err := range map[string]error{
				"append": l.Append(t.Context(), audit.Event{Action: audit.DataRead, UID: faulttest.Mark, Own: faulttest.Mark, Outcome: "ok"}),
				"verify": verifying,
				"sign":   n.turn(t.Context()).err(),
			} {
				faulttest.Of(t, err, "audit", op)
				var f *fault.Error
				if errors.As(err, &f) && (f.Class != tt.class || f.Code != tt.code) {
					t.Errorf("%s: %v", op, err)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					faulttest.NamesNobody(t, op, e)
				}
			}
			d.stands(nil)
		})
	}
}

// What is a person's is in no object and no name, and is told apart.
func TestNobodyIsNamed(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.process(t)
	subjects, objects := map[string]int{}, map[string]int{}
	for _, own := range []string{"upload-of-anna", "upload-of-anna", "another-of-anna"} {
		if err := l.Append(t.Context(), audit.Event{Action: audit.UploadAccepted, UID: "uid-of-anna", ActorUID: "actor-of-anna", Own: own, Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	w.notary(t).signed(t)
	for _, name := range l.all(t, "") {
		held := l.holds(t, name)
		if strings.Contains(name, "anna") || bytes.Contains(held, []byte("anna")) {
			t.Errorf("%s names a person", name)
		}
	}
	for _, e := range l.entries(t) {
		subjects[e.Subject]++
		objects[e.Object]++
	}
	if len(subjects) != 1 || len(objects) != 2 {
		t.Errorf("of one person and two uploads there are %v and %v", subjects, objects)
	}
}

// entries are all that the log has.
func (p place) entries(t *testing.T) (all []audit.Entry) {
	t.Helper()
	writers, err := p.writers(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range writers {
		m := p.keys.macs()
		l := p.keys.writerOf(name, m)
		err := p.objects(t.Context(), &l, m, func(entry []byte) error {
			var e audit.Entry
			err := json.Unmarshal(entry, &e)
			all = append(all, e)
			return err
		}, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Where there are objects and no secret, none is made: nothing would verify, and nobody
// be found.
func TestALogWithoutItsKeyIsRefused(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.open(t)
	l.flushed(t, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w.keys = &secret{}
	if _, err := Open(t.Context(), w.Config, w.keys, w.now); err == nil || w.keys.made != "" {
		t.Errorf("it opens: %v", err)
	}
}

// A bucket whose objects can be removed is none for us, on Google's own.
func TestABucketWhoseObjectsStay(t *testing.T) {
	var said struct {
		RetentionPolicy struct {
			RetentionPeriod int64 `json:"retentionPeriod,string"`
		} `json:"retentionPolicy"`
		IAMConfiguration struct {
			UniformBucketLevelAccess struct{ Enabled bool }
			PublicAccessPrevention   string
		} `json:"iamConfiguration"`
	}
	data, err := os.ReadFile("../../../config/gcs/audit/bucket.json")
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err != nil {
		t.Fatal(err)
	}
	period := time.Duration(said.RetentionPolicy.RetentionPeriod) * time.Second
	const sevenYears = (7*365 + 2) * 24 * time.Hour
	if period < sevenYears || !said.IAMConfiguration.UniformBucketLevelAccess.Enabled || said.IAMConfiguration.PublicAccessPrevention != "enforced" {
		t.Errorf("config/gcs/audit/bucket.json: %+v", said)
	}
	tests := map[string]struct {
		is   storage.BucketAttrs
		want bool
	}{
		"as config/gcs/audit says": {storage.BucketAttrs{RetentionPolicy: &storage.RetentionPolicy{RetentionPeriod: period}}, true},
		"as new buckets are":       {storage.BucketAttrs{}, false},
		"with one of no time":      {storage.BucketAttrs{RetentionPolicy: &storage.RetentionPolicy{}}, false},
	}
	for name, tt := range tests {
		if err := stays(&tt.is); (err == nil) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	var lifecycle struct {
		Rule []struct {
			Action    struct{ Type string }
			Condition struct{ Age int }
		}
	}
	data, err = os.ReadFile("../../../config/gcs/audit/lifecycle.json")
	if err == nil {
		err = json.Unmarshal(data, &lifecycle)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range lifecycle.Rule {
		if age := time.Duration(rule.Condition.Age) * 24 * time.Hour; rule.Action.Type == "Delete" && age <= period {
			t.Errorf("what is kept for %v is to go after %v", period, age)
		}
	}
}

func TestAnEmulatorIsTheConfigurationsAffair(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	if _, err := Open(t.Context(), Config{Bucket: "b"}, &secret{}, noon); err == nil || !strings.Contains(err.Error(), "STORAGE_EMULATOR_HOST") {
		t.Errorf("%v", err)
	}
}

// A process under load is killed at any moment: what it acknowledged is there, and its chain
// verifies.
func TestKilledProcesses(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	dir := t.TempDir()
	where, err := json.Marshal(w.Config)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config"), where, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	rounds := 20
	if testing.Short() {
		rounds = 3
	}
	w.now = time.Now
	n, acked := w.notary(t), map[string]bool{}
	for round := range rounds {
		for _, line := range crashtest.Kill(t, "TestChildAppends", dir, 700*time.Millisecond) {
			acked[line] = true
		}
		if err := n.turn(t.Context()).err(); err != nil {
			t.Fatalf("round %d: the notary: %v", round, err)
		}
	}
	l := w.process(t)
	entries, err := l.Verify(t.Context())
	writers, listing := l.writers(t.Context(), time.Time{})
	if err != nil || listing != nil || len(writers) != rounds {
		t.Errorf("%d writers of %d processes, %v", len(writers), rounds, err)
	}
	there := map[string]bool{}
	for _, e := range l.entries(t) {
		there[e.Object] = true
	}
	for line := range acked {
		if !there[line] {
			t.Errorf("%s was acknowledged and is not there", line)
		}
	}
	t.Logf("%d entries, %d of them acknowledged", entries, len(acked))
}

func TestChildAppends(t *testing.T) {
	dir, tell := crashtest.Child(t)
	data, err := os.ReadFile(filepath.Join(dir, "config"))
	w := &world{keys: &secret{}, now: time.Now}
	if err == nil {
		err = json.Unmarshal(data, &w.Config)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Secret(t.Context(), secretName, true); err != nil {
		t.Fatal(err)
	}
	l := w.open(t)
	var all sync.WaitGroup
	for worker := range 64 {
		all.Go(func() {
			for i := 0; ; i++ {
				line := fmt.Sprint("entry ", os.Getpid(), " ", worker, " ", i)
				if err := l.Append(t.Context(), read(line)); err != nil {
					t.Error(err)
					return
				}
				tell(line)
			}
		})
	}
	all.Wait()
}
