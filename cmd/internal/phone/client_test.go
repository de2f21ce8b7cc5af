package phone_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const receipt = `{"uploadId":"u","received":2,"accepted":1,"rejected":[{"index":1,"code":"invalid_time","detail":"x"}]}`

// A script answers each request with its next line.
type script struct {
	answers []func(w http.ResponseWriter)
	got     []string // method, path and body of each request
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.got = append(s.got, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Encoding")+" "+string(body))
	answer := s.answers[min(len(s.got), len(s.answers))-1]
	answer(w)
}

func says(status int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func hangsUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestPut(t *testing.T) {
	tests := map[string]struct {
		answers []func(http.ResponseWriter)
		tries   int
		status  int // of the problem; 0 for an ack
	}{
		"an ack at once":                         {[]func(http.ResponseWriter){says(202, receipt)}, 1, 0},
		"a lost connection is tried again":       {[]func(http.ResponseWriter){hangsUp, hangsUp, says(202, receipt)}, 3, 0},
		"too many requests are tried again":      {[]func(http.ResponseWriter){says(429, `{"status":429}`), says(202, receipt)}, 2, 0},
		"an unavailable platform is tried again": {[]func(http.ResponseWriter){says(503, ``), says(202, receipt)}, 2, 0},
		"a conflict is a definite no":            {[]func(http.ResponseWriter){says(409, `{"title":"Conflict","detail":"other body"}`)}, 1, 409},
		"too large is a definite no":             {[]func(http.ResponseWriter){says(413, `{}`)}, 1, 413},
		"a fault of the platform is tried again": {[]func(http.ResponseWriter){says(500, `{}`), says(202, receipt)}, 2, 0},
		"a full disk is tried again":             {[]func(http.ResponseWriter){says(507, `{}`), says(202, receipt)}, 2, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: tt.answers}
			server := httptest.NewServer(s)
			defer server.Close()
			c := phone.New(server.URL, "token", 5*time.Second, nil)
			defer c.Close()
			r, err := c.Put(t.Context(), phone.Upload{ID: "u", Body: []byte("gz")})
			if len(s.got) != tt.tries {
				t.Errorf("%d tries, want %d", len(s.got), tt.tries)
			}
			for _, got := range s.got {
				if got != "PUT /v1/uploads/u gzip gz" {
					t.Errorf("sent %q", got)
				}
			}
			var p *phone.RefusalError
			if tt.status == 0 && (err != nil || r.Received != 2 || r.Accepted != 1 || len(r.Rejected) != 1) {
				t.Errorf("receipt %+v, %v", r, err)
			}
			if tt.status != 0 && (!errors.As(err, &p) || p.Status != tt.status) {
				t.Errorf("error %v, want status %d", err, tt.status)
			}
		})
	}
}

func TestPutWaitsAsLongAsItIsTold(t *testing.T) {
	s := &script{answers: []func(http.ResponseWriter){says(429, `{}`, "Retry-After", "1"), says(202, receipt)}}
	server := httptest.NewServer(s)
	defer server.Close()
	var pauses []time.Duration
	c := phone.New(server.URL, "token", 5*time.Second, func(_ string, d time.Duration) { pauses = append(pauses, d) })
	defer c.Close()
	began := time.Now()
	if _, err := c.Put(t.Context(), phone.Upload{ID: "u"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{time.Second}, pauses); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("tried again after %s, told to wait 1s", took)
	}
}

func TestPutGivesUpWhenPatienceEnds(t *testing.T) {
	s := &script{answers: []func(http.ResponseWriter){says(503, `{"detail":"busy"}`)}}
	server := httptest.NewServer(s)
	defer server.Close()
	c := phone.New(server.URL, "token", 400*time.Millisecond, nil)
	defer c.Close()
	_, err := c.Put(t.Context(), phone.Upload{ID: "u"})
	var p *phone.RefusalError
	if !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("error %v, want the last problem", err)
	}
}

func TestPutStopsWithItsContext(t *testing.T) {
	s := &script{answers: []func(http.ResponseWriter){says(503, ``, "Retry-After", "60")}}
	server := httptest.NewServer(s)
	defer server.Close()
	c := phone.New(server.URL, "token", time.Hour, nil)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := c.Put(ctx, phone.Upload{ID: "u"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestMergedWaitsForTheWorker(t *testing.T) {
	s := &script{answers: []func(http.ResponseWriter){says(200, `{"state":"received"}`), says(200, `{"state":"received"}`), says(200, `{"state":"merged","added":2}`)}}
	server := httptest.NewServer(s)
	defer server.Close()
	c := phone.New(server.URL, "token", time.Second, nil)
	defer c.Close()
	got, err := c.Merged(t.Context(), "u")
	if err != nil || got.State != "merged" || got.Added != 2 {
		t.Errorf("status %+v, %v", got, err)
	}
}

func TestEventsAreTakenUpBehindTheLastOneSeen(t *testing.T) {
	var resumed []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.Header.Get("Last-Event-ID"))
		if len(resumed) == 1 {
			_, _ = io.WriteString(w, ": hello\n\nid: 1\nevent: upload.merged\ndata: {\"a\":\ndata: 1}\n\nid: 2\nevent: cut off")
			return
		}
		_, _ = io.WriteString(w, "id: 2\nevent: result.stored\ndata: {}\n\n")
	}))
	defer server.Close()
	c := phone.New(server.URL, "token", 5*time.Second, nil)
	defer c.Close()
	var got []phone.Event
	enough := errors.New("enough")
	err := c.Events(t.Context(), "", func(e phone.Event) error {
		if got = append(got, e); len(got) == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	want := []phone.Event{{ID: "1", Name: "upload.merged", Data: "{\"a\":\n1}"}, {ID: "2", Name: "result.stored", Data: "{}"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "1"}, resumed); diff != "" {
		t.Errorf("resumed behind (-want +got):\n%s", diff)
	}
}
