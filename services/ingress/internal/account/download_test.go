package account_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
)

// days gives Anna n days, and an export to download; it returns its path.
func days(w *ingresstest.World, n int) string {
	w.T.Helper()
	for i := range n {
		if _, err := w.Store.Days.Put(w.T.Context(), "anna", health.Day(20000+i).String(), 0, record.Day{Chunk: "c"}); err != nil {
			w.T.Fatal(err)
		}
	}
	var e struct{ Download string }
	w.Do("POST", "/v1/exports", ingresstest.Anna, nil).JSON(w.T, &e)
	return e.Download
}

// The reply of a download that fails is 200 already: that it lacks its end says
// so, and the log says why.
func TestADownloadThatFailsHasNoEnd(t *testing.T) {
	var fail atomic.Bool
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Limits.DownloadsPerUser = 1
		n.Samples = func(context.Context, string, string) ([]health.Sample, error) {
			if fail.Load() {
				return nil, errors.New("a chunk is gone")
			}
			return nil, nil
		}
	})
	path := days(w, 2)
	for range 2 { // a download that is over gives its place back
		if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != 200 || !strings.HasSuffix(string(r.Body), `{"kind":"end","lines":2}`+"\n") {
			t.Errorf("whole: %d %s", r.Status, r.Body)
		}
	}
	if said := w.Log.String(); strings.Contains(said, "ended early") {
		t.Errorf("a whole download ended early: %s", said)
	}
	fail.Store(true)
	if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != 200 || strings.Contains(string(r.Body), `"end"`) || strings.Count(string(r.Body), "\n") != 1 {
		t.Errorf("cut: %d %s", r.Status, r.Body)
	}
	if said := w.Log.String(); !strings.Contains(said, "export ended early") || !strings.Contains(said, "a chunk is gone") {
		t.Error("nobody is told why")
	}
}

// Downloads have places of their own: neither waits for an event stream.
func TestADownloadTakesAPlace(t *testing.T) {
	reading, read := make(chan struct{}, 2), make(chan struct{})
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Limits.StreamsPerUser, n.Limits.DownloadsPerUser = 1, 1
		n.Samples = func(context.Context, string, string) ([]health.Sample, error) {
			reading <- struct{}{}
			<-read
			return nil, nil
		}
	})
	path := days(w, 1)
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	<-lines
	done := make(chan ingresstest.Reply)
	go func() { done <- w.Do("GET", path, ingresstest.Anna, nil) }()
	<-reading
	if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != 429 || r.Code() != "too_many_requests" || r.Header.Get("Retry-After") == "" {
		t.Errorf("beside a download: %d %s", r.Status, r.Body)
	}
	close(read)
	if r := <-done; r.Status != 200 {
		t.Errorf("beside a stream: %d %s", r.Status, r.Body)
	}
}

// Whoever goes away has nothing more read for them, and it is nobody's fault.
func TestADownloadWhoseClientGoesAway(t *testing.T) {
	const all = 64
	var read atomic.Int64
	gone := make(chan struct{})
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Samples = func(context.Context, string, string) ([]health.Sample, error) {
			if read.Add(1) > 1 {
				<-gone
			}
			raw := `"` + strings.Repeat("x", 1<<20) + `"`
			return []health.Sample{{Type: "HKA", Raw: raw}, {Type: "HKA", Raw: raw}}, nil
		}
	})
	path := days(w, all)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+ingresstest.Anna)
	response, err := w.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	close(gone)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Server.Shutdown(ctx); err != nil { // waits for streams
		t.Fatal(err)
	}
	if n := read.Load(); n == all {
		t.Errorf("all %d days were read for nobody", n)
	}
	if said := w.Log.String(); strings.Contains(said, "ended early") {
		t.Errorf("it is told as a fault: %s", said)
	}
}

// A download may take longer than one write: each batch of lines has its own time.
func TestADownloadOutlivesTheWriteTimeout(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Limits.WriteTimeout, n.Limits.Heartbeat = time.Second, 500*time.Millisecond
		n.Samples = func(context.Context, string, string) ([]health.Sample, error) {
			time.Sleep(300 * time.Millisecond)
			return make([]health.Sample, 70), nil
		}
	})
	path := days(w, 6)
	if r, err := w.Try("GET", path, ingresstest.Anna, nil); err != nil || !strings.HasSuffix(string(r.Body), fmt.Sprintf(`{"kind":"end","lines":%d}`, 6*71)+"\n") {
		t.Errorf("%d bytes, %v", len(r.Body), err)
	}
}

func TestAReceiptThatCannotBeRead(t *testing.T) {
	w := ingresstest.New(t)
	if _, err := w.Store.Accounts.Put(t.Context(), "anna", record.AccountKey, 0, record.Account{ErasedAt: time.Now(), Receipt: "{"}); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"GET /v1/account/receipt", "DELETE /v1/account"} {
		method, path, _ := strings.Cut(request, " ")
		if r := w.Do(method, path, ingresstest.Anna, nil); r.Status != 500 || r.Code() != "internal_error" {
			t.Errorf("%s: %d %s", request, r.Status, r.Body)
		}
	}
}

// What is remembered of a person lets the request in; the answer before it cannot be read.
func TestAnAnswerBeforeThatCannotBeRead(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.PersonTTL = time.Hour })
	w.Consent(ingresstest.Anna, true)
	w.Do("GET", "/v1/consents", ingresstest.Anna, nil) // is remembered
	w.Break("get consents")
	if r := put(w, "narrative", `{"granted":true,"version":"1"}`); r.Status != 500 || r.Code() != "internal_error" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	w.Mend()
	if _, err := w.Store.Consents.Get(t.Context(), "anna", "narrative"); err == nil {
		t.Error("it was written all the same")
	}
}

// The tag of a profile is the one that was given with it, and nothing else is one.
func TestTheTagOfAProfile(t *testing.T) {
	w := ingresstest.New(t)
	write := func(tag string) ingresstest.Reply {
		return w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": tag})
	}
	for _, tag := range []string{`"x"`, `0`, `"00"`, `"0`, `""`, `W/"0"`, `"-1"`, `"+0"`} {
		if r := write(tag); r.Status != 412 || r.Code() != "precondition_failed" {
			t.Errorf("If-Match %s before any profile: %d %s", tag, r.Status, r.Body)
		}
	}
	given := map[string]bool{}
	for n, tag := 0, `"0"`; n < 12; n++ {
		r := write(tag)
		if given[tag] = true; r.Status != 200 || given[r.Header.Get("Etag")] {
			t.Errorf("If-Match %s: %d %s, want one that was not given before", tag, r.Status, r.Header.Get("Etag"))
		}
		if old := write(tag); old.Status != 412 {
			t.Errorf("If-Match %s, once more: %d", tag, old.Status)
		}
		tag = r.Header.Get("Etag")
	}
}
