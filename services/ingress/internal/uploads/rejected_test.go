package uploads_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/store"
)

// wrong are ten ways in which a phone makes every one of its samples wrong.
func wrong() []string {
	const good = `{"uuid":"%08X-AAAA-4BBB-8CCC-000000000000","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-11-20T06:00:00+01:00",` +
		`"end":"2026-11-20T06:00:00+01:00","value":60,"unit":"count/min","source":{"bundleId":"com.apple.health"},"metadata":{"HKTimeZone":"Europe/Berlin"}}`
	change := func(old, by string) string { return strings.Replace(good, old, by, 1) }
	return []string{
		change(`"uuid":"%08X-AAAA-4BBB-8CCC-000000000000"`, `"uuid":"%08X"`),
		change(`"start":"2026-11-20T06:00:00+01:00"`, `"start":"yesterday"`),
		change(`"end":"2026-11-20T06:00:00+01:00"`, `"end":"2026-11-20T05:00:00+01:00"`),
		change(`"start":"2026-11-20T06:00:00+01:00","end":"2026-11-20T06:00:00+01:00"`, `"start":"2099-11-20T06:00:00+01:00","end":"2099-11-20T06:00:00+01:00"`),
		change(`"value":60`, `"value":"sixty"`),
		change(`"value":60`, `"value":6000000`),
		change(`"unit":"count/min"`, `"unit":"furlong"`),
		change(`"metadata":{"HKTimeZone":"Europe/Berlin"}`, `"metadata":"Europe/Berlin"`),
		change(`"value":60,`, ``),
		change(`"value":60,`, `"value":60,"value":60,`),
	}
}

// A phone that is wrong in every sample is told so, and told the same again: its
// record is a document as any other.
func TestTenThousandRejectionsAreAReceipt(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	bodies := map[string][]string{"mixed": wrong()}
	for i, kind := range wrong() {
		bodies[fmt.Sprint("kind-", i)] = []string{kind}
	}
	for name, kinds := range bodies {
		var b bytes.Buffer
		b.WriteString(`{"schema":"clarity.upload/1","installationId":"inst-1","timeZone":"Europe/Berlin","samples":[`)
		for n := range upload.MaxSamples {
			if n > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strings.Replace(kinds[n%len(kinds)], "%08X", fmt.Sprintf("%08X", n), 1))
		}
		b.WriteString(`],"cursor":{},"stage":"daily","final":false}`)
		body := ingresstest.Zipped(b.Bytes())
		first := w.Upload(ingresstest.Anna, "upload-"+name, body, ingresstest.Header{"Content-Encoding": "gzip"})
		if n := bytes.Count(first.Body, []byte(`"code"`)); first.Status != 202 || n != upload.MaxSamples {
			t.Fatalf("%s: %d with %d rejections: %.300s", name, first.Status, n, first.Body)
		}
		again := w.Upload(ingresstest.Anna, "upload-"+name, body, ingresstest.Header{"Content-Encoding": "gzip"})
		if again.Status != 202 || !bytes.Equal(first.Body, again.Body) {
			t.Errorf("%s: the same body got %d and another receipt", name, again.Status)
		}
		d, err := w.Documents.Get(t.Context(), store.Key{Collection: "uploads", UID: "anna", Key: "upload-" + name})
		if err != nil || len(d.Data) > store.MaxDocument/4 {
			t.Errorf("%s: its record is %d bytes, %v", name, len(d.Data), err)
		}
	}
}

// What another app wrote and nobody here can read costs no sample: the receipt says so.
func TestAReceiptSaysWhatWasNotUnderstood(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	body := bytes.Replace(ingresstest.Batch(3), []byte(`"Europe/Berlin"`), []byte(`"GMT+0100"`), 1)
	body = bytes.Replace(body, []byte(`"HKTimeZone":"Europe/Berlin"`), []byte(`"HKTimeZone":"europe/berlin"`), 1)
	r := w.Upload(ingresstest.Anna, "upload-0001", body)
	if want := `"warnings":[{"code":"invalid_zone","count":1,"first":0,`; r.Status != 202 || !bytes.Contains(r.Body, []byte(want)) || !bytes.Contains(r.Body, []byte(`"accepted":3,"rejected":[]`)) {
		t.Errorf("%d %s, want %s", r.Status, r.Body, want)
	}
}

// A cursor that no document has room for is refused for good, and leaves nothing.
func TestACursorThatNoDocumentHasRoomFor(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	anchors := map[string]string{}
	for n := range 500 {
		noise := make([]byte, 3000)
		_, _ = rand.Read(noise)
		anchors[fmt.Sprint("HK", n)] = base64.StdEncoding.EncodeToString(noise)
	}
	cursor, err := json.Marshal(anchors)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Replace(ingresstest.Batch(1), []byte(`{"HKQuantityTypeIdentifierHeartRate":"anchor-1"}`), cursor, 1)
	r := w.Upload(ingresstest.Anna, "upload-0001", body)
	if r.Status != 413 || r.Code() != "too_large" || !bytes.Contains(r.Body, []byte("document_bytes")) {
		t.Errorf("%d %.300s", r.Status, r.Body)
	}
	if n := objects(t, w); n != 0 {
		t.Errorf("%d objects are kept", n)
	}
}
