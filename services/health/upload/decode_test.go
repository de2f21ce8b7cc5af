package upload_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

var now = health.InstantOf(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))

func TestARealisticBodyIsAccepted(t *testing.T) {
	body := uploadtest.Body(500, uploadtest.Options{Deleted: 3})
	t.Logf("%d bytes, %d gzip", len(body), len(uploadtest.Gzip(body)))
	emitted := 0
	e, err := upload.Decode(body, now, func(*health.Sample) { emitted++ })
	if err != nil {
		t.Fatal(err)
	}
	if e.Received != 503 || e.Accepted != 503 || len(e.Rejected) != 0 || emitted != 500 {
		t.Errorf("received %d, accepted %d, emitted %d, rejected %v", e.Received, e.Accepted, emitted, e.Rejected)
	}
}
