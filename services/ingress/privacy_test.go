package ingress_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// Canaries in every field a client fills: nowhere but in the person's own
// replies, and there alone.
func TestCanariesAreFoundNowhere(t *testing.T) {
	dir := ""
	w := ingresstest.New(t, ingresstest.ShortStreams)
	dir = w.Dir
	const canary = "CANARYx7Qz"
	w.Consent(ingresstest.Anna, true)
	h := ingresstest.Header{"User-Agent": canary, "Referer": "http://" + canary, "X-Forwarded-For": canary, "Cookie": "a=" + canary}
	sample := `{"uuid":"0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d","type":"HK` + canary + `","start":"2026-11-20T06:58:01+01:00","end":"2026-11-20T06:58:01+01:00","value":61.987654321,"unit":"` + canary + `","source":{"bundleId":"` + canary + `","name":"` + canary + `","productType":"` + canary + `","osVersion":"` + canary + `"},"metadata":{"` + canary + `":"` + canary + `"}}`
	envelope := `{"schema":"clarity.upload/1","installationId":"` + canary + `","timeZone":"Europe/Berlin","samples":[` + sample + `],"deleted":[{"uuid":"` + canary + `","type":"` + canary + `"}],"cursor":{"` + canary + `":"` + canary + `"}}`
	var replies bytes.Buffer
	say := func(r ingresstest.Reply) { replies.Write(r.Body); fmt.Fprintln(&replies, r.Header) }
	if r := w.Upload(ingresstest.Anna, "upload-0001", []byte(envelope), h); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	say(w.Upload(ingresstest.Anna, "upload-0002", []byte(`{"`+canary+`":1}`), h))
	say(w.Upload(ingresstest.Anna, "upload-0002", []byte(`{"schema":"`+canary+`"}`), h))
	say(w.Upload(ingresstest.Anna, "upload-0002", []byte(strings.Replace(envelope, "Europe/Berlin", canary, 1)), h))
	say(w.Upload(ingresstest.Anna, canary+"%00", []byte(envelope), h))
	say(w.Upload(ingresstest.Anna, "upload-0002", []byte(envelope), ingresstest.Header{"Content-Type": canary}))
	say(w.Upload(ingresstest.Anna, "upload-0002", []byte(envelope), ingresstest.Header{"Content-Encoding": canary}))
	say(w.Upload("person-"+canary+" x", "upload-0002", []byte(envelope), h))
	say(w.Upload("expired-"+canary, "upload-0002", []byte(envelope), h))
	for _, path := range []string{"/" + canary, "/v1/days?" + canary + "=1", "/v1/days?limit=" + canary, "/v1/days?from=" + canary, "/v1/days/" + canary, "/v1/days?cursor=%22" + canary, "/v1/exports/" + canary, "/v1/trends?metric=" + canary, "/healthz?" + canary + "=" + canary} {
		say(w.Do("GET", path, ingresstest.Anna, nil, h))
	}
	say(w.Do("GET", "/v1/events", ingresstest.Anna, nil, ingresstest.Header{"Last-Event-ID": canary}))
	for _, body := range []string{`{"` + canary + `":1}`, `{"birthYear":"` + canary + `"}`, `{"timeZone":"` + canary + `"}`, `{"sex":"` + canary + `"}`, canary, `{"sourcePriority":"` + canary + `"}`} {
		say(w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}))
		say(w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": canary}))
		say(w.Do("PUT", "/v1/consents/"+canary, ingresstest.Anna, []byte(body), ingresstest.AsJSON()))
		say(w.Do("POST", "/v1/insights", ingresstest.Anna, []byte(body), ingresstest.AsJSON()))
	}
	say(w.Do("FROB"+canary, "/v1/days", ingresstest.Anna, nil, h))
	if r := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{"sourcePriority":["`+canary+`"]}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("PUT", "/v1/consents/narrative", ingresstest.Anna, []byte(`{"granted":true,"version":"`+canary+`"}`), ingresstest.AsJSON()); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	w.Do("DELETE", "/v1/account", ingresstest.Ben, nil, h)

	find := func(where string, data []byte) {
		for _, secret := range []string{canary, "61.987654321", ingresstest.Anna} {
			if i := bytes.Index(data, []byte(secret)); i >= 0 {
				t.Errorf("%s holds %q: …%s…", where, secret, data[max(0, i-80):min(len(data), i+80)])
			}
		}
	}
	find("a refusal", replies.Bytes())
	find("the log", []byte(w.Log.String()))
	if strings.Contains(w.Log.String(), `"anna"`) || strings.Contains(w.Log.String(), "upload-000") {
		t.Error("the log names the person or the path")
	}
	find("the metrics", w.Do("GET", "/metrics", "", nil).Body)
	files := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files++
		find(filepath.Base(path), data)
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("looked at %d files: %v", files, err)
	}
}

func TestMetricsAreBounded(t *testing.T) {
	w := ingresstest.New(t)
	series := func() int {
		families, err := w.Server.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range families {
			n += len(f.Metric)
		}
		return n
	}
	before := series()
	w.Consent(ingresstest.Anna, true)
	for i := range 50 {
		w.Do("GET", fmt.Sprintf("/v1/uploads/upload-%04d", i), fmt.Sprintf("person-%d", i), nil)
		w.Do(fmt.Sprintf("M%d", i), fmt.Sprintf("/p%d", i), "", nil)
	}
	w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1))
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	text := string(w.Do("GET", "/metrics", "", nil).Body)
	for _, line := range []string{`clarity_uploads_total{outcome="accepted"} 1`, `clarity_upload_ack_seconds_count 1`, `clarity_http_requests_total{class="4xx",method="any",route="none"} 50`, `clarity_upload_entries_total{verdict="accepted"} 1`} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}
