package cmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/emulated"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

const (
	phones   = 4
	replicas = 2 // of each binary
	// A phone tries for as long as somebody may be away, and longer.
	phonePatience = 30 * time.Minute
	// Within so long after the last trouble everything is as it would be without any: an
	// outage is looked at again every five minutes at the least.
	settlesWithin = 8 * time.Minute
)

// A troubled is a platform over a cloud, and phones that upload and listen.
type troubled struct {
	*cloud
	platform *emulated.Platform
	people   []*somebody
	acked    atomic.Int64 // uploads of all

	enough    chan struct{} // closed once no phone sends any more
	uploading sync.WaitGroup
	slowest   time.Duration // until every phone went on
}

// somebody is a person with a phone, which sends what a load says and listens meanwhile.
type somebody struct {
	load   phonetest.Load
	client *phone.Client
	acked  atomic.Int64 // uploads

	mu    sync.Mutex
	heard []string // ids of events
}

func newTroubled(t *testing.T, bin string) *troubled {
	t.Helper()
	w := &troubled{cloud: startCloud(t, bin, true), enough: make(chan struct{})}
	var err error
	w.platform, err = w.Run(t.Context(), emulated.Fleet{Bin: bin, Replicas: replicas, Writer: "gemini:" + emulated.Project + "/europe-west3/gemini-3.5-flash-lite"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.platform.Stop(); err != nil {
			t.Errorf("the platform: %v", err)
		}
	})
	for i := range phones {
		token, err := w.Person(t.Context(), fmt.Sprint("phone-", i))
		if err != nil {
			t.Fatal(err)
		}
		w.people = append(w.people, newSomebody(t, phonetest.Load(i), w.platform.URL, token))
	}
	listening, hangUp := context.WithCancel(context.Background())
	var listeners sync.WaitGroup
	t.Cleanup(func() { hangUp(); listeners.Wait() })
	for _, s := range w.people {
		listeners.Go(func() { s.listen(listening, t) })
		w.uploading.Go(func() { w.upload(t, s) })
	}
	return w
}

// newSomebody agrees to everything.
func newSomebody(t *testing.T, l phonetest.Load, url, token string) *somebody {
	t.Helper()
	s := &somebody{load: l, client: phone.New(url, token, phonePatience, nil)}
	t.Cleanup(s.client.Close)
	for _, purpose := range []string{"processing", "narrative"} {
		if err := s.client.Send(t.Context(), http.MethodPut, "/v1/consents/"+purpose, map[string]any{"granted": true, "version": "2026-11"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// upload sends one upload after the other until it is enough.
func (w *troubled) upload(t *testing.T, s *somebody) {
	for {
		n := int(s.acked.Load())
		if _, err := s.client.Put(context.Background(), s.load.Upload(t, n)); err != nil {
			t.Errorf("phone %d, upload %d: %v", s.load, n, err)
			return
		}
		s.acked.Add(1)
		w.acked.Add(1)
		select {
		case <-w.enough:
			return
		case <-time.After(*troublePace):
		}
	}
}

// listen follows the person's events from the first.
func (s *somebody) listen(ctx context.Context, t *testing.T) {
	err := s.client.Events(ctx, phone.FromTheFirst, func(e phone.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = append(s.heard, e.ID)
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("phone %d does not listen any more: %v", s.load, err)
	}
}

func (w *troubled) counts() (acked []int) {
	for _, s := range w.people {
		acked = append(acked, int(s.acked.Load()))
	}
	return acked
}

// settles ends the load, and compares what has become of it with what becomes of the
// same on one machine that nothing befalls.
func (w *troubled) settles(t *testing.T) {
	close(w.enough)
	w.uploading.Wait()
	calm := w.calm(t)
	began := time.Now()
	for i, s := range w.people {
		w.sameAs(t, began, calm[i], s)
	}
	took := time.Since(began)
	w.atRest(t)
	told := 0
	for i, s := range w.people {
		w.sameAs(t, time.Time{}, calm[i], s) // and nothing came behind
		ids := phonetest.ToldOnce(t, s.client)
		s.heardAll(t, ids)
		told += len(ids)
	}
	w.writtenDown(t)
	t.Logf("%v uploads acked, 0 lost, %d events, none twice; every phone went on within %s; as on one machine %s after the last upload",
		w.counts(), told, w.slowest.Round(time.Millisecond), took.Round(time.Millisecond))
}

// calm does the same uploads on one machine.
func (w *troubled) calm(t *testing.T) (people []*somebody) {
	t.Helper()
	at := newPlace(t, w.place.bin)
	laptop, stop := at.upAt(t, nil, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--unlimited", "--debounce", "200ms", "--model", "preview", "--log-level", "warn")
	t.Cleanup(stop)
	var uploading sync.WaitGroup
	for _, s := range w.people {
		token := strings.TrimSpace(at.run(t, nil, []int{0}, "clarity", "token", "--user", fmt.Sprint("phone-", int(s.load)), "--ttl", "2h"))
		one := newSomebody(t, s.load, laptop, token)
		people = append(people, one)
		uploading.Go(func() {
			for n := range int(s.acked.Load()) {
				if _, err := one.client.Put(t.Context(), s.load.Upload(t, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	uploading.Wait()
	return people
}

// sameAs waits until the two hold the same, but for the words: within settlesWithin of
// began, or at once where that is no time.
func (w *troubled) sameAs(t *testing.T, began time.Time, calm, s *somebody) {
	t.Helper()
	for {
		want, got := read(t, calm), read(t, s)
		if got.Uploads == int(s.acked.Load()) && got.Samples == s.load.Alive(got.Uploads) && cmp.Equal(want, got) {
			return
		}
		if time.Since(began) > settlesWithin {
			t.Errorf("phone %d: %d uploads are merged of %d acked; %d samples of %d; another outcome (-calm +troubled):\n%.4000s",
				s.load, got.Uploads, s.acked.Load(), got.Samples, s.load.Alive(int(s.acked.Load())), cmp.Diff(want, got))
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
}

// read is what somebody holds, without the words, which are a model's or a template's.
func read(t *testing.T, s *somebody) phonetest.Outcome {
	t.Helper()
	out, err := phonetest.Read(t.Context(), s.client)
	if err != nil {
		t.Fatal(err)
	}
	for date, insight := range out.Insights {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(insight), &members); err != nil {
			t.Fatal(err)
		}
		for _, words := range []string{"sentences", "writer", "fell_back"} {
			delete(members, words)
		}
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		out.Insights[date] = string(text)
	}
	return out
}

// atRest waits until no message is left. None is dead.
func (w *troubled) atRest(t *testing.T) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) {
		left, dead := w.messages(t)
		if len(dead) > 0 {
			t.Errorf("dead letters: %v", dead)
			return
		}
		if left == 0 {
			return
		}
		if time.Since(began) > settlesWithin {
			t.Fatalf("%d messages are left", left)
		}
	}
}

// messages counts those that wait, and says why others are dead.
func (w *troubled) messages(t *testing.T) (left int, dead []string) {
	t.Helper()
	env := w.Environment()
	getenv := func(name string) string {
		for _, set := range env {
			if value, is := strings.CutPrefix(set, name+"="); is {
				return value
			}
		}
		return ""
	}
	var closers []io.Closer
	defer func() {
		for _, c := range slices.Backward(closers) {
			_ = c.Close()
		}
	}()
	_, at, _ := strings.Cut(w.Backends()["queue"], ":")
	q, err := google.New(getenv).Queue(t.Context(), at, platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Closing: func(_ string, c io.Closer) { closers = append(closers, c) }})
	if err != nil {
		t.Fatal(err)
	}
	for topic, consumers := range flow.Consumers() {
		for _, name := range consumers {
			d, err := q.Depth(t.Context(), topic, name)
			if err != nil {
				t.Fatal(err)
			}
			letters, err := q.Dead(t.Context(), topic, name, "", queue.MaxDead)
			if err != nil {
				t.Fatal(err)
			}
			left += d.Waiting + d.Leased
			for _, l := range letters {
				dead = append(dead, fmt.Sprintf("%s for %s after %d attempts: %s", topic, name, l.Attempt, l.Reason))
			}
		}
	}
	return left, dead
}

// heardAll holds what was heard meanwhile against all that there is: each once and in
// its order.
func (s *somebody) heardAll(t *testing.T, ids []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(ids, s.heard); diff != "" {
		t.Errorf("phone %d heard something else than there is to be told (-told +heard):\n%.2000s", s.load, diff)
	}
}

// writtenDown holds the audit log against what was acked.
func (w *troubled) writtenDown(t *testing.T) {
	t.Helper()
	w.place.run(t, w.Environment(), []int{0}, "insights", "--config", "cloud.yaml", "audit", "verify")
	_, bucket, _ := strings.Cut(w.Backends()["audit"], ":")
	at := "http://" + w.Address(emulated.Storage) + "/storage/v1/b/" + bucket + "/o"
	var log bytes.Buffer
	for _, name := range objects(t, at) {
		log.Write(fetch(t, at+"/"+url.PathEscape(name)+"?alt=media"))
	}
	accepted, err := phonetest.Accepted(log.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(slices.Values(w.counts())); !slices.Equal(accepted, want) {
		t.Errorf("the audit log holds %v uploads of the phones, want %v", accepted, want)
	}
}

// objects are the names of those with entries.
func objects(t *testing.T, at string) (names []string) {
	t.Helper()
	for next := ""; ; {
		var page struct {
			Items         []struct{ Name string }
			NextPageToken string
		}
		if err := json.Unmarshal(fetch(t, at+"?prefix=audit/&pageToken="+url.QueryEscape(next)), &page); err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Items {
			if strings.HasSuffix(o.Name, ".log") {
				names = append(names, o.Name)
			}
		}
		if next = page.NextPageToken; next == "" {
			return names
		}
	}
}

func fetch(t *testing.T, at string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", at, res.Status, err)
	}
	return body
}
