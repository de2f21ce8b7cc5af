package ingress

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Canaries in every field a client fills: nowhere but in the person's own
// replies, and there alone.
func TestCanariesAreFoundNowhere(t *testing.T) {
	dir := ""
	w := newWorld(t, shortStreams)
	dir = w.dir
	const canary = "CANARYx7Qz"
	w.consent(anna, true)
	h := header{"User-Agent": canary, "Referer": "http://" + canary, "X-Forwarded-For": canary, "Cookie": "a=" + canary}
	sample := `{"uuid":"0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d","type":"HK` + canary + `","start":"2026-11-20T06:58:01+01:00","end":"2026-11-20T06:58:01+01:00","value":61.987654321,"unit":"` + canary + `","source":{"bundleId":"` + canary + `","name":"` + canary + `","productType":"` + canary + `","osVersion":"` + canary + `"},"metadata":{"` + canary + `":"` + canary + `"}}`
	envelope := `{"schema":"clarity.upload/1","installationId":"` + canary + `","timeZone":"Europe/Berlin","samples":[` + sample + `],"deleted":[{"uuid":"` + canary + `","type":"` + canary + `"}],"cursor":{"` + canary + `":"` + canary + `"}}`
	var replies bytes.Buffer
	say := func(r reply) { replies.Write(r.body); fmt.Fprintln(&replies, r.header) }
	if r := w.upload(anna, "upload-0001", []byte(envelope), h); r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	say(w.upload(anna, "upload-0002", []byte(`{"`+canary+`":1}`), h))
	say(w.upload(anna, "upload-0002", []byte(`{"schema":"`+canary+`"}`), h))
	say(w.upload(anna, "upload-0002", []byte(strings.Replace(envelope, "Europe/Berlin", canary, 1)), h))
	say(w.upload(anna, canary+"%00", []byte(envelope), h))
	say(w.upload(anna, "upload-0002", []byte(envelope), header{"Content-Type": canary}))
	say(w.upload(anna, "upload-0002", []byte(envelope), header{"Content-Encoding": canary}))
	say(w.upload("person-"+canary+" x", "upload-0002", []byte(envelope), h))
	say(w.upload("expired-"+canary, "upload-0002", []byte(envelope), h))
	for _, path := range []string{"/" + canary, "/v1/days?" + canary + "=1", "/v1/days?limit=" + canary, "/v1/days?from=" + canary, "/v1/days/" + canary, "/v1/days?cursor=%22" + canary, "/v1/exports/" + canary, "/v1/trends?metric=" + canary, "/healthz?" + canary + "=" + canary} {
		say(w.do("GET", path, anna, nil, h))
	}
	say(w.do("GET", "/v1/events", anna, nil, header{"Last-Event-ID": canary}))
	for _, body := range []string{`{"` + canary + `":1}`, `{"birthYear":"` + canary + `"}`, `{"timeZone":"` + canary + `"}`, `{"sex":"` + canary + `"}`, canary, `{"sourcePriority":"` + canary + `"}`} {
		say(w.do("PUT", "/v1/profile", anna, []byte(body), asJSON, header{"If-Match": `"0"`}))
		say(w.do("PUT", "/v1/profile", anna, []byte(body), asJSON, header{"If-Match": canary}))
		say(w.do("PUT", "/v1/consents/"+canary, anna, []byte(body), asJSON))
		say(w.do("POST", "/v1/insights", anna, []byte(body), asJSON))
	}
	say(w.do("FROB"+canary, "/v1/days", anna, nil, h))
	if r := w.do("PUT", "/v1/profile", anna, []byte(`{"sourcePriority":["`+canary+`"]}`), asJSON, header{"If-Match": `"0"`}); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := w.do("PUT", "/v1/consents/narrative", anna, []byte(`{"granted":true,"version":"`+canary+`"}`), asJSON); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	w.do("DELETE", "/v1/account", ben, nil, h)

	find := func(where string, data []byte) {
		for _, secret := range []string{canary, "61.987654321", anna} {
			if i := bytes.Index(data, []byte(secret)); i >= 0 {
				t.Errorf("%s holds %q: …%s…", where, secret, data[max(0, i-80):min(len(data), i+80)])
			}
		}
	}
	find("a refusal", replies.Bytes())
	find("the log", []byte(w.log.String()))
	if strings.Contains(w.log.String(), `"anna"`) || strings.Contains(w.log.String(), "upload-000") {
		t.Error("the log names the person or the path")
	}
	find("the metrics", w.do("GET", "/metrics", "", nil).body)
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
	w := newWorld(t)
	series := func() int {
		families, err := w.server.Registry.Gather()
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
	w.consent(anna, true)
	for i := range 50 {
		w.do("GET", fmt.Sprintf("/v1/uploads/upload-%04d", i), fmt.Sprintf("person-%d", i), nil)
		w.do(fmt.Sprintf("M%d", i), fmt.Sprintf("/p%d", i), "", nil)
	}
	w.upload(anna, "upload-0001", batch(1))
	if after := series(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	text := string(w.do("GET", "/metrics", "", nil).body)
	for _, line := range []string{`clarity_uploads_total{outcome="accepted"} 1`, `clarity_upload_ack_seconds_count 1`, `clarity_http_requests_total{class="4xx",method="any",route="none"} 50`, `clarity_upload_entries_total{verdict="accepted"} 1`} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}
