package intake_test

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/record"
)

// An upload of whose person the key is missing waits for it, however long, and holds
// up nobody else's.
func TestAnUploadWaitsForItsPersonsKey(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 61, "")}})
	w.lost = true
	if got, want := w.handle(t, id, 100), "postpone: the person's key is missing"; got != want {
		t.Errorf("verdict %q, want %q", got, want)
	}
	w.lost = false
	if u := w.upload(t, id); u.State != record.UploadReceived {
		t.Errorf("state %q", u.State)
	}
	if got := w.handle(t, id, 101); got != "ack" {
		t.Errorf("with the key: %q", got)
	}
}
