package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

// What no result is made of leaves none waiting: a weight that comes behind a heartbeat
// asks for no analysis.
func TestFsckWaitsForNoAnalysisThatNobodyAskedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startPlatform(t, dir, "--unlimited")
	c := crashClient(t, p.url, dir, phonetest.Load(0))
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	put := func(id, sample string) {
		t.Helper()
		body := `{"schema":"clarity.upload/1","installationId":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","timeZone":"Europe/Berlin","samples":[` + sample + `],"deleted":[]}`
		u, err := phone.Pack([]byte(body), 1, 0)
		if err == nil {
			u.ID = id
			_, err = c.Put(t.Context(), u)
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.Merged(t.Context(), id); err != nil || s.Added != 1 {
			t.Fatal(s, err)
		}
	}
	put("upload-beat", `{"uuid":"0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-10-20T08:00:00+02:00","end":"2026-10-20T08:00:00+02:00","value":60,"unit":"count/min"}`)
	for deadline := time.Now().Add(time.Minute); c.Get(t.Context(), "/v1/weeks/2026-10-20", nil) != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the week was not analysed")
		}
	}
	put("upload-weight", `{"uuid":"0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a11","type":"HKQuantityTypeIdentifierBodyMass","start":"2026-10-20T10:00:00+02:00","end":"2026-10-20T10:00:00+02:00","value":80,"unit":"kg"}`)
	p.stop(t, syscall.SIGTERM)
	if stdout := must(t, "fsck", "--data", dir); strings.Contains(stdout, " 0 results") || !strings.Contains(stdout, "(0 wait for their analysis)") {
		t.Error(stdout)
	}
}
