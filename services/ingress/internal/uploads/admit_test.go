package uploads

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

const bodyBytes = 100 << 10

func newRoom(t *testing.T) *Room {
	t.Helper()
	r, err := New(Needs{
		Registry: prometheus.NewRegistry(), BodyBytes: bodyBytes,
		Problem: func(_ context.Context, err error) *problem.Problem { return problem.New(problem.Internal, err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// soon is a context that ends before a test gets impatient.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func codeOf(p *problem.Problem) string {
	if p == nil {
		return ""
	}
	return p.Code
}

// What a compressed body may inflate to is held while it is read, and no more.
func TestWhatAnInflatingBodyHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes int
		holds int64
	}{
		"a small one":  {100, 1 << 20},
		"at 200 times": {10_000, 10_000 * upload.MaxRatio},
		"a large one":  {1 << 20, inflatingAtOnce},
	} {
		t.Run(name, func(t *testing.T) {
			r, body := newRoom(t), make([]byte, tt.bytes) // no gzip: refused once it is let in
			all := int64(inflatingAtOnce)
			if r.inflating.TryAcquire(all+1) || !r.inflating.TryAcquire(all) {
				t.Fatal("the whole budget is another")
			}
			r.inflating.Release(tt.holds - 1)
			if _, p := r.decodeEnvelope(soon(t), body, "gzip", time.Now()); codeOf(p) != problem.Unavailable.Reason() {
				t.Errorf("with a byte too little: %+v", p)
			}
			r.inflating.Release(1)
			for range 2 {
				if _, p := r.decodeEnvelope(t.Context(), body, "gzip", time.Now()); codeOf(p) != MalformedEncoding.Reason() {
					t.Errorf("with just enough: %+v", p)
				}
			}
			if !r.inflating.TryAcquire(tt.holds) {
				t.Error("what was held is not given back")
			}
			if _, p := r.decodeEnvelope(soon(t), []byte(`{}`), "identity", time.Now()); codeOf(p) != UnsupportedSchema.Reason() && codeOf(p) != InvalidEnvelope.Reason() {
				t.Errorf("a body as it is needs no room: %+v", p)
			}
		})
	}
}

// A body that was not compressed is the caller's: it is not kept for the next.
func TestABodyAsItIsIsNotPooled(t *testing.T) {
	r, body := newRoom(t), []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[]}`)
	for range 20 {
		e, p := r.decodeEnvelope(t.Context(), body, "identity", time.Now())
		if p != nil || e.Received != 0 {
			t.Fatalf("%+v %+v", e, p)
		}
		if b := *r.inflatedPool.Get(0); cap(b) > 0 && &b[:1][0] == &body[0] {
			t.Fatal("the next one writes into it")
		}
	}
}

func TestWhatIsLookedAtBeforeTheBody(t *testing.T) {
	tests := map[string]struct {
		id, query, kind string
		encodings       []string
		encoding        string
		code            problem.Code
	}{
		"no encoding":        {"upload-1", "", "application/json", nil, "identity", ""},
		"gzip":               {"upload-1", "", "application/json", []string{"gzip"}, "gzip", ""},
		"zstd, loudly":       {"upload-1", "", "application/json", []string{"ZSTD"}, "zstd", ""},
		"identity":           {"upload-1", "", "application/json", []string{"identity"}, "identity", ""},
		"gzip, as of old":    {"upload-1", "", "application/json", []string{"x-gzip"}, "gzip", ""},
		"an unknown one":     {"upload-1", "", "application/json", []string{"br"}, "", problem.UnsupportedEncoding},
		"an empty one":       {"upload-1", "", "application/json", []string{""}, "", problem.UnsupportedEncoding},
		"two":                {"upload-1", "", "application/json", []string{"gzip", "gzip"}, "", problem.UnsupportedEncoding},
		"a short id":         {"upload1", "", "application/json", nil, "", problem.InvalidRequest},
		"a query":            {"upload-1", "?a", "application/json", nil, "", problem.InvalidRequest},
		"another media type": {"upload-1", "", "text/plain", nil, "", problem.UnsupportedMediaType},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rc := &fasthttp.RequestCtx{}
			rc.Request.SetRequestURI("/v1/uploads/" + tt.id + tt.query)
			rc.Request.Header.SetContentType(tt.kind)
			for _, e := range tt.encodings {
				rc.Request.Header.Add("Content-Encoding", e)
			}
			want := ""
			if tt.code != "" {
				want = tt.code.Reason()
			}
			if encoding, p := checkUpload(rc, tt.id); encoding != tt.encoding || codeOf(p) != want {
				t.Errorf("%q %+v, want %q %q", encoding, p, tt.encoding, want)
			}
		})
	}
}

// A room whose counts cannot be registered is none.
func TestCountsThatAreTaken(t *testing.T) {
	for _, name := range []string{"clarity_upload_ack_seconds", "clarity_uploads_total", "clarity_upload_entries_total", "clarity_upload_bytes_total"} {
		taken := prometheus.NewRegistry()
		taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "another's"}))
		if r, err := New(Needs{Registry: taken, BodyBytes: 1}); err == nil || r != nil {
			t.Errorf("%s: %v %v", name, r, err)
		}
	}
}
