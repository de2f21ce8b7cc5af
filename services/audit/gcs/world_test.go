package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

// secret is the log's, as a keyring has it.
type secret struct {
	mu   sync.Mutex
	made string // by its text
}

func (s *secret) Secret(_ context.Context, of string, create bool) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == "" && !create {
		return nil, errors.New("there is no key")
	}
	if s.made == "" {
		s.made = strings.Repeat(of+"-", 16)
	}
	return []byte(s.made[:32]), nil
}

// A world is a log's bucket and its keys.
type world struct {
	Config
	keys *secret
	now  func() time.Time
}

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	return &world{Config{Bucket: gcstest.Bucket(t, url), Endpoint: url}, &secret{}, noon}
}

func (w *world) open(t *testing.T) *Log {
	t.Helper()
	l, err := Open(t.Context(), w.Config, w.keys, w.now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// a log that is closed with the test.
func (w *world) process(t *testing.T) *Log {
	t.Helper()
	l := w.open(t)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (w *world) notary(t *testing.T) *notary {
	t.Helper()
	return newNotary(w.process(t).place, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

func read(object string) audit.Event {
	return audit.Event{Action: audit.DataRead, UID: "anna", ActorUID: "anna", Object: object, Outcome: "ok"}
}

// flushed writes an object of that many entries, at once.
func (l *Log) flushed(t *testing.T, entries int) {
	t.Helper()
	var group []audit.Event
	for i := range entries {
		group = append(group, read(fmt.Sprint(i)))
	}
	if errs := l.writer.commit(group); errs != nil {
		t.Fatal(errs)
	}
}

// err is all that was wrong.
func (o outcome) err() error { return found("sign", errors.Join(append(o.findings, o.failures...)...)) }

// signed has the notary sign what has changed.
func (n *notary) signed(t *testing.T) {
	t.Helper()
	before := n.chain.head.Size
	if err := n.turn(t.Context()).err(); err != nil || n.chain.head.Size == before {
		t.Fatalf("the notary signed nothing: %v", err)
	}
}

// all are the names of all objects, in order.
func (p place) all(t *testing.T, prefix string) (names []string) {
	t.Helper()
	names, err := p.list(t.Context(), &storage.Query{Prefix: prefix}, page, 0)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// holds is what an object holds.
func (p place) holds(t *testing.T, name string) []byte {
	t.Helper()
	data, err := p.read(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}

// puts replaces an object, which nobody can where objects stay.
func (p place) puts(t *testing.T, name string, data []byte) {
	t.Helper()
	w := p.handle.Object(name).NewWriter(t.Context())
	_, err := w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
}

func (p place) drops(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := p.handle.Object(name).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// copied is the log in another bucket.
func (w *world) copied(t *testing.T) *world {
	t.Helper()
	to := &world{Config{Bucket: gcstest.Bucket(t, w.Endpoint), Endpoint: w.Endpoint}, w.keys, w.now}
	from, into := w.process(t), to.process(t)
	it := from.handle.Objects(t.Context(), nil)
	for {
		is, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return to
		}
		if err != nil {
			t.Fatal(err)
		}
		into.puts(t, is.Name, from.holds(t, is.Name))
	}
}

// A door counts what goes through it, and may stand in the way.
type door struct {
	*httptest.Server
	proxy http.Handler

	mu    sync.Mutex
	calls map[string]int
	// instead answers a call that it says true of.
	instead func(w http.ResponseWriter, r *http.Request, call string) bool
}

func through(t *testing.T, w *world) (*world, *door) {
	t.Helper()
	to, err := url.Parse(w.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{proxy: httputil.NewSingleHostReverseProxy(to), calls: map[string]int{}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		call := describe(r)
		d.mu.Lock()
		d.calls[call]++
		instead := d.instead
		d.mu.Unlock()
		if instead == nil || !instead(rw, r, call) {
			d.proxy.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(d.Close)
	return &world{Config{Bucket: w.Bucket, Endpoint: d.URL}, w.keys, w.now}, d
}

// describe is a request without names.
func describe(r *http.Request) string {
	switch path := r.URL.Path; {
	case strings.Contains(path, "/upload/"):
		return "insert if " + r.URL.Query().Get("ifGenerationMatch")
	case r.URL.Query().Get("alt") == "media":
		return "read"
	case strings.HasSuffix(path, "/o"):
		return "list"
	case strings.Contains(path, "/o/"):
		return r.Method
	}
	return "look at the bucket"
}

func (d *door) took() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = map[string]int{}
	return calls
}

func (d *door) stands(instead func(w http.ResponseWriter, r *http.Request, call string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instead = instead
}
