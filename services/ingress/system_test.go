package ingress_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

func TestReadiness(t *testing.T) {
	var fault error
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Ready = func(context.Context) error { return fault } })
	for _, path := range []string{"/readyz", "/healthz"} {
		if r := w.Do("GET", path, "", nil); r.Status != 200 || strings.TrimSpace(string(r.Body)) != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	fault = errors.New("the disk is full")
	if r := w.Do("GET", "/readyz", "", nil); r.Status != 503 || r.Code() != "unavailable" || r.Header.Get("Retry-After") == "" || strings.Contains(string(r.Body), "disk") {
		t.Errorf("unable: %d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/healthz", "", nil); r.Status != 200 {
		t.Errorf("unable, and alive all the same: %d", r.Status)
	}
}

func TestAServerWithoutAnyDoubtIsReady(t *testing.T) {
	w := ingresstest.New(t)
	if r := w.Do("GET", "/readyz", "", nil); r.Status != 200 {
		t.Errorf("%d", r.Status)
	}
}

func TestMetricsAreText(t *testing.T) {
	w := ingresstest.New(t)
	r := w.Do("GET", "/metrics", "", nil, ingresstest.Header{"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"})
	if r.Status != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") || !strings.Contains(string(r.Body), "clarity_uploads_total") {
		t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
	}
}

func TestWhatTakesNoQuery(t *testing.T) {
	w := ingresstest.New(t)
	for _, path := range []string{"/openapi.json", "/metrics"} {
		if r := w.Do("GET", path+"?a=b", "", nil); r.Status != 422 || r.Code() != "invalid_request" {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	if r := w.Do("GET", "/openapi.json", "", nil); r.Status != 200 || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
}

// A name of the metrics that another took: there is no server.
func TestMetricsThatAreTaken(t *testing.T) {
	var needs ingress.Needs
	w := ingresstest.New(t, func(n *ingress.Needs) { needs = *n })
	families, err := w.Server.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, f := range families {
		needs.Registry = prometheus.NewRegistry()
		needs.Registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: f.GetName(), Help: "another's"}))
		if s, err := ingress.New(needs); err == nil || s != nil || !strings.Contains(err.Error(), "register") {
			t.Errorf("%s: %v %v", f.GetName(), s, err)
		}
		tried++
	}
	if tried < 6 {
		t.Errorf("%d names were tried", tried)
	}
}

// The document's version is the API's, and not the build's: a build is no other API.
func TestTheVersionOfTheDocument(t *testing.T) {
	var d struct{ Info struct{ Version string } }
	if err := json.Unmarshal(ingresstest.New(t).Server.OpenAPI(), &d); err != nil || d.Info.Version != "1.1.0" {
		t.Errorf("%q %v", d.Info.Version, err)
	}
}

// deaf is a listener that hears nothing.
type deaf struct{}

func (deaf) Accept() (net.Conn, error) { return nil, errors.New("out of handles") }
func (deaf) Close() error              { return nil }
func (deaf) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A listener that ends by itself is an error; one that Shutdown ends is none.
func TestAListenerThatIsGone(t *testing.T) {
	var needs ingress.Needs
	ingresstest.New(t, func(n *ingress.Needs) { needs = *n })
	needs.Registry = prometheus.NewRegistry()
	s, err := ingress.New(needs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(deaf{}); err == nil || err.Error() != "serve the API on 127.0.0.1:1: out of handles" {
		t.Errorf("by itself: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(deaf{}); err != nil {
		t.Errorf("after Shutdown: %v", err)
	}
}

// Shutdown waits for a download that goes on, and no longer than it may.
func TestShutdownDoesNotWaitForEver(t *testing.T) {
	reading, read := make(chan struct{}), make(chan struct{})
	w := ingresstest.New(t, func(n *ingress.Needs) {
		n.Blobs = &ingresstest.Slow{Store: n.Blobs, Reading: reading, Read: read}
	})
	path := w.PutExport("00000000000000000000000000000001", "a line\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = w.Try("GET", path, ingresstest.Anna, nil)
	}()
	<-reading
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "shut the ingress down: ") {
		t.Errorf("%v", err)
	}
	close(read)
	<-done
	if err := w.Server.Shutdown(t.Context()); err != nil {
		t.Errorf("once it is over: %v", err)
	}
}
