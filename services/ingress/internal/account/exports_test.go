package account_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/ingress/internal/account"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

func create(w *ingresstest.World) account.ExportView {
	w.T.Helper()
	var e account.ExportView
	r := w.Do("POST", "/v1/exports", ingresstest.Anna, nil)
	if r.Status != 201 || r.Header.Get("Location") == "" {
		w.T.Fatalf("%d %s", r.Status, r.Body)
	}
	r.JSON(w.T, &e)
	return e
}

// shown is the export as it is now.
func shown(w *ingresstest.World, id string) (e account.ExportView) {
	w.T.Helper()
	w.Do("GET", "/v1/exports/"+id, ingresstest.Anna, nil).JSON(w.T, &e)
	return e
}

func events(w *ingresstest.World) int64 {
	w.T.Helper()
	depth, err := w.Queue.Depth(w.T.Context(), flow.TopicEvents, flow.Feed)
	if err != nil {
		w.T.Fatal(err)
	}
	return int64(depth.Waiting)
}

// From the request to the end of its time.
func TestAnExport(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	w.Samples = func(context.Context, string, string) ([]health.Sample, error) {
		return []health.Sample{{Type: "HKQuantityTypeIdentifierHeartRate", Value: 61, Unit: "/min", Metadata: `{"a":1}`}}, nil
	}
	e := create(w)
	if e.State != "pending" || e.ExpiresAt != nil {
		t.Errorf("at first: %+v", e)
	}
	early := w.Do("GET", e.Download, ingresstest.Anna, nil)
	if early.Status != 409 || early.Code() != "export_pending" || early.Header.Get("Retry-After") == "" {
		t.Errorf("before it is made: %d %s", early.Status, early.Body)
	}
	if errand, err := w.Store.Agenda.Get(t.Context(), "anna", agenda.ExportKey(1)); err != nil || errand.Value.Ref != e.ExportID {
		t.Errorf("nobody is asked to make it: %+v, %v", errand.Value, err)
	}
	w.Export("anna", e.ExportID)
	if n := events(w); n != 1 {
		t.Errorf("%d events: the devices are told", n)
	}
	ready := shown(w, e.ExportID)
	got := w.Do("GET", e.Download, ingresstest.Anna, nil)
	kinds, total := map[string]int{}, 0
	lines := bytes.Split(bytes.TrimSpace(got.Body), []byte("\n"))
	for _, line := range lines {
		var l struct {
			Kind  string
			Lines int
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Kind == "end" {
			total = l.Lines
			continue
		}
		kinds[l.Kind]++
	}
	want := map[string]int{"profile": 1, "consent": 1, "device": 1, "upload": 1, "cursor": 1, "day": 1, "sample": 1, "series": 1, "result": 1, "insight": 1, "event": 1, "export": 2}
	if diff := cmp.Diff(want, kinds); diff != "" || total != len(lines)-1 {
		t.Errorf("%d lines, the end says %d; kinds (-want +got):\n%s", len(lines)-1, total, diff)
	}
	if diff := cmp.Diff(want, ready.Lines); diff != "" || ready.State != "ready" || ready.Bytes != len(got.Body) || got.Header.Get("Etag") != `"`+ready.Digest+`"` || ready.Parts != 1 {
		t.Errorf("%+v of %d bytes, tag %s (-want +got):\n%s", ready, len(got.Body), got.Header.Get("Etag"), diff)
	}
	if w.Audit.Count(audit.ExportCreated) != 1 || w.Audit.Count(audit.DataRead) != 1 {
		t.Error("the export and its download are audited")
	}
	w.Clock.Advance(7*24*time.Hour + time.Minute)
	for _, path := range []string{"/v1/exports/" + e.ExportID, e.Download} {
		if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != 404 {
			t.Errorf("after a week: %d %s", r.Status, r.Body)
		}
	}
	w.Export("anna", e.ExportID)
	if _, err := w.Store.Exports.Get(t.Context(), "anna", e.ExportID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its record: %v", err)
	}
	if left, err := w.Blobs.List(t.Context(), blob.KindExports+"/", "", 10); err != nil || len(left) != 2 { // those of the other export
		t.Errorf("%d objects are left, %v", len(left), err)
	}
}

// What is damaged costs nothing else: the export holds all that can be read, and says
// what cannot.
func TestAnExportOfWhatIsDamaged(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	w.Samples = func(context.Context, string, string) ([]health.Sample, error) {
		return nil, fmt.Errorf("read chunk: %w", blob.ErrCorrupt)
	}
	for id, u := range map[string]record.Upload{
		"damaged": {State: record.UploadHeld, Encoding: "gzip", Body: []byte("x")},
		"gone":    {State: record.UploadReceived, Encoding: "identity", Blob: "uploads/00/anna/gone"},
		"whole":   {State: record.UploadReceived, Encoding: "identity", Body: []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[],"deleted":[{"uuid":"0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d","type":"HKQuantityTypeIdentifierHeartRate"}]}`)},
	} {
		if _, err := w.Store.Uploads.Put(t.Context(), "anna", id, 0, u); err != nil {
			t.Fatal(err)
		}
	}
	e := create(w)
	w.Export("anna", e.ExportID)
	if got := shown(w, e.ExportID); got.State != "ready" || got.Lines["unreadable"] != 3 || got.Lines["held"] != 1 || got.Lines["series"] != 1 {
		t.Fatalf("%+v", got)
	}
	got := string(w.Do("GET", e.Download, ingresstest.Anna, nil).Body)
	for _, line := range []string{
		`{"kind":"unreadable","key":"2026-11-20","value":{"kind":"sample","reason":"damaged"}}`,
		`{"kind":"unreadable","key":"damaged","value":{"kind":"held","reason":"damaged"}}`,
		`{"kind":"unreadable","key":"gone","value":{"kind":"held","reason":"gone"}}`,
		`"unreadable":3}`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("%s is missing in:\n%s", line, got)
		}
	}
	n := 0
	for _, err := range clarityexport.NDJSON(strings.NewReader(got)) {
		if n++; err != nil {
			t.Errorf("it cannot be read back: %v", err)
		}
	}
}

// One that cannot be complete says so, and nothing of it can be downloaded.
func TestAnExportThatFails(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	damaged, err := w.Documents.Get(t.Context(), store.Key{Collection: "results", UID: "anna", Key: "2026-11-20"})
	if err != nil {
		t.Fatal(err)
	}
	damaged.Data[len(damaged.Data)-1]++
	if _, err := w.Documents.Batch(t.Context(), []store.Write{{Key: damaged.Key, IfVersion: damaged.Version, Data: damaged.Data}}); err != nil {
		t.Fatal(err)
	}
	e := create(w)
	w.Export("anna", e.ExportID)
	if failed := shown(w, e.ExportID); failed.State != "failed" || failed.Reason != "unreadable" || failed.ExpiresAt == nil {
		t.Errorf("%+v", failed)
	}
	if r := w.Do("GET", e.Download, ingresstest.Anna, nil); r.Status != 409 || r.Code() != "export_failed" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if n := events(w); n != 1 {
		t.Errorf("%d events: the devices are told", n)
	}
}

// A person has three, however many ask at once, and a place again for each that goes.
func TestAPersonHasThreeExports(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	var mu sync.Mutex
	var group sync.WaitGroup
	codes := map[int]int{}
	for range 12 {
		group.Go(func() {
			r, err := w.Try("POST", "/v1/exports", ingresstest.Anna, strings.NewReader(""))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.Status == 429 && (r.Code() != "too_many_exports" || !strings.Contains(string(r.Body), `"max":3`)) {
				t.Errorf("%v %s", err, r.Body)
			}
			codes[r.Status]++
		})
	}
	group.Wait()
	if diff := cmp.Diff(map[int]int{201: 3, 429: 9}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var list struct{ Items []account.ExportView }
	w.Do("GET", "/v1/exports", ingresstest.Anna, nil).JSON(t, &list)
	if len(list.Items) != 3 {
		t.Fatalf("%d exports", len(list.Items))
	}
	path := "/v1/exports/" + list.Items[1].ExportID
	if r := w.Do("DELETE", path, ingresstest.Anna, nil); r.Status != 204 {
		t.Errorf("delete: %d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", path, ingresstest.Anna, nil); r.Status != 404 {
		t.Errorf("delete again: %d %s", r.Status, r.Body)
	}
	w.Do("GET", "/v1/exports", ingresstest.Anna, nil).JSON(t, &list)
	if len(list.Items) != 2 {
		t.Errorf("%d exports after one was deleted", len(list.Items))
	}
	w.Clock.Advance(time.Second)
	w.Export("anna", strings.TrimPrefix(path, "/v1/exports/"))
	create(w)
	if r := w.Do("POST", "/v1/exports", ingresstest.Ben, nil); r.Status != 201 {
		t.Errorf("another person's: %d %s", r.Status, r.Body)
	}
}

// An export of a release before was a ticket, which copied nothing.
func TestATicketOfAReleaseBefore(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	const id = "00000000000000000000000000000007"
	if _, err := w.Store.Exports.Put(t.Context(), "anna", id, 0, record.Export{State: "ready", CreatedAt: w.Clock.Now(), ReadyAt: w.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	if e := shown(w, id); e.State != "failed" || e.Reason != "ask_again" {
		t.Errorf("%+v", e)
	}
	if r := w.Do("GET", "/v1/exports/"+id+"/download", ingresstest.Anna, nil); r.Status != 409 || r.Code() != "export_failed" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", "/v1/exports/"+id, ingresstest.Anna, nil); r.Status != 204 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/v1/exports/"+id, ingresstest.Anna, nil); r.Status != 404 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}
