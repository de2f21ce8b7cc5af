package account_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/vault"
)

const exportID = "00000000000000000000000000000001"

func TestARangeOfADownload(t *testing.T) {
	w := ingresstest.New(t)
	path := w.PutExport(exportID, "0123", "4567", "89\n")
	const all = "0123456789\n"
	whole := w.Do("GET", path, ingresstest.Anna, nil)
	tag := whole.Header.Get("Etag")
	if whole.Status != 200 || string(whole.Body) != all || len(tag) != 66 || whole.Header.Get("Content-Length") != "11" || whole.Header.Get("Accept-Ranges") != "bytes" || whole.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %q %v", whole.Status, whole.Body, whole.Header)
	}
	tests := map[string]struct {
		headers ingresstest.Header
		status  int
		body    string
		of      string // Content-Range
	}{
		"from the middle of a part":     {ingresstest.Header{"Range": "bytes=5-"}, 206, all[5:], "bytes 5-10/11"},
		"over parts":                    {ingresstest.Header{"Range": "bytes=2-8"}, 206, all[2:9], "bytes 2-8/11"},
		"one byte":                      {ingresstest.Header{"Range": "bytes=4-4"}, 206, "4", "bytes 4-4/11"},
		"beyond the end":                {ingresstest.Header{"Range": "bytes=9-99"}, 206, all[9:], "bytes 9-10/11"},
		"the last":                      {ingresstest.Header{"Range": "bytes=-3"}, 206, all[8:], "bytes 8-10/11"},
		"more than all":                 {ingresstest.Header{"Range": "bytes=-300"}, 206, all, "bytes 0-10/11"},
		"behind the end":                {ingresstest.Header{"Range": "bytes=11-"}, 416, "", "bytes */11"},
		"the last none":                 {ingresstest.Header{"Range": "bytes=-0"}, 416, "", "bytes */11"},
		"several are ignored":           {ingresstest.Header{"Range": "bytes=0-1,3-4"}, 200, all, ""},
		"backwards":                     {ingresstest.Header{"Range": "bytes=5-4"}, 200, all, ""},
		"of other units":                {ingresstest.Header{"Range": "lines=5-6"}, 200, all, ""},
		"no number":                     {ingresstest.Header{"Range": "bytes=a-b"}, 200, all, ""},
		"of what is there":              {ingresstest.Header{"Range": "bytes=10-", "If-Range": tag}, 206, "\n", "bytes 10-10/11"},
		"of another":                    {ingresstest.Header{"Range": "bytes=10-", "If-Range": `"x"`}, 200, all, ""},
		"who has it":                    {ingresstest.Header{"If-None-Match": `"x", W/` + tag}, 304, "", ""},
		"who has another":               {ingresstest.Header{"If-None-Match": `"x"`}, 200, all, ""},
		"compression is not asked here": {ingresstest.Header{"Accept-Encoding": "gzip"}, 200, all, ""},
	}
	for name, tt := range tests {
		r := w.Do("GET", path, ingresstest.Anna, nil, tt.headers)
		if r.Status != tt.status || tt.status < 400 && string(r.Body) != tt.body || r.Header.Get("Content-Range") != tt.of || tt.status == 416 && r.Code() != "range_not_satisfiable" {
			t.Errorf("%s: %d %q %v", name, r.Status, r.Body, r.Header)
		}
	}
	if r := w.Do("HEAD", path, ingresstest.Anna, nil); r.Status != 200 || r.Header.Get("Etag") != tag || len(r.Body) > 0 {
		t.Errorf("HEAD: %d %v", r.Status, r.Header)
	}
}

// A part that is gone is an error before the reply, or breaks the connection: it
// never looks like the end.
func TestADownloadThatCannotBeWhole(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.DownloadsPerUser = 1 })
	path := w.PutExport(exportID, strings.Repeat("a", 100<<10), "b")
	e, err := w.Store.Exports.Get(t.Context(), "anna", exportID)
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.New(w.Blobs, w.Keys).Remove(t.Context(), e.Value.Parts[1].Object); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a download that is over gives its place back
		if r, err := w.Try("GET", path, ingresstest.Anna, nil); err == nil {
			t.Errorf("it ends as if it were whole: %d, %d bytes", r.Status, len(r.Body))
		}
	}
	if said := w.Log.String(); !strings.Contains(said, "export download ended early") {
		t.Error("nobody is told why")
	}
	if r := w.Do("GET", path, ingresstest.Anna, nil, ingresstest.Header{"Range": "bytes=102400-"}); r.Status != 404 {
		t.Errorf("the part alone: %d %s", r.Status, r.Body)
	}
}

// Downloads have places of their own: neither waits for an event stream.
func TestADownloadTakesAPlace(t *testing.T) {
	reading, read := make(chan struct{}, 2), make(chan struct{})
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Limits.StreamsPerUser, n.Limits.DownloadsPerUser = 1, 1
		n.Blobs = &ingresstest.Slow{Store: n.Blobs, Reading: reading, Read: read}
	})
	path := w.PutExport(exportID, "a")
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
	w := ingresstest.New(t)
	parts := make([]string, 64)
	for i := range parts {
		parts[i] = strings.Repeat("x", 1<<20)
	}
	path := w.PutExport(exportID, parts...)
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
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // its place is free again
		if r := w.Do("GET", path, ingresstest.Anna, nil, ingresstest.Header{"Range": "bytes=0-0"}); r.Status == 206 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("it holds its place")
		}
	}
	if said := w.Log.String(); strings.Contains(said, "ended early") {
		t.Errorf("it is told as a fault: %s", said)
	}
}

// A download may take longer than one write: each has its own time.
func TestADownloadOutlivesTheWriteTimeout(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.WriteTimeout, n.Limits.Heartbeat = time.Second, 500*time.Millisecond })
	parts := make([]string, 24)
	for i := range parts {
		parts[i] = strings.Repeat("x", 1<<20)
	}
	path := w.PutExport(exportID, parts...)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+ingresstest.Anna)
	response, err := w.Client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read := 0
	for range len(parts) / 4 {
		n, err := io.ReadFull(response.Body, make([]byte, 4<<20))
		if read += n; err != nil {
			t.Fatalf("behind %d bytes: %v", read, err)
		}
		time.Sleep(400 * time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n > 0 {
		t.Errorf("%d more, %v", n, err)
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
