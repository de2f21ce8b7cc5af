package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
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

// What the platform took with a warning is said, and a second run says that all of it
// was there: of what it touched then nothing is new.
func TestAnUploadThatIsThereAddsNothing(t *testing.T) {
	there := map[string]bool{}
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.TrimPrefix(r.URL.Path, "/v1/uploads/")
		switch {
		case r.Method == http.MethodPut:
			there[id] = true
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(`{"uploadId":"` + id + `","received":1,"accepted":1,"rejected":[],"warnings":[{"code":"unknown_value","count":1,"first":0,"detail":"it is kept"}]}`))
		case strings.HasPrefix(r.URL.Path, "/v1/uploads/") && !there[id]:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/v1/uploads/"):
			_, _ = w.Write([]byte(`{"uploadId":"` + id + `","state":"merged","added":1,"days":["2025-06-10"]}`))
		case r.URL.Path == "/v1/days":
			_, _ = w.Write([]byte(`{"items":[{"date":"2025-06-10","digest":"d","samples":1,"types":{"HKQuantityTypeIdentifierStepCount":{"count":1,"first":"2025-06-10T08:00:00.000Z"}}}]}`))
		case r.URL.Path == "/v1/weeks":
			_, _ = w.Write([]byte(`{"items":[` + weeksOn("2025-06-10") + `]}`))
		default:
			_, _ = w.Write([]byte(`{"items":[{"purpose":"processing","granted":true}]}`))
		}
	}))
	defer platform.Close()
	file := write(t, "x.json", `{"schema":"clarity.upload/1","samples":[{}],"deleted":[]}`)
	for _, want := range []string{
		"1 accepted with a warning (1 unknown_value); 1 upload acked\n  merged: 1 added, 0 there already, 0 deleted, in 1 days; 7 weeks analysed\n",
		"1 accepted with a warning (1 unknown_value); 1 upload acked\n  merged: 0 added, 1 there already, 0 deleted, in 0 days; 0 weeks analysed\n",
	} {
		stdout, stderr, code := clarity(t, "upload", "--server", platform.URL, "--token", "t", "--wait", file)
		if code != 0 || !strings.HasSuffix(stdout, want) {
			t.Errorf("exit %d: %s%s", code, stdout, stderr)
		}
	}
}

// weeksOn are the results of the seven weeks that are made of the day.
func weeksOn(day string) string {
	first, err := health.ParseDay(day)
	if err != nil {
		panic(err)
	}
	weeks := make([]string, 7)
	for n := range weeks {
		end := first + health.Day(n)
		weeks[n] = `{"date":"` + end.String() + `","result":{"window":{"start":"` + (end - 6).String() + `","end":"` + end.String() + `","days":7,"timeZone":"UTC"},"lineage":{"chunks":[{"day":"` + day + `","digest":"d"}]}}}`
	}
	return strings.Join(weeks, ",")
}
