package uploads_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/vault"
)

// An upload that failed as its body was lost is taken anew when the same body comes
// again; one that failed for anything else is not, nor is it by another body.
func TestALostBodyThatComesAgainIsRestored(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		spoil  []byte // what is in the object's place; nil for nothing
		inside bool   // bodies lie in records by now
		body   int
		status int
		state  record.UploadState
	}{
		"gone":                          {"body_gone", nil, false, 1, 202, record.UploadReceived},
		"damaged":                       {"body_damaged", []byte("noise"), false, 1, 202, record.UploadReceived},
		"gone, and small":               {"body_gone", nil, true, 1, 202, record.UploadReceived},
		"of another reason":             {"too_many_deletions", nil, false, 1, 202, record.UploadFailed},
		"with another body":             {"body_gone", nil, false, 2, 409, record.UploadFailed},
		"another, and damaged":          {"body_damaged", []byte("noise"), false, 2, 409, record.UploadFailed},
		"another body, but in a record": {"body_damaged", []byte("noise"), true, 2, 409, record.UploadFailed},
	} {
		t.Run(name, func(t *testing.T) {
			options := []ingresstest.Option{asObjects}
			if tt.inside {
				options = nil
			}
			w := ingresstest.New(t, options...)
			w.Consent(ingresstest.Anna, true)
			receipt := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)).Body
			stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
			if err != nil {
				t.Fatal(err)
			}
			if tt.inside {
				stored.Value.Blob, stored.Value.Body = blob.KindUploads+"/00/anna/gone", nil
			} else {
				spoil(t, w.Blobs, stored.Value.Blob, tt.spoil)
			}
			stored.Value.State, stored.Value.Reason = record.UploadFailed, tt.reason
			if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, stored.Value); err != nil {
				t.Fatal(err)
			}
			body := ingresstest.Batch(tt.body)
			r := w.Upload(ingresstest.Anna, "upload-0001", body)
			if r.Status != tt.status || tt.status == 202 && string(r.Body) != string(receipt) {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			now, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
			if err != nil || now.Value.State != tt.state {
				t.Fatalf("%+v, %v", now.Value, err)
			}
			if tt.state != record.UploadReceived {
				return
			}
			kept := now.Value.Body
			if now.Value.Blob != "" {
				if kept, err = vault.New(w.Blobs, w.Keys).Get(t.Context(), "anna", now.Value.Blob); err != nil {
					t.Fatal(err)
				}
			}
			depth, err := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake)
			if string(kept) != string(body) || now.Value.Reason != "" || now.Due.IsZero() || err != nil || depth.Waiting != 2 {
				t.Errorf("%+v due %v; %d messages, %v", now.Value, now.Due, depth.Waiting, err)
			}
		})
	}
}

// spoil has something else be in the object's place, or nothing.
func spoil(t *testing.T, blobs blob.Store, name string, by []byte) {
	t.Helper()
	info, err := blobs.Stat(t.Context(), name)
	if err == nil {
		err = blobs.Delete(t.Context(), name, info.Generation)
	}
	if err == nil && by != nil {
		_, err = blobs.Put(t.Context(), name, by)
	}
	if err != nil {
		t.Fatal(err)
	}
}
