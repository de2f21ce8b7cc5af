package uploads_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// On a disk that is nearly full uploads are refused, reads and erasures go on; when
// there is room it heals by itself.
func TestAnUploadWithoutRoom(t *testing.T) {
	var full atomic.Bool
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Space = func() error {
			if full.Load() {
				return errors.New("no room")
			}
			return nil
		}
	})
	w.Consent(ingresstest.Anna, true)
	full.Store(true)
	r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1))
	if r.Status != 507 || r.Code() != "insufficient_storage" || r.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/v1/days", ingresstest.Anna, nil); r.Status != 200 {
		t.Errorf("a read: %d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", "/v1/account", ingresstest.Ben, nil); r.Status != 202 {
		t.Errorf("an erasure: %d %s", r.Status, r.Body)
	}
	full.Store(false)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Errorf("with room: %d %s", r.Status, r.Body)
	}
}
