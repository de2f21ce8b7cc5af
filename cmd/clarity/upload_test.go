package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What the platform refuses was not acked, and is not told as if it were.
func TestARefusedUploadIsNotAcked(t *testing.T) {
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		_, _ = w.Write([]byte(`{"items":[{"purpose":"processing","granted":true}]}`))
	}))
	defer platform.Close()
	file := write(t, "x.json", `{"schema":"clarity.upload/1","samples":[{}],"deleted":[]}`)
	stdout, stderr, code := clarity(t, "upload", "--server", platform.URL, "--token", "t", "--json", file)
	var report fileReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%q: %v", stdout, err)
	}
	if code != 1 || !strings.Contains(stderr, "the platform says 422") || len(report.Uploads) > 0 || report.Accepted > 0 || report.Records != 1 {
		t.Errorf("exit %d, %+v; %s", code, report, stderr)
	}
}
