package gcs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
	"github.com/clarity-loop/clarity/services/blob/gcs"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/retention"
)

func TestConformance(t *testing.T) {
	url := gcstest.Start(t)
	blobtest.Run(t, func(t *testing.T) blobtest.Opener {
		config := bucket(t, url)
		var s *gcs.Store
		shut := func() {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		t.Cleanup(shut)
		return func() blob.Store {
			shut()
			s = open(t, config)
			return s
		}
	})
}

// A door counts the requests that go through it, by what they are.
type door struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string
}

func through(t *testing.T, to string) *door {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	proxy := httputil.NewSingleHostReverseProxy(u)
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := describe(r)
		if body, err := io.ReadAll(r.Body); err == nil {
			if strings.HasPrefix(call, "insert") && !bytes.Contains(body[:min(len(body), 1000)], []byte(`"crc32c":"`)) {
				call += " without its sum"
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		d.mu.Lock()
		d.calls = append(d.calls, call)
		d.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

// describe is a request without names.
func describe(r *http.Request) string {
	what := r.Method
	switch path := r.URL.Path; {
	case strings.Contains(path, "/upload/"):
		what = "insert " + r.URL.Query().Get("uploadType") + " if " + r.URL.Query().Get("ifGenerationMatch")
	case strings.Contains(path, "/rewriteTo/"):
		what = "rewrite"
		if q := r.URL.Query(); q.Get("ifGenerationMatch") == "" || q.Get("ifGenerationMatch") != q.Get("sourceGeneration") {
			what += " of whatever is there"
		}
	case r.Method == http.MethodGet && r.URL.Query().Get("alt") == "media":
		what = "read"
	case r.Method == http.MethodGet && strings.HasSuffix(path, "/o"):
		what = "list"
	case r.Method == http.MethodGet && strings.Contains(path, "/o/"):
		what = "look"
	case r.Method == http.MethodGet:
		what = "look at the bucket"
	case r.Method == http.MethodDelete && r.URL.Query().Get("generation") == "":
		what = "DELETE of whatever is there"
	}
	return what
}

func (d *door) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

// What the package says that a call costs.
func TestCallsAreCounted(t *testing.T) {
	to := gcstest.Start(t)
	config := bucket(t, to)
	d := through(t, to)
	config.Endpoint = d.URL
	ctx := t.Context()
	s := open(t, config)
	defer s.Close()
	var generation int64
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"open", func() error { return nil }, []string{"look at the bucket"}},
		{"put", func() (err error) { generation, err = s.Put(ctx, "days/a", make([]byte, 20<<20)); return err }, []string{"insert multipart if 0"}},
		{"put of a name that is taken", func() error {
			if _, err := s.Put(ctx, "days/a", nil); !errors.Is(err, blob.ErrExists) {
				return fmt.Errorf("%w", err)
			}
			return nil
		}, []string{"insert multipart if 0"}},
		{"get", func() error { _, err := s.Get(ctx, "days/a"); return err }, []string{"read"}},
		{"stat", func() error { _, err := s.Stat(ctx, "days/a"); return err }, []string{"look"}},
		{"renew", func() (err error) { generation, err = s.Renew(ctx, "days/a"); return err }, []string{"look", "rewrite"}},
		{"list", func() error { _, err := s.List(ctx, "days/", "", 1000); return err }, []string{"list"}},
		{"delete", func() error { return s.Delete(ctx, "days/a", generation) }, []string{"DELETE"}},
		{"delete of no generation", func() error { return s.Delete(ctx, "days/a", 0) }, nil},
		{"delete of a prefix of nothing", func() error { return s.DeletePrefix(ctx, "days/") }, []string{"list"}},
		{"ready", func() error { return errors.Join(s.Ready(ctx), s.Ready(ctx), s.Ready(ctx)) }, nil}, // something was got a moment ago
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, d.took()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// A bucket that is away is seen, though nobody asks it who has just heard of it.
func TestABucketThatIsAwayIsNotReady(t *testing.T) {
	to := gcstest.Start(t)
	config := bucket(t, to)
	d := through(t, to)
	config.Endpoint = d.URL
	var passed atomic.Int64
	s, err := gcs.Open(t.Context(), config, func() time.Time { return time.Unix(1_790_000_000, passed.Load()) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ready := func(what string, want bool, calls ...string) {
		t.Helper()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := s.Ready(t.Context()); (err == nil) != want {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		all.Wait()
		if diff := cmp.Diff(calls, d.took()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if _, err := s.Get(t.Context(), "days/none"); !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	d.took()
	ready("something was asked for", true)
	passed.Add(int64(10 * time.Second))
	ready("a while ago", true, "look at the bucket")
	d.Close()
	if _, err := s.Get(t.Context(), "days/none"); !errors.Is(err, blob.ErrUnavailable) {
		t.Fatal(err)
	}
	ready("it is away", false)
}

// a service answers as it is told to, once somebody has looked at its bucket.
func service(t *testing.T, answer http.HandlerFunc) *gcs.Store {
	t.Helper()
	opened := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !opened {
			opened = true
			_, _ = fmt.Fprint(w, `{"name":"b","softDeletePolicy":{"retentionDurationSeconds":"0"}}`)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	s := open(t, gcs.Config{Bucket: "b", Endpoint: server.URL})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// The service fails in ways that the emulator does not. No fault names an object.
func TestFaults(t *testing.T) {
	const name = "uploads/" + faulttest.Mark + "/1"
	tests := map[string]struct {
		status      int
		message     string
		class       fault.Class
		code        string
		unavailable bool
	}{
		"away":          {503, "backend error", fault.Unavailable, "503", true},
		"broken":        {500, "internal", fault.Unavailable, "500", true},
		"no right":      {403, "no storage.objects.get on " + name, fault.Unavailable, "403", true},
		"who is it":     {401, "Invalid Credentials", fault.Unavailable, "401", true},
		"too much":      {429, "The object b/" + name + " exceeded the rate limit", fault.Limit, "429", true},
		"too slow":      {408, "timeout", fault.Unavailable, "408", true},
		"no bucket":     {404, "The specified bucket does not exist.", fault.Unavailable, "no bucket", true},
		"another world": {412, "At least one of the pre-conditions you specified did not hold.", fault.Unavailable, "412", true},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			asked := 0
			s := service(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"errors":[{"message":%q,"domain":"global","reason":"x"}]}}`, tt.status, tt.message, tt.message)
			})
			ctx := t.Context()
			calls := map[string]func() error{
				"get":           func() error { _, err := s.Get(ctx, name); return err },
				"stat":          func() error { _, err := s.Stat(ctx, name); return err },
				"delete":        func() error { return s.Delete(ctx, name, 7) },
				"list":          func() error { _, err := s.List(ctx, "uploads/"+faulttest.Mark, "", 1); return err },
				"delete prefix": func() error { return s.DeletePrefix(ctx, "uploads/"+faulttest.Mark) },
				"renew":         func() error { _, err := s.Renew(ctx, name); return err },
				"put":           func() error { _, err := s.Put(ctx, name, []byte(faulttest.Mark)); return err },
			}
			for op, call := range calls {
				if op == "put" && tt.status == http.StatusPreconditionFailed || op == "renew" && tt.status == http.StatusPreconditionFailed {
					continue // which it is said for
				}
				asked = 0
				err := call()
				faulttest.Of(t, err, "blob", op)
				var f *fault.Error
				if errors.As(err, &f) && (f.Class != tt.class || f.Code != tt.code) || errors.Is(err, blob.ErrUnavailable) != tt.unavailable {
					t.Errorf("%s: %v", op, err)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					faulttest.NamesNobody(t, op, e)
				}
				if asked != 1 {
					t.Errorf("%s: asked %d times: who calls decides whether to ask again", op, asked)
				}
			}
		})
	}
}

func TestDamageIsFound(t *testing.T) {
	content := []byte(strings.Repeat("sealed ", 1000))
	hash := func(data []byte) string { return "crc32c=" + crc(data) }
	changed := slices.Clone(content)
	changed[3000] ^= 1
	tests := map[string]struct {
		hash string
		body []byte
		want error
	}{
		"as it was put":  {hash(content), content, nil},
		"another byte":   {hash(content), changed, blob.ErrCorrupt},
		"a byte less":    {hash(content), content[1:], blob.ErrCorrupt},
		"no sum":         {"", content, blob.ErrCorrupt},
		"another's sum":  {hash(changed), content, blob.ErrCorrupt},
		"nothing at all": {hash(nil), nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := service(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.hash != "" {
					w.Header().Set("X-Goog-Hash", tt.hash)
				}
				w.Header().Set("X-Goog-Generation", "7")
				w.Header().Set("Content-Length", fmt.Sprint(len(tt.body)))
				_, _ = w.Write(tt.body)
			})
			got, err := s.Get(t.Context(), "days/a")
			if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || string(got) != string(tt.body)) || tt.want != nil && got != nil {
				t.Errorf("%d bytes, %v; want %v", len(got), err, tt.want)
			}
		})
	}
}

// Where the connection breaks the rest is asked for, of the generation that was begun.
func TestATransferThatBreaks(t *testing.T) {
	content := []byte(strings.Repeat("sealed ", 10_000))
	breaks, other := 1, false
	s := service(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Generation", "7")
		w.Header().Set("X-Goog-Hash", "crc32c="+crc(content))
		if g := r.URL.Query().Get("generation"); r.Header.Get("Range") != "" && g != "7" {
			other = true
		}
		if breaks > 0 {
			breaks--
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:30_000])
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
	})
	got, err := s.Get(t.Context(), "days/a")
	if err != nil || string(got) != string(content) || other {
		t.Errorf("%d bytes, %v, of another generation: %v", len(got), err, other)
	}
}

func crc(data []byte) string {
	c := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	text, _ := json.Marshal([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
	return strings.Trim(string(text), `"`)
}

func TestTimesThatAreOver(t *testing.T) {
	s := service(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Get(ctx, "days/"+faulttest.Mark)
	faulttest.Of(t, err, "blob", "get")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("get: %v", err)
	}
	_, err = s.Put(ctx, "days/"+faulttest.Mark, make([]byte, 1<<20))
	faulttest.Of(t, err, "blob", "put")
}

// A bucket that keeps what is deleted is none for us.
func TestABucketThatKeepsWhatIsDeleted(t *testing.T) {
	tests := map[string]struct {
		bucket string
		is     string // in the refusal; "" is none
	}{
		"as config/gcs says":   {compact(t, "bucket.json"), ""},
		"as new buckets are":   {`{"name":"b","softDeletePolicy":{"retentionDurationSeconds":"604800"}}`, "soft delete"},
		"with versions":        {`{"name":"b","versioning":{"enabled":true}}`, "versions"},
		"with a retention":     {`{"name":"b","retentionPolicy":{"retentionPeriod":"60","effectiveTime":"2026-11-20T12:00:00Z"}}`, "retention"},
		"with holds":           {`{"name":"b","defaultEventBasedHold":true}`, "holds"},
		"that is not there":    {"", "no bucket"},
		"an emulator's, plain": {`{"name":"b"}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.bucket == "" {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				_, _ = fmt.Fprint(w, tt.bucket)
			}))
			defer server.Close()
			s, err := gcs.Open(t.Context(), gcs.Config{Bucket: "b", Endpoint: server.URL}, time.Now)
			if (err == nil) != (tt.is == "") || err != nil && !strings.Contains(err.Error(), tt.is) {
				t.Errorf("%v, want %q", err, tt.is)
			}
			if s != nil {
				_ = s.Close()
			}
		})
	}
}

func TestAnEmulatorIsTheConfigurationsAffair(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	if _, err := gcs.Open(t.Context(), gcs.Config{Bucket: "b"}, time.Now); err == nil || !strings.Contains(err.Error(), "STORAGE_EMULATOR_HOST") {
		t.Errorf("%v", err)
	}
}

func compact(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("../../../config/gcs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The lifecycle takes nothing away that somebody still looks for, and is for
// kinds of objects that there are.
func TestTheLifecycleIsBehindTheRecords(t *testing.T) {
	var lifecycle struct {
		Rule []struct {
			Action    struct{ Type string }
			Condition struct {
				Age           int
				MatchesPrefix []string
			}
		}
	}
	if err := json.Unmarshal([]byte(compact(t, "lifecycle.json")), &lifecycle); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	held, done := record.Upload{State: record.UploadHeld}.Next(now).Sub(now), record.Upload{State: record.UploadMerged}.Next(now).Sub(now)
	least := map[string]time.Duration{
		blob.KindUploads + "/": held + done,
		blob.KindExports + "/": exported.Kept,
		blob.Checkpoints:       retention.Checkpoints,
	}
	seen := map[string]bool{}
	for _, rule := range lifecycle.Rule {
		for _, prefix := range rule.Condition.MatchesPrefix {
			age := time.Duration(rule.Condition.Age) * 24 * time.Hour
			if rule.Action.Type != "Delete" || least[prefix] == 0 || age <= least[prefix] || age > least[prefix]+10*24*time.Hour {
				t.Errorf("%s of %q after %v; it is kept for %v", rule.Action.Type, prefix, age, least[prefix])
			}
			seen[prefix] = true
		}
	}
	if len(seen) != len(least) {
		t.Errorf("rules for %v, want those of %v", seen, least)
	}
}

// A service that takes a request and never answers is unavailable, and the caller's
// own patience is not what is over.
func TestACallThatNobodyAnswersEnds(t *testing.T) {
	done := make(chan struct{})
	s := service(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-done
	})
	t.Cleanup(func() { close(done) }) // before the server is closed, which waits
	s.Within(100 * time.Millisecond)
	for what, call := range map[string]func() error{
		"put":           func() error { _, err := s.Put(t.Context(), "days/a", nil); return err },
		"get":           func() error { _, err := s.Get(t.Context(), "days/a"); return err },
		"stat":          func() error { _, err := s.Stat(t.Context(), "days/a"); return err },
		"renew":         func() error { _, err := s.Renew(t.Context(), "days/a"); return err },
		"list":          func() error { _, err := s.List(t.Context(), "days/", "", 1); return err },
		"delete":        func() error { return s.Delete(t.Context(), "days/a", 1) },
		"delete prefix": func() error { return s.DeletePrefix(t.Context(), "days/") },
	} {
		began := time.Now()
		if err := call(); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v", what, err, time.Since(began))
		}
	}
}
