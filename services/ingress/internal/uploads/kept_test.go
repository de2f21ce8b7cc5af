package uploads_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/uploads"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
)

// mixed is an upload of which one entry is taken and two are not.
func mixed() []byte {
	one := string(ingresstest.Batch(1))
	return []byte(strings.Replace(one, `"samples":[`, `"samples":[7,{"uuid":"x"},`, 1))
}

// counts are the lines of /metrics that begin with a name.
func counts(w *ingresstest.World, name string) (lines []string) {
	for _, line := range strings.Split(string(w.Do("GET", "/metrics", "", nil).Body), "\n") {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestWhatIsCountedOfUploads(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	body := mixed()
	if r := w.Upload(ingresstest.Anna, "upload-0001", body); r.Status != 202 || r.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", r.Status, r.Header, r.Body)
	}
	w.Upload(ingresstest.Anna, "upload-0001", body)
	w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2))
	w.Upload(ingresstest.Anna, "upload-0002", []byte("no JSON"))
	w.Upload(ingresstest.Ben, "upload-0002", body)
	for name, want := range map[string][]string{
		"clarity_uploads_total": {
			`clarity_uploads_total{outcome="accepted"} 1`, `clarity_uploads_total{outcome="conflict"} 1`, `clarity_uploads_total{outcome="failed"} 0`,
			`clarity_uploads_total{outcome="refused"} 2`, `clarity_uploads_total{outcome="repeated"} 1`,
		},
		"clarity_upload_entries_total":     {`clarity_upload_entries_total{verdict="accepted"} 1`, `clarity_upload_entries_total{verdict="rejected"} 2`},
		"clarity_upload_bytes_total":       {fmt.Sprintf("clarity_upload_bytes_total %d", len(body))},
		"clarity_upload_ack_seconds_count": {"clarity_upload_ack_seconds_count 2"},
	} {
		if diff := cmp.Diff(want, counts(w, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is shown of an upload, before it is merged and after.
func TestAnUploadAsItIsShown(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	body := mixed()
	w.Upload(ingresstest.Anna, "upload-0001", body)
	show := func() (v uploads.View) {
		w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Anna, nil).JSON(t, &v)
		return v
	}
	got := show()
	if len(got.BodySHA256) != 64 || time.Since(time.Time(got.ReceivedAt)) > time.Hour {
		t.Errorf("%+v", got)
	}
	want := uploads.View{
		UploadID: "upload-0001", State: "received", ReceivedAt: got.ReceivedAt, Bytes: len(body), Encoding: "identity", BodySHA256: got.BodySHA256,
		Received: 3, Accepted: 1, Rejected: 2, Days: []health.Day{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	merged := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	u := stored.Value
	u.State, u.MergedAt, u.Added, u.Duplicates, u.Deleted, u.Days = record.UploadMerged, merged, 4, 5, 6, []health.Day{20000}
	if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, u); err != nil {
		t.Fatal(err)
	}
	want.State, want.MergedAt, want.Added, want.Duplicates, want.Deleted, want.Days = "merged", reply.TimeOrNil(merged), 4, 5, 6, []health.Day{20000}
	if diff := cmp.Diff(want, show()); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	var all struct{ Items []uploads.View }
	w.Do("GET", "/v1/uploads", ingresstest.Anna, nil).JSON(t, &all)
	if diff := cmp.Diff([]uploads.View{want}, all.Items); diff != "" {
		t.Errorf("in the list (-want +got):\n%s", diff)
	}
}

// cutting destroys a person's key once their upload's blob is written.
type cutting struct {
	blob.Store
	keys   keyring.Eraser
	once   sync.Once
	remove error
}

func (c *cutting) Put(ctx context.Context, name string, data []byte) (generation int64, err error) {
	if generation, err = c.Store.Put(ctx, name, data); err != nil {
		return 0, err
	}
	c.once.Do(func() { err = c.keys.Destroy(ctx, "anna") })
	return generation, err
}

func (c *cutting) Delete(ctx context.Context, name string, generation int64) error {
	return errors.Join(c.remove, c.Store.Delete(ctx, name, generation))
}

// An erasure by another process, between an upload's blob and its record: the
// answer is that of an erased account, and nothing of it stays.
func TestAKeyThatIsDestroyedMeanwhile(t *testing.T) {
	for name, remove := range map[string]error{"its blob is removed": nil, "its blob cannot be removed": errors.New("disk full")} {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(n *ingress.Needs) {
				n.Blobs = &cutting{Store: n.Blobs, keys: n.Keys.(keyring.Eraser), remove: remove}
			})
			w.Consent(ingresstest.Anna, true)
			if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 410 || r.Code() != "account_erased" {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			if found := w.Objects(blob.KindUploads, "anna"); len(found) > 0 {
				t.Errorf("%d blobs are left", len(found))
			}
			if got := counts(w, `clarity_uploads_total{outcome="failed"}`); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
				t.Errorf("counted as %v", got)
			}
		})
	}
}

// Two bodies whose names collide: the first one's blob stays.
func TestAConflictUnderTheSameName(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1))
	stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
	if err != nil {
		t.Fatal(err)
	}
	stored.Value.BodySHA256 = strings.Repeat("0", 64)
	if _, err := w.Store.Uploads.Put(t.Context(), "anna", "upload-0001", stored.Version, stored.Value); err != nil {
		t.Fatal(err)
	}
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 409 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if _, err := w.Blobs.Get(t.Context(), stored.Value.Blob); err != nil {
		t.Errorf("the first upload's blob: %v", err)
	}
}

// Room that a large body held is free again, however it came out.
func TestLargeBodiesGiveTheirRoomBack(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.BodyBytes, n.Limits.HandlerTimeout = 128<<10, 3*time.Second })
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Batch(200)
	if len(body) < 64<<10 || len(body) > 128<<10 {
		t.Fatalf("%d bytes", len(body))
	}
	for n := range 6 {
		if r := w.Upload(ingresstest.Anna, fmt.Sprintf("upload-%04d", n), body); r.Status != 202 {
			t.Fatalf("upload %d: %d %s", n, r.Status, r.Body)
		}
		if r := w.Upload(ingresstest.Anna, fmt.Sprintf("upload-%04d", n), body[:len(body)-1]); r.Status != 400 {
			t.Fatalf("upload %d, broken: %d %s", n, r.Status, r.Body)
		}
	}
	if r := w.Upload(ingresstest.Anna, "upload-large", make([]byte, 128<<10+1)); r.Status != 413 || r.Code() != "too_large" {
		t.Errorf("over the limit: %d %s", r.Status, r.Body)
	}
}

// What is large or says so is of the past: it is told in a lane of its own, and again
// there.
func TestHistoryHasALaneOfItsOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		body  []byte
		topic string
	}{
		"of today":             {ingresstest.Batch(2), flow.TopicUploads},
		"it says it is old":    {bytes.Replace(ingresstest.Batch(2), []byte(`"daily"`), []byte(`"historical"`), 1), flow.TopicHistory},
		"more than a day has":  {ingresstest.Batch(5001), flow.TopicHistory},
		"as much as a day has": {ingresstest.Batch(5000), flow.TopicUploads},
	} {
		w := ingresstest.New(t)
		w.Consent(ingresstest.Anna, true)
		for range 2 {
			if r := w.Upload(ingresstest.Anna, "upload-0001", tt.body); r.Status != 202 {
				t.Fatalf("%s: %d %s", name, r.Status, r.Body)
			}
		}
		for _, topic := range []string{flow.TopicUploads, flow.TopicHistory} {
			want := 0
			if topic == tt.topic {
				want = 2
			}
			if depth, err := w.Queue.Depth(t.Context(), topic, flow.Intake); err != nil || depth.Waiting != want {
				t.Errorf("%s: %s has %+v, %v; want %d", name, topic, depth, err, want)
			}
		}
		stored, err := w.Store.Uploads.Get(t.Context(), "anna", "upload-0001")
		if err != nil || stored.Value.Historical != (tt.topic == flow.TopicHistory) {
			t.Errorf("%s: of the past %v, %v", name, stored.Value.Historical, err)
		}
	}
}

// A withdrawal while the body is still coming: it is refused, not a failure.
func TestAWithdrawalWhileTheBodyComes(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Batch(1)
	read, send := io.Pipe()
	go func() {
		_, _ = send.Write(body[:10])
		time.Sleep(100 * time.Millisecond) // by now it was let in
		_, _ = w.Try("PUT", "/v1/consents/processing", ingresstest.Anna, strings.NewReader(`{"granted":false,"version":"1"}`), ingresstest.AsJSON())
		_, _ = send.Write(body[10:])
		_ = send.Close()
	}()
	r, err := w.Try("PUT", "/v1/uploads/upload-0001", ingresstest.Anna, read, ingresstest.AsJSON())
	if err != nil || r.Status != 403 || r.Code() != "consent_required" {
		t.Errorf("%d %s %v", r.Status, r.Body, err)
	}
	if got := counts(w, `clarity_uploads_total{outcome="refused"}`); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("counted as %v", counts(w, "clarity_uploads_total"))
	}
	if found := w.Objects(blob.KindUploads, "anna"); len(found) > 0 {
		t.Errorf("%d blobs are left", len(found))
	}
}
