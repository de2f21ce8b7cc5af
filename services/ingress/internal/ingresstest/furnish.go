package ingresstest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/vault"
)

// Secret is in every one of A's records.
const Secret = "s3cr3t-of-anna"

// SeriesOf is the uuid of the series that Furnish gives A.
const SeriesOf = "0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d"

// Furnish gives A one of everything.
func Furnish(w *World) {
	w.T.Helper()
	w.Consent(Anna, true)
	ctx, day := w.T.Context(), "2026-11-20"
	must := func(_ int64, err error) {
		w.T.Helper()
		if err != nil {
			w.T.Fatal(err)
		}
	}
	one := 1.0
	must(w.Store.Uploads.Put(ctx, "anna", "upload-0001", 0, record.Upload{State: record.UploadMerged, Reason: Secret, Encoding: "gzip"}))
	must(w.Store.Days.Put(ctx, "anna", day, 0, record.Day{Zone: Secret, Samples: 1, Types: map[string]record.TypeSummary{Secret: {Count: 1}},
		Series: []points.Reference{{UUID: SeriesOf, Type: Secret, Points: 3, Blob: "series/there"}}}))
	must(w.Store.Cursors.Put(ctx, "anna", "=all", 0, record.Cursors{Types: map[string]record.Cursor{"HKX": {Anchor: Secret}}}))
	must(w.Store.Results.Put(ctx, "anna", day, 0, record.Result{Result: analysis.Result{
		Input: analysis.Input{Kind: "none", SleepSource: "none", SleepAlgorithm: Secret}, Sleep: analysis.Family{"s3cr3t_of_anna": &one}}}))
	must(w.Store.Insights.Put(ctx, "anna", day, 0, record.Insight{Insight: analysis.Insight{Sentences: []analysis.Claim{{Text: Secret}}, Facts: []analysis.Fact{{ID: "a.b", Label: Secret}}}}))
	must(w.Store.Events.Put(ctx, "anna", "0000000000000001", 0, notice.Page{Event: notice.Event{Kind: flow.ResultStored, Ref: Secret}}))
	must(w.Store.Profiles.Put(ctx, "anna", record.ProfileKey, 0, record.Profile{TimeZone: "Europe/Berlin", SourcePriority: []string{Secret}}))
	must(w.Store.Devices.Put(ctx, "anna", device.Key, 0, device.Devices{All: map[string]device.Device{Secret: {Token: "t", RegisteredAt: w.Clock.Now()}}}))
	w.PutExport("00000000000000000000000000000001", `{"kind":"note","value":"`+Secret+`"}`+"\n", `{"kind":"end","lines":1}`+"\n")
}

// PutExport gives A an export of these parts, which is ready, and returns its path.
func (w *World) PutExport(id string, parts ...string) (path string) {
	w.T.Helper()
	ctx, objects := context.Background(), vault.New(w.Blobs, w.Keys)
	e := record.Export{State: exported.Ready, CreatedAt: w.Clock.Now(), ReadyAt: w.Clock.Now(), ExpiresAt: w.Clock.Now().Add(exported.Kept), Slot: 1}
	digest := sha256.New()
	for i, part := range parts {
		_, _ = io.WriteString(digest, part)
		packed, err := exported.Pack([]byte(part))
		if err != nil {
			w.T.Fatal(err)
		}
		name, err := objects.Replace(ctx, blob.KindExports, "anna", fmt.Sprintf("%s/%d", id, i), packed)
		if err != nil {
			w.T.Fatal(err)
		}
		e.Parts, e.Bytes = append(e.Parts, exported.Part{Object: name, Bytes: len(part)}), e.Bytes+len(part)
	}
	e.Digest = hex.EncodeToString(digest.Sum(nil))
	if _, err := w.Store.Exports.Put(ctx, "anna", id, 0, e); err != nil {
		w.T.Fatal(err)
	}
	return "/v1/exports/" + id + "/download"
}

// ShortStreams ends streams soon.
func ShortStreams(n *ingress.Needs) { n.Limits.StreamLifetime = 100 * time.Millisecond }

// Stream opens the person's events; lines come on the channel until it ends.
func (w *World) Stream(token, lastID string) (lines <-chan string, closeStream func()) {
	w.T.Helper()
	ctx, cancel := context.WithCancel(w.T.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/v1/events", nil)
	if err != nil {
		w.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	client := &http.Client{Transport: w.Client.Transport}
	res, err := client.Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.T.Fatalf("stream: %d %v", res.StatusCode, res.Header)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out, cancel
}

// Deliver stores the person's event n.
func (w *World) Deliver(uid string, n int) {
	w.T.Helper()
	_, err := w.Store.Events.Put(w.T.Context(), uid, fmt.Sprintf("%016x", n), 0, notice.Page{Event: notice.Event{Kind: flow.ResultStored, Ref: fmt.Sprintf("ref-%d", n), Version: "v", At: time.Unix(int64(n), 0)}})
	if err != nil {
		w.T.Fatal(err)
	}
}

// Raw sends bytes over a connection of its own and returns the first reply.
func (w *World) Raw(request string) (*http.Response, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		return nil, err
	}
	w.T.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(c), nil)
}
