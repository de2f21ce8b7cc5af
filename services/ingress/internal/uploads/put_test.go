package uploads_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload/content"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/uploads"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
)

// asObjects has every body be an object of its own.
func asObjects(n *ingress.Needs) { n.Limits.RecordBytes = 0 }

func TestAnUploadIsAckedOnceItIsDurable(t *testing.T) {
	w := ingresstest.New(t, asObjects)
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Zipped(ingresstest.Batch(3))
	got := w.Upload(ingresstest.Anna, "upload-0001", body, ingresstest.Header{"Content-Encoding": "gzip"})
	if got.Status != 202 {
		t.Fatalf("status %d %s", got.Status, got.Body)
	}
	var r uploads.Receipt
	got.JSON(t, &r)
	want := uploads.Receipt{UploadID: "upload-0001", Received: 3, Accepted: 3, Rejected: r.Rejected[:0], Cursor: map[string]string{"HKQuantityTypeIdentifierHeartRate": "anchor-1"}, Status: "/v1/uploads/upload-0001"}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}

	stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"anna", "upload-0001", stored.Value.BodySHA256[:16]} {
		if strings.Contains(stored.Value.Blob, secret) {
			t.Errorf("the blob lies at %s, which has %s in it", stored.Value.Blob, secret)
		}
	}
	sealed, err := w.Blobs.Get(t.Context(), stored.Value.Blob)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := w.Keys.Open(t.Context(), "anna", stored.Value.Blob, sealed)
	if err != nil || string(opened) != string(body) {
		t.Errorf("the blob is not the body as received: %v", err)
	}
	depth, err := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake)
	if err != nil || depth.Waiting != 1 {
		t.Errorf("queue depth %+v, %v; want one message", depth, err)
	}
	if n := w.Audit.Count(audit.UploadAccepted); n != 1 {
		t.Errorf("%d audit entries, want 1", n)
	}
	if cc := got.Header.Get("Cache-Control"); cc != "private, no-store" {
		t.Errorf("Cache-Control %q", cc)
	}

	var status uploads.View
	w.Do("GET", r.Status, ingresstest.Anna, nil).JSON(t, &status)
	if status.State != "received" || status.Accepted != 3 || status.Bytes != len(body) || status.Encoding != "gzip" {
		t.Errorf("status %+v", status)
	}
}

// A body that is small lies in its record, sealed with it, and nowhere else. One that
// has no room there, with its receipt, is an object.
func TestASmallUploadLiesInItsRecord(t *testing.T) {
	for name, tt := range map[string]struct {
		samples, most int
		inside        bool
	}{
		"small": {3, 256 << 10, true}, "large": {1000, 256 << 10, false}, "too large for a document": {2000, 8 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.RecordBytes = tt.most })
			w.Consent(ingresstest.Anna, true)
			body := ingresstest.Batch(tt.samples)
			if r := w.Upload(ingresstest.Anna, "upload-0001", body); r.Status != 202 {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
			if err != nil {
				t.Fatal(err)
			}
			inside := bytes.Equal(stored.Value.Body, body) && stored.Value.Blob == ""
			if objects := len(w.Objects(blob.KindUploads, "anna")); inside != tt.inside || (objects == 0) != tt.inside {
				t.Errorf("the body is in the record: %v, want %v; %d objects", inside, tt.inside, objects)
			}
		})
	}
}

// Of a body that went from its record as it was merged the digest of what it says is
// left: the same batch that is written otherwise is still the same.
func TestTheSameIDAgainOnceItIsMerged(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	first := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2))
	stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	u := stored.Value
	if u.Content, err = content.Of(u.Body, health.InstantOf(u.ReceivedAt)); err != nil {
		t.Fatal(err)
	}
	u.Body, u.State = nil, record.UploadMerged
	if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, u); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]ingresstest.Reply{
		"the same":        w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2)),
		"in other order":  w.Upload(ingresstest.Anna, "upload-0001", reordered(t)),
		"more than it is": w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(3)),
	} {
		if name == "more than it is" {
			if r.Status != 409 {
				t.Errorf("%s: %d", name, r.Status)
			}
			continue
		}
		if r.Status != 202 || string(r.Body) != string(first.Body) {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

// reordered are two samples with their members in another order.
func reordered(t *testing.T) []byte {
	t.Helper()
	var sorted any
	if err := json.Unmarshal(ingresstest.Batch(2), &sorted); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(sorted)
	if err != nil || string(text) == string(ingresstest.Batch(2)) {
		t.Fatal("the members should be in another order", err)
	}
	return text
}

func TestTheSameIDAgain(t *testing.T) {
	t.Run("in its record", func(t *testing.T) { theSameIDAgain(t, ingresstest.New(t), 0) })
	t.Run("an object", func(t *testing.T) { theSameIDAgain(t, ingresstest.New(t, asObjects), 1) })
}

func theSameIDAgain(t *testing.T, w *ingresstest.World, objects int) {
	t.Helper()
	w.Consent(ingresstest.Anna, true)
	first := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2))
	if first.Status != 202 {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	again := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2))
	if again.Status != 202 || string(again.Body) != string(first.Body) {
		t.Errorf("the same body got %d %s, want the first reply", again.Status, again.Body)
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 2 {
		t.Errorf("a repeated upload that waits is announced again: depth %+v, want 2", depth)
	}
	other := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(3))
	if other.Status != 409 || other.Code() != "upload_conflict" {
		t.Errorf("another body got %d %s, want 409", other.Status, other.Body)
	}
	for what, anew := range map[string]ingresstest.Reply{
		"compressed":                    w.Do("PUT", "/v1/uploads/upload-0001", ingresstest.Anna, ingresstest.Zipped(ingresstest.Batch(2)), ingresstest.AsJSON(), ingresstest.Header{"Content-Encoding": "gzip"}),
		"with members in another order": w.Upload(ingresstest.Anna, "upload-0001", reordered(t)),
	} {
		if anew.Status != 202 || string(anew.Body) != string(first.Body) {
			t.Errorf("the same batch, %s: %d %s", what, anew.Status, anew.Body)
		}
	}
	if found := w.Objects(blob.KindUploads, "anna"); len(found) != objects {
		t.Errorf("%d blobs are left, want that of the first upload alone, if it is one", len(found))
	}
	if r := w.Consent(ingresstest.Ben, true); r.Status != 200 {
		t.Fatal(r.Status)
	}
	if r := w.Upload(ingresstest.Ben, "upload-0001", ingresstest.Batch(3)); r.Status != 202 {
		t.Errorf("another person's same id got %d, want 202", r.Status)
	}
}

// An upload that is sent again is announced again while there is something left to
// do: also one that is held, which the worker looks at again. That it came is in the
// audit log whatever has become of it: the process may have died between the two.
func TestARepeatedUploadIsAnnouncedWhileItWaits(t *testing.T) {
	for state, want := range map[record.UploadState]int{record.UploadReceived: 2, record.UploadHeld: 2, record.UploadMerged: 1, record.UploadFailed: 1} {
		w := ingresstest.New(t)
		w.Consent(ingresstest.Anna, true)
		w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2))
		stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
		if err != nil {
			t.Fatal(err)
		}
		stored.Value.State = state
		if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, stored.Value); err != nil {
			t.Fatal(err)
		}
		if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2)); r.Status != 202 {
			t.Fatal(r.Status)
		}
		if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != want {
			t.Errorf("%s: depth %+v, want %d", state, depth, want)
		}
		if n := w.Audit.Count(audit.UploadAccepted); n != 2 {
			t.Errorf("%s: the audit log has it %d times, want 2", state, n)
		}
	}
}

// The table of the upload contract: what is refused, how, and that nothing is kept of it.
func TestUploadsThatAreRefused(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	good := ingresstest.Batch(1)
	tests := map[string]struct {
		id      string
		body    []byte
		headers ingresstest.Header
		status  int
		code    string
	}{
		"an id that is too short":                   {"short", good, nil, 422, "invalid_request"},
		"an id that is too long":                    {strings.Repeat("a", 65), good, nil, 422, "invalid_request"},
		"an id with an escape":                      {"upload%2F001", good, nil, 422, "invalid_request"},
		"a query parameter":                         {"upload-0002?token=x", good, nil, 422, "invalid_request"},
		"no body":                                   {"upload-0002", nil, nil, 400, "malformed_json"},
		"not JSON":                                  {"upload-0002", []byte("hello"), nil, 400, "malformed_json"},
		"truncated JSON":                            {"upload-0002", good[:len(good)/2], nil, 400, "malformed_json"},
		"another schema":                            {"upload-0002", []byte(strings.Replace(string(good), "upload/1", "upload/2", 1)), nil, 422, "unsupported_schema"},
		"another content type":                      {"upload-0002", good, ingresstest.Header{"Content-Type": "text/csv"}, 415, "unsupported_media_type"},
		"no content type":                           {"upload-0002", good, ingresstest.Header{"Content-Type": ""}, 415, "unsupported_media_type"},
		"another charset":                           {"upload-0002", good, ingresstest.Header{"Content-Type": "application/json; charset=latin1"}, 415, "unsupported_media_type"},
		"an encoding that is not known":             {"upload-0002", good, ingresstest.Header{"Content-Encoding": "br"}, 415, "unsupported_encoding"},
		"an encoding twice over":                    {"upload-0002", ingresstest.Zipped(ingresstest.Zipped(good)), ingresstest.Header{"Content-Encoding": "gzip, gzip"}, 415, "unsupported_encoding"},
		"gzip that is none":                         {"upload-0002", good, ingresstest.Header{"Content-Encoding": "gzip"}, 400, "malformed_encoding"},
		"truncated gzip":                            {"upload-0002", ingresstest.Zipped(good)[:100], ingresstest.Header{"Content-Encoding": "gzip"}, 400, "malformed_encoding"},
		"gzip within gzip":                          {"upload-0002", ingresstest.Zipped(ingresstest.Zipped(good)), ingresstest.Header{"Content-Encoding": "gzip"}, 400, "malformed_json"},
		"an envelope with a member that is unknown": {"upload-0002", []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[],"uid":"ben"}`), nil, 422, "invalid_envelope"},
		"an envelope without a time zone":           {"upload-0002", []byte(`{"schema":"clarity.upload/1","installationId":"i","samples":[]}`), nil, 422, "invalid_envelope"},
		"10,001 samples":                            {"upload-0002", ingresstest.Batch(10_001), nil, 413, "too_large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.Upload(ingresstest.Anna, tt.id, tt.body, tt.headers)
			if got.Status != tt.status || got.Code() != tt.code {
				t.Errorf("got %d %s, want %d %s", got.Status, got.Body, tt.status, tt.code)
			}
			if ct := got.Header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
	if found, err := w.Blobs.List(t.Context(), "uploads/", "", 10); err != nil || len(found) != 0 {
		t.Errorf("refused uploads left %d blobs (%v)", len(found), err)
	}
	if r := w.Upload(ingresstest.Anna, "upload-0003", good); r.Status != 202 {
		t.Errorf("the next good upload got %d %s", r.Status, r.Body)
	}
}

func TestConsentDecides(t *testing.T) {
	w := ingresstest.New(t, asObjects)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 403 || r.Code() != "consent_required" {
		t.Errorf("without consent: %d %s", r.Status, r.Body)
	}
	w.Consent(ingresstest.Anna, true)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Errorf("with consent: %d %s", r.Status, r.Body)
	}
	w.Consent(ingresstest.Anna, false)
	if r := w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(1)); r.Status != 403 {
		t.Errorf("right after the withdrawal: %d %s", r.Status, r.Body)
	}
	if found, _ := w.Blobs.List(t.Context(), "uploads/", "", 10); len(found) != 1 {
		t.Errorf("%d blobs, want the one that was consented to", len(found))
	}

	held, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	held.Value.State = record.UploadHeld
	if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", held.Version, held.Value); err != nil {
		t.Fatal(err)
	}
	w.Consent(ingresstest.Anna, true)
	if _, err := w.Store.Agenda.Get(t.Context(), "anna", agenda.Errand{Kind: agenda.Resume}.Key()); err != nil {
		t.Errorf("what is held is not taken up again: %v", err)
	}
	var all struct {
		Items []struct {
			Granted bool
			History []struct{}
		}
	}
	w.Do("GET", "/v1/consents", ingresstest.Anna, nil).JSON(t, &all)
	if len(all.Items) != 2 || !all.Items[0].Granted || len(all.Items[0].History) != 2 || all.Items[1].Granted {
		b, _ := json.Marshal(all)
		t.Errorf("consents %s", b)
	}
}
