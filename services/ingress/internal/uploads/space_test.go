package uploads_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
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

// smallDisk has no room, or no file for one more.
type smallDisk struct {
	blob.Store
	err error
}

func (d smallDisk) Put(context.Context, string, []byte) (int64, error) {
	return 0, fault.Wrap("blob", "put", d.err)
}

// What only a write finds is told in the same words.
func TestAnUploadThatFindsNoRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
	}{"no room": {syscall.ENOSPC, 507}, "no file": {syscall.EMFILE, 503}} {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(n *ingress.Needs) { n.Blobs = smallDisk{n.Blobs, tt.err} }, asObjects)
			w.Consent(ingresstest.Anna, true)
			r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1))
			if r.Status != tt.status || r.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s, want %d", r.Status, r.Body, tt.status)
			}
		})
	}
}
