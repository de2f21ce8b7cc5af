package phone_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
)

// talk is a client of a platform that answers as the handler does; the pauses it makes are noted.
func talk(t *testing.T, timeout time.Duration, h http.HandlerFunc) (*phone.Client, *[]string) {
	t.Helper()
	server := httptest.NewServer(h)
	var pauses []string
	c := phone.New(server.URL+"//", "secret", timeout, func(why string, d time.Duration) { pauses = append(pauses, why+" "+d.Round(time.Second).String()) })
	t.Cleanup(func() { c.Close(); server.Close() })
	return c, &pauses
}

func TestWhatARequestSays(t *testing.T) {
	var got []string
	c, _ := talk(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header.Get("Accept-Encoding"), string(body)}, "|"))
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, `{"state":"merged","reason":"x"}`)
	})
	var into map[string]string
	_, put := c.Put(t.Context(), phone.Upload{ID: "a/b", Body: []byte("gz")})
	status, asked := c.Status(t.Context(), "a/b")
	if err := errors.Join(put, asked, c.Get(t.Context(), "/v1/me", &into), c.Send(t.Context(), http.MethodPost, "/v1/x", map[string]int{"a": 1}, &into),
		c.Send(t.Context(), http.MethodPost, "/v1/y", 2, nil), c.Send(t.Context(), http.MethodDelete, "/v1/z", nil, &into)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"PUT|/v1/uploads/a%2Fb|Bearer secret|application/json|gzip||gz",
		"GET|/v1/uploads/a%2Fb|Bearer secret||||",
		"GET|/v1/me|Bearer secret||||",
		`POST|/v1/x|Bearer secret|application/json|||{"a":1}`,
		"POST|/v1/y|Bearer secret|application/json|||2",
		"DELETE|/v1/z|Bearer secret|application/json|||null",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status.State != "merged" || status.Reason != "x" || into["state"] != "merged" {
		t.Errorf("%+v, %v", status, into)
	}
	if err := c.Send(t.Context(), http.MethodPost, "/v1/x", func() {}, nil); err == nil || len(got) != len(want) {
		t.Errorf("what is no document: %v", err)
	}
	if err := c.Get(t.Context(), "/\x00", nil); err == nil || len(got) != len(want) {
		t.Errorf("what is no path: %v", err)
	}
}

func TestADefiniteNoIsSaid(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   string
		code   string
	}{
		"with a detail":         {409, `{"status":200,"title":"Conflict","detail":"another body","code":"conflict"}`, "the platform says 409: another body", "conflict"},
		"with a title":          {400, `{"title":"Bad thing"}`, "the platform says 400: Bad thing", ""},
		"in another's language": {404, `<html>`, "the platform says 404: Not Found", ""},
		"without a word":        {413, ``, "the platform says 413: Request Entity Too Large", ""},
		"a redirect":            {304, ``, "the platform says 304: Not Modified", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, pauses := talk(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, put := c.Put(t.Context(), phone.Upload{ID: "u"})
			_, status := c.Status(t.Context(), "u")
			_, merged := c.Merged(t.Context(), "u")
			events := c.Events(t.Context(), "", func(phone.Event) error { return nil })
			sent := c.Send(t.Context(), http.MethodPost, "/", 1, nil)
			if !errors.As(sent, new(*phone.RefusalError)) {
				t.Errorf("a document that is sent: %v", sent)
			}
			for what, err := range map[string]error{"put upload u: ": put, "get the status of upload u: ": errors.Join(status), "": c.Get(t.Context(), "/", nil)} {
				var no *phone.RefusalError
				if !errors.As(err, &no) || err.Error() != what+tt.want || no.Status != tt.status || no.Code != tt.code {
					t.Errorf("%q, want %q", err, what+tt.want)
				}
			}
			var no *phone.RefusalError
			if !errors.As(merged, &no) || !errors.As(events, &no) || no.Status != tt.status || len(*pauses) > 0 {
				t.Errorf("%v, %v, after pauses %v", merged, events, *pauses)
			}
		})
	}
}

// A maybe is one of six; the pause is what the platform asks for, if that is a time.
func TestAMaybeIsTriedAgain(t *testing.T) {
	tests := map[string]struct {
		status int
		after  string
		pause  string
	}{
		"too many requests":      {429, "1", "too many requests 1s"},
		"something failed":       {500, "", "internal server error 0s"},
		"a full disk":            {507, "2", "insufficient storage 2s"},
		"a bad gateway":          {502, "", "bad gateway 0s"},
		"unavailable":            {503, "-5", "service unavailable 0s"},
		"a gateway that is late": {504, "soon", "gateway timeout 0s"},
		"at once":                {503, "0", "service unavailable 0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tries := 0
			c, pauses := talk(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
				if tries++; tries == 1 {
					w.Header().Set("Retry-After", tt.after)
					w.WriteHeader(tt.status)
					return
				}
				_, _ = io.WriteString(w, `{}`)
			})
			began := time.Now()
			if err := c.Get(t.Context(), "/", nil); err != nil || tries != 2 {
				t.Errorf("%d tries, %v", tries, err)
			}
			if diff := cmp.Diff([]string{tt.pause}, *pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			if took := time.Since(began); took < 50*time.Millisecond {
				t.Errorf("tried again after %v", took)
			}
		})
	}
}

// The pauses grow, each between a half and a whole of twice the one before, until
// the time is over; the one that would go beyond it is not made.
func TestThePausesGrow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	var pauses []time.Duration
	c := phone.New(server.URL, "", 2*time.Second, func(_ string, d time.Duration) { pauses = append(pauses, d) })
	defer c.Close()
	began := time.Now()
	var no *phone.RefusalError
	if err := c.Get(t.Context(), "/", nil); !errors.As(err, &no) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 20*time.Second || len(pauses) < 1 {
		t.Errorf("it gave up after %v and the pauses %v", took, pauses)
	}
	for i, d := range pauses {
		if whole := 100 * time.Millisecond << i; d < whole/2 || d > whole+time.Millisecond {
			t.Errorf("pause %d is %v, want %v to %v", i, d, whole/2, whole)
		}
	}
}

func TestAReplyThatCannotBeRead(t *testing.T) {
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "read the reply of /x: "},
		"half of it": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"a":`)
		}, "lost: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, pauses := talk(t, time.Second, tt.answer)
			var into map[string]any
			if err := c.Get(t.Context(), "/x", &into); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if again := name != "no JSON"; (len(*pauses) > 0) != again || again && !strings.HasPrefix((*pauses)[0], "connection lost") {
				t.Errorf("pauses %v", *pauses)
			}
		})
	}
	c, _ := talk(t, time.Second, func(http.ResponseWriter, *http.Request) {})
	into := map[string]any{"a": 1}
	if err := c.Get(t.Context(), "/x", &into); err != nil || len(into) != 1 {
		t.Errorf("no reply at all: %v, %v", into, err)
	}
}

func TestNobodyIsThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var whys []string
	c := phone.New(server.URL, "", time.Second, func(why string, _ time.Duration) { whys = append(whys, why) })
	defer c.Close()
	if err := c.Get(t.Context(), "/", nil); err == nil || !strings.Contains(err.Error(), "no connection to "+server.URL) || len(whys) == 0 || whys[0] != "no connection" {
		t.Errorf("%v, after %v", err, whys)
	}
	if err := c.Events(t.Context(), "", func(phone.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "no connection to "+server.URL) {
		t.Errorf("events: %v", err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if err := c.Events(ended, "", func(phone.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	if _, err := c.Merged(ended, "u"); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
}

func TestMergedStopsWithItsContext(t *testing.T) {
	c, _ := talk(t, time.Second, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"state":"received"}`) })
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if s, err := c.Merged(ctx, "u"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", s, err)
	}
}

// It asks less and less often.
func TestMergedDoesNotHurry(t *testing.T) {
	asked := 0
	c, _ := talk(t, time.Second, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, `{"state":"received"}`)
	})
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond) // after 0, 10, 25, 48, 81, 132 and 208 ms
	defer stop()
	if _, err := c.Merged(ctx, "u"); !errors.Is(err, context.DeadlineExceeded) || asked > 7 {
		t.Errorf("it asked %d times; %v", asked, err)
	}
}

func TestAStreamThatDoesNotCome(t *testing.T) {
	asked := 0
	c, _ := talk(t, 600*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(http.StatusServiceUnavailable) })
	if err := c.Events(t.Context(), "", func(phone.Event) error { return nil }); err == nil || asked > 4 { // after 0, 100, 300 and 700 ms
		t.Errorf("it asked %d times; %v", asked, err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := c.Events(ctx, "", func(phone.Event) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("told to stop in a pause: %v", err)
	}
	nowhere := phone.New("http://a b", "", time.Minute, nil)
	defer nowhere.Close()
	if err := nowhere.Events(t.Context(), "", func(phone.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "parse") {
		t.Errorf("what is no address: %v", err)
	}
}

// Fields may stand in any order, with and without a space, and a line may be long.
func TestTheFormOfEvents(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := map[string]struct {
		text string
		want []phone.Event
	}{
		"nothing":                   {": hello\n\n\n", nil},
		"an id alone is no event":   {"id: 7\n\n", nil},
		"a name alone":              {"event: ping\n\n", []phone.Event{{Name: "ping"}}},
		"data alone":                {"data: d\n\n", []phone.Event{{Data: "d"}}},
		"without a space":           {"id:7\nevent:e\ndata:d\n\n", []phone.Event{{ID: "7", Name: "e", Data: "d"}}},
		"one space is the form's":   {"data:  d\n\n", []phone.Event{{Data: " d"}}},
		"lines of data":             {"data: a\ndata: b\ndata: c\n\n", []phone.Event{{Data: "a\nb\nc"}}},
		"unknown fields":            {"retry: 5\ndata: d\nmood: fine\n\n", []phone.Event{{Data: "d"}}},
		"nothing is carried over":   {"id: 1\nevent: a\ndata: b\n\ndata: c\n\n", []phone.Event{{ID: "1", Name: "a", Data: "b"}, {Data: "c"}}},
		"a long line":               {"data: " + long + "\n\n", []phone.Event{{Data: long}}},
		"the last one is not whole": {"data: a\n\ndata: b\n", []phone.Event{{Data: "a"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var accepts, auth string
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			asked := 0
			c, _ := talk(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
				accepts, auth = r.Header.Get("Accept"), r.Header.Get("Authorization")
				if asked++; asked > 1 {
					stop()
					return
				}
				_, _ = io.WriteString(w, tt.text)
			})
			var got []phone.Event
			if err := c.Events(ctx, "", func(e phone.Event) error { got = append(got, e); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if accepts != "text/event-stream" || auth != "Bearer secret" {
				t.Errorf("it asks for %q as %q", accepts, auth)
			}
		})
	}
}

func TestAStreamIsTakenUpWhereTheCallerWas(t *testing.T) {
	var behind []string
	c, _ := talk(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		behind = append(behind, r.Header.Get("Last-Event-ID"))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	began := time.Now()
	var no *phone.RefusalError
	if err := c.Events(t.Context(), "41", func(phone.Event) error { return nil }); !errors.As(err, &no) || no.Status != 503 {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); len(behind) < 2 || behind[0] != "41" || behind[len(behind)-1] != "41" || took > 20*time.Second {
		t.Errorf("it asked behind %v for %v", behind, took)
	}
}

func TestAnIDIsAUUIDOfTheContent(t *testing.T) {
	// SHA-256 of nothing and of "abc" (FIPS 180-4), with the bits of RFC 9562.
	for text, want := range map[string]string{"": "e3b0c442-98fc-8c14-9afb-f4c8996fb924", "abc": "ba7816bf-8f01-8fea-8141-40de5dae2223"} {
		got := phone.ID([]byte(text))
		if u, err := uuid.Parse(got); err != nil || got != want || u.Version() != 8 || u.Variant() != uuid.RFC4122 {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
}

// envelope is what an upload says beside its samples.
type envelope struct {
	Schema, InstallationID, TimeZone, Stage string
	Final                                   bool
	Cursor                                  map[string]string
}

func TestWhatABatchSays(t *testing.T) {
	samples := heartRates(2001)
	samples[1].Type = "HKQuantityTypeIdentifierBodyMass"
	var got []envelope
	for _, u := range batches(t, samples) {
		var e envelope
		if err := json.Unmarshal(inflate(t, u), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []envelope{
		{"clarity.upload/1", "phone", "Europe/Berlin", "historical", false, map[string]string{}},
		{"clarity.upload/1", "phone", "Europe/Berlin", "historical", true, map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABatchThatNobodyTakesIsTold(t *testing.T) {
	full := errors.New("the disk is full")
	b := phone.NewBatcher("phone", "Europe/Berlin", func(phone.Upload) error { return full })
	samples := heartRates(2001)
	for i := range samples {
		if err := b.Add(&samples[i]); (i == 2000) != errors.Is(err, full) {
			t.Fatalf("sample %d: %v", i, err)
		}
	}
	b = phone.NewBatcher("phone", "Europe/Berlin", func(phone.Upload) error { return full })
	if err := b.Add(&samples[0]); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); !errors.Is(err, full) {
		t.Errorf("at the end: %v", err)
	}
}
