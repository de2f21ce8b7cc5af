package upload_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

// FuzzDecode holds the decoder against the oracle: the same bodies refused, the
// same entries accepted, the same samples built; and against itself: the same
// verdicts with and without building.
func FuzzDecode(f *testing.F) {
	f.Add(uploadtest.Body(3, uploadtest.Options{Deleted: 2}))
	for _, c := range sampleCases {
		f.Add(bodyOf(c.sample))
	}
	for _, c := range envelopeCases {
		f.Add([]byte(c.body))
	}
	f.Add(seriesBody(electrocardiogram(""), routeHead+`,"locations":[`+located+`]}`, beatsHead+`,"beats":[{"time":0,"precededByGap":false}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 12<<10 {
			return
		}
		agree(t, body)
	})
}

func agree(t *testing.T, body []byte) {
	t.Helper()
	if root, err := parse(body); err == nil && root.members["schema"].text == series.Schema {
		agreeOnSeries(t, body)
		return
	}
	var samples []health.Sample
	got, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) })
	quick, quickErr := upload.Decode(body, now, nil)
	if !reflect.DeepEqual(got, quick) || !reflect.DeepEqual(err, quickErr) {
		t.Fatalf("with samples %+v, %v\nwithout %+v, %v", got, err, quick, quickErr)
	}
	want := rule(body, now)
	if (err != nil) != (want.refused != "") {
		t.Fatalf("error %v, but the oracle says %q", err, want.refused)
	}
	if err != nil {
		var e *upload.Error
		if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(body) || got != nil || len(samples) != 0 {
			t.Fatalf("error %#v, envelope %v, %d samples", err, got, len(samples))
		}
		return
	}
	accepted := make([]bool, got.Received)
	for i := range accepted {
		accepted[i] = true
	}
	deletedFrom := len(want.accepted) - deletions(body)
	for _, r := range got.Rejected {
		at := r.Index
		if r.In == "deleted" {
			at += deletedFrom
		}
		accepted[at] = false
	}
	if diff := cmp.Diff(want.accepted, accepted, cmp.Transformer("empty", func(b []bool) []bool { return append([]bool{}, b...) })); diff != "" {
		t.Fatalf("accepted (-oracle +decoder):\n%s\n%+v", diff, got.Rejected)
	}
	if got.Accepted != got.Received-len(got.Rejected) || len(samples)+len(got.Deleted) != got.Accepted {
		t.Fatalf("received %d, accepted %d, rejected %d, %d samples, %d deletions", got.Received, got.Accepted, len(got.Rejected), len(samples), len(got.Deleted))
	}
	for i := range samples {
		sameMetadata(t, want.samples[i].Metadata, samples[i].Metadata)
		want.samples[i].Metadata, samples[i].Metadata = "", ""
	}
	if !reflect.DeepEqual(want.samples, samples) {
		t.Fatalf("samples (-oracle +decoder):\n%s", cmp.Diff(want.samples, samples))
	}
	for i, d := range got.Deleted {
		if d.UUID != want.deleted[i] {
			t.Fatalf("deletion %d is %v, want %v", i, d.UUID, want.deleted[i])
		}
	}
}

// agreeOnSeries holds the decoder against itself: the same verdicts with and without
// building, and of each accepted series what was sent.
func agreeOnSeries(t *testing.T, body []byte) {
	t.Helper()
	var samples []health.Sample
	got, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) })
	quick, quickErr := upload.Decode(body, now, nil)
	if !reflect.DeepEqual(err, quickErr) {
		t.Fatalf("building %v, without %v", err, quickErr)
	}
	if err != nil {
		return
	}
	for i := range samples {
		summary, ok := series.Of(&samples[i])
		content := got.Series[summary.Digest]
		if sum := sha256.Sum256(content); !ok || !json.Valid(content) || hex.EncodeToString(sum[:]) != summary.Digest {
			t.Fatalf("series %d is %+v with %d bytes", i, summary, len(content))
		}
	}
	got.Series = nil
	if !reflect.DeepEqual(got, quick) || len(samples)+len(got.Deleted) != got.Accepted || got.Accepted+len(got.Rejected) != got.Received {
		t.Fatalf("building %+v, %d samples\nwithout %+v", got, len(samples), quick)
	}
}

func deletions(body []byte) int {
	root, err := parse(body)
	if err != nil {
		return 0
	}
	return len(root.members["deleted"].items)
}

// sameMetadata compares the members; that ours are sorted and compact is
// another test's affair.
func sameMetadata(t *testing.T, want, got string) {
	t.Helper()
	if want == "" || got == "" {
		if want != got {
			t.Fatalf("metadata %q, want %q", got, want)
		}
		return
	}
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal([]byte(got), &b); err != nil {
		t.Fatalf("metadata is not JSON: %v", err)
	}
	if err := json.Unmarshal([]byte(want), &a); err != nil {
		t.Fatal(err)
	}
	for _, m := range []map[string]json.RawMessage{a, b} {
		for k, v := range m {
			var c bytes.Buffer
			if err := json.Compact(&c, v); err != nil {
				t.Fatal(err)
			}
			m[k] = c.Bytes()
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("metadata (-want +got):\n%s", cmp.Diff(a, b))
	}
}

// Every prefix, and every single changed byte, of a small body.
func TestEveryChangeOfOneByteIsRuledAlike(t *testing.T) {
	body := []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d",` +
		`"type":"HKQuantityTypeIdentifierHeartRate","start":"2026-11-20T06:58:01.5+01:00","end":"2026-11-20T06:58:02Z","value":6.1e1,"unit":"count/min",` +
		`"source":{"name":"\u00fc é"},"metadata":{"HKTimeZone":"Europe/Berlin","a":[1,{"b":null}]}},7],"deleted":[{"uuid":"6A1B3C5D-7E9F-4A0B-8C1D-2E3F4A5B6C7D","type":"x"}],` +
		`"cursor":{"x":"y"},"stage":"daily","final":true}`)
	agree(t, body)
	for n := range body {
		agree(t, body[:n])
		for _, c := range []byte("\"\\{}[],:0-9.eEtZ \x00\x1f\x7f\xc3\xff") {
			changed := bytes.Clone(body)
			changed[n] = c
			agree(t, changed)
		}
	}
}

// Every prefix, and every single changed byte, of a small body of series.
func TestEveryChangeOfOneByteOfASeriesIsRuledAlike(t *testing.T) {
	body := seriesBody(electrocardiogram(""), routeHead+`,"locations":[`+located+`]}`, beatsHead+`,"beats":[{"time":0,"precededByGap":false}]}`)
	for n := range body {
		agree(t, body[:n])
		for _, c := range []byte("\"\\{}[],:0-9.eZ \xc3") {
			changed := bytes.Clone(body)
			changed[n] = c
			agree(t, changed)
		}
	}
}

func TestWhiteSpaceAndOrderOfMembersDoNotMatter(t *testing.T) {
	body := uploadtest.Body(12, uploadtest.Options{Deleted: 2})
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, body, " ", "\t"); err != nil {
		t.Fatal(err)
	}
	agree(t, spaced.Bytes())
	read := func(body []byte) (samples []health.Sample) {
		if _, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) }); err != nil {
			t.Fatal(err)
		}
		return samples
	}
	want := read(body)
	if diff := cmp.Diff(want, read(spaced.Bytes())); diff != "" {
		t.Errorf("with white space (-want +got):\n%s", diff)
	}
	var tree map[string]any // encoding/json writes the members by name: timeZone last, value after type
	if err := json.Unmarshal(body, &tree); err != nil {
		t.Fatal(err)
	}
	for _, s := range tree["samples"].([]any)[:4] { // these are of the envelope's zone, which comes last
		delete(s.(map[string]any)["metadata"].(map[string]any), "HKTimeZone")
	}
	tree["timeZone"] = "Asia/Tokyo"
	sorted, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Index(sorted, []byte(`"timeZone"`)) < bytes.Index(sorted, []byte(`"samples"`)) {
		t.Fatal("the zone should come behind the samples")
	}
	for i := range want[:4] {
		want[i].Zone = "Asia/Tokyo"
	}
	got := read(sorted)
	for i := range got {
		got[i].Metadata, want[i].Metadata = strings.ReplaceAll(got[i].Metadata, " ", ""), strings.ReplaceAll(want[i].Metadata, " ", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in another order (-want +got):\n%s", diff)
	}
}
