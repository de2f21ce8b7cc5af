package ingress_test

import (
	"context"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// A panic costs its request and nothing else.
func TestAPanicIsA500(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Ready = func(context.Context) error { panic("canary-in-a-panic") }
	})
	if r := w.Do("GET", "/readyz", "", nil); r.Status != 500 || r.Code() != "internal_error" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/healthz", "", nil); r.Status != 200 {
		t.Errorf("the next request: %d", r.Status)
	}
	if strings.Contains(w.Log.String(), "canary-in-a-panic") || !strings.Contains(w.Log.String(), "request panicked") {
		t.Error("a panic is logged without its value")
	}
}
