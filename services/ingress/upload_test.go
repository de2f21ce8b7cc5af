package ingress

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record"
)

const anna, ben = "person-anna", "person-ben"

func TestAnUploadIsAckedOnceItIsDurable(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	body := zipped(batch(3))
	got := w.upload(anna, "upload-0001", body, header{"Content-Encoding": "gzip"})
	if got.status != 202 {
		t.Fatalf("status %d %s", got.status, got.body)
	}
	var r receipt
	got.json(t, &r)
	want := receipt{UploadID: "upload-0001", Received: 3, Accepted: 3, Rejected: r.Rejected[:0], Cursor: map[string]string{"HKQuantityTypeIdentifierHeartRate": "anchor-1"}, Status: "/v1/uploads/upload-0001"}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}

	record, err := w.store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := w.blobs.Get(t.Context(), record.Value.Blob)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := w.keys.Open(t.Context(), "anna", record.Value.Blob, sealed)
	if err != nil || string(opened) != string(body) {
		t.Errorf("the blob is not the body as received: %v", err)
	}
	depth, err := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake)
	if err != nil || depth.Waiting != 1 {
		t.Errorf("queue depth %+v, %v; want one message", depth, err)
	}
	if n := w.audit.count(audit.UploadAccepted); n != 1 {
		t.Errorf("%d audit entries, want 1", n)
	}
	if cc := got.header.Get("Cache-Control"); cc != "private, no-store" {
		t.Errorf("Cache-Control %q", cc)
	}

	var status uploadView
	w.do("GET", r.Status, anna, nil).json(t, &status)
	if status.State != "received" || status.Accepted != 3 || status.Bytes != len(body) || status.Encoding != "gzip" {
		t.Errorf("status %+v", status)
	}
}

func TestTheSameIDAgain(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	first := w.upload(anna, "upload-0001", batch(2))
	if first.status != 202 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	again := w.upload(anna, "upload-0001", batch(2))
	if again.status != 202 || string(again.body) != string(first.body) {
		t.Errorf("the same body got %d %s, want the first reply", again.status, again.body)
	}
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 2 {
		t.Errorf("a repeated upload that waits is announced again: depth %+v, want 2", depth)
	}
	other := w.upload(anna, "upload-0001", batch(3))
	if other.status != 409 || other.code() != "upload_conflict" {
		t.Errorf("another body got %d %s, want 409", other.status, other.body)
	}
	if found, _ := w.blobs.List(t.Context(), blob.PersonPrefix(blob.KindUploads, "anna"), "", 10); len(found) != 1 {
		t.Errorf("%d blobs are left, want that of the first upload alone", len(found))
	}
	if r := w.consent(ben, true); r.status != 200 {
		t.Fatal(r.status)
	}
	if r := w.upload(ben, "upload-0001", batch(3)); r.status != 202 {
		t.Errorf("another person's same id got %d, want 202", r.status)
	}
}

func TestARepeatedUploadThatIsMergedIsNotAnnounced(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	w.upload(anna, "upload-0001", batch(2))
	stored, err := w.store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	stored.Value.State = record.UploadMerged
	if _, err := w.store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, stored.Value); err != nil {
		t.Fatal(err)
	}
	if r := w.upload(anna, "upload-0001", batch(2)); r.status != 202 {
		t.Fatal(r.status)
	}
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 1 {
		t.Errorf("depth %+v, want the first message alone", depth)
	}
}

// The table of the upload contract: what is refused, how, and that nothing is kept of it.
func TestUploadsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	good := batch(1)
	tests := map[string]struct {
		id      string
		body    []byte
		headers header
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
		"another content type":                      {"upload-0002", good, header{"Content-Type": "text/csv"}, 415, "unsupported_media_type"},
		"no content type":                           {"upload-0002", good, header{"Content-Type": ""}, 415, "unsupported_media_type"},
		"another charset":                           {"upload-0002", good, header{"Content-Type": "application/json; charset=latin1"}, 415, "unsupported_media_type"},
		"an encoding that is not known":             {"upload-0002", good, header{"Content-Encoding": "br"}, 415, "unsupported_encoding"},
		"an encoding twice over":                    {"upload-0002", zipped(zipped(good)), header{"Content-Encoding": "gzip, gzip"}, 415, "unsupported_encoding"},
		"gzip that is none":                         {"upload-0002", good, header{"Content-Encoding": "gzip"}, 400, "malformed_encoding"},
		"truncated gzip":                            {"upload-0002", zipped(good)[:100], header{"Content-Encoding": "gzip"}, 400, "malformed_encoding"},
		"gzip within gzip":                          {"upload-0002", zipped(zipped(good)), header{"Content-Encoding": "gzip"}, 400, "malformed_json"},
		"an envelope with a member that is unknown": {"upload-0002", []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[],"uid":"ben"}`), nil, 422, "invalid_envelope"},
		"an envelope without a time zone":           {"upload-0002", []byte(`{"schema":"clarity.upload/1","installationId":"i","samples":[]}`), nil, 422, "invalid_envelope"},
		"10,001 samples":                            {"upload-0002", batch(10_001), nil, 413, "too_large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.upload(anna, tt.id, tt.body, tt.headers)
			if got.status != tt.status || got.code() != tt.code {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, tt.code)
			}
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
		})
	}
	if found, err := w.blobs.List(t.Context(), "uploads/", "", 10); err != nil || len(found) != 0 {
		t.Errorf("refused uploads left %d blobs (%v)", len(found), err)
	}
	if r := w.upload(anna, "upload-0003", good); r.status != 202 {
		t.Errorf("the next good upload got %d %s", r.status, r.body)
	}
}

func TestConsentDecides(t *testing.T) {
	w := newWorld(t)
	if r := w.upload(anna, "upload-0001", batch(1)); r.status != 403 || r.code() != "consent_required" {
		t.Errorf("without consent: %d %s", r.status, r.body)
	}
	w.consent(anna, true)
	if r := w.upload(anna, "upload-0001", batch(1)); r.status != 202 {
		t.Errorf("with consent: %d %s", r.status, r.body)
	}
	w.consent(anna, false)
	if r := w.upload(anna, "upload-0002", batch(1)); r.status != 403 {
		t.Errorf("right after the withdrawal: %d %s", r.status, r.body)
	}
	if found, _ := w.blobs.List(t.Context(), "uploads/", "", 10); len(found) != 1 {
		t.Errorf("%d blobs, want the one that was consented to", len(found))
	}

	held, err := w.store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	held.Value.State = record.UploadHeld
	if _, err := w.store.Uploads.Put(t.Context(), "anna", "upload-0001", held.Version, held.Value); err != nil {
		t.Fatal(err)
	}
	w.consent(anna, true)
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 2 {
		t.Errorf("depth %+v: the held upload is published again", depth)
	}
	var all struct{ Items []consentView }
	w.do("GET", "/v1/consents", anna, nil).json(t, &all)
	if len(all.Items) != 2 || !all.Items[0].Granted || len(all.Items[0].History) != 2 || all.Items[1].Granted {
		b, _ := json.Marshal(all)
		t.Errorf("consents %s", b)
	}
}
