package fcm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/push/fcm"
)

const token = "canary-token:APA91b"

// A service serves the HTTP v1 API of Firebase Cloud Messaging as it is documented, one
// answer after the other.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	answers []reply
	asked   []request
}

type reply struct {
	status      int
	code, state string // of the error: FCM's own, and the general one
	header      map[string]string
	body        string // instead
	cut         bool
}

type request struct {
	path, authorization string
	body                map[string]any
}

func newService(t *testing.T, answers ...reply) *service {
	s := &service{answers: answers}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	one := request{path: r.Method + " " + r.URL.Path, authorization: r.Header.Get("Authorization")}
	_ = json.Unmarshal(body, &one.body)
	s.mu.Lock()
	s.asked = append(s.asked, one)
	answer := s.answers[min(len(s.asked), len(s.answers))-1]
	s.mu.Unlock()
	if answer.cut {
		panic(http.ErrAbortHandler)
	}
	for name, value := range answer.header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	switch {
	case answer.body != "":
		_, _ = io.WriteString(w, answer.body)
	case answer.status == http.StatusOK:
		_, _ = io.WriteString(w, `{"name":"projects/clarity-example/messages/0:1"}`)
	default:
		_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"message":"said of %s","status":%q,"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":%q}]}}`,
			answer.status, token, answer.state, answer.code)
	}
}

// requests are those that came.
func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func open(t *testing.T, s *service) *fcm.Sender {
	t.Helper()
	sender, err := fcm.Open(t.Context(), fcm.Config{Project: "clarity-example", Emulator: s.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

// A message is data alone: the kind and the number, for both systems to wake by.
func TestAMessage(t *testing.T) {
	s := newService(t, reply{status: 200})
	if err := open(t, s).Wake(t.Context(), token, push.Wake{Kind: "insight.ready", Last: "000000000000002a"}); err != nil {
		t.Fatal(err)
	}
	want := []request{{"POST /v1/projects/clarity-example/messages:send", "Bearer owner", map[string]any{"message": map[string]any{
		"token":   token,
		"data":    map[string]any{"event": "insight.ready", "last": "000000000000002a"},
		"android": map[string]any{"collapse_key": "news", "priority": "high", "ttl": "86400s"},
		"apns": map[string]any{
			"headers": map[string]any{"apns-push-type": "background", "apns-priority": "5", "apns-collapse-id": "news"},
			"payload": map[string]any{"aps": map[string]any{"content-available": 1.0}},
		},
	}}}}
	if diff := cmp.Diff(want, s.requests(), cmp.AllowUnexported(request{})); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// Each answer is asked for once, and is what the contract has for it; none names the token.
func TestAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer reply
		is     error       // of push
		class  fault.Class // of another
		after  time.Duration
	}{
		"taken":                       {reply{status: 200}, nil, "", 0},
		"of no device":                {reply{status: 404, code: "UNREGISTERED", state: "NOT_FOUND"}, push.ErrGone, "", 0},
		"of another project":          {reply{status: 403, code: "SENDER_ID_MISMATCH", state: "PERMISSION_DENIED"}, push.ErrGone, "", 0},
		"not a token":                 {reply{status: 400, code: "INVALID_ARGUMENT", state: "INVALID_ARGUMENT"}, push.ErrRefused, "", 0},
		"no key of Apple's":           {reply{status: 401, code: "THIRD_PARTY_AUTH_ERROR", state: "UNAUTHENTICATED"}, push.ErrRefused, "", 0},
		"too much":                    {reply{status: 429, code: "QUOTA_EXCEEDED", state: "RESOURCE_EXHAUSTED"}, nil, fault.Limit, 0},
		"too much, for a while":       {reply{status: 429, code: "QUOTA_EXCEEDED", state: "RESOURCE_EXHAUSTED", header: map[string]string{"Retry-After": "90"}}, nil, fault.Limit, 90 * time.Second},
		"away, for a while":           {reply{status: 503, code: "UNAVAILABLE", state: "UNAVAILABLE", header: map[string]string{"Retry-After": "120"}}, nil, fault.Unavailable, 2 * time.Minute},
		"away, for ever":              {reply{status: 503, code: "UNAVAILABLE", state: "UNAVAILABLE", header: map[string]string{"Retry-After": "99999999"}}, nil, fault.Unavailable, time.Hour},
		"away":                        {reply{status: 503, code: "UNAVAILABLE", state: "UNAVAILABLE"}, nil, fault.Unavailable, 0},
		"its own fault":               {reply{status: 500, code: "INTERNAL", state: "INTERNAL"}, nil, fault.Unavailable, 0},
		"cut off":                     {reply{cut: true}, nil, fault.Unavailable, 0},
		"no JSON":                     {reply{status: 502, body: "<html>" + token}, nil, fault.Unavailable, 0},
		"not found, of what is asked": {reply{status: 404, body: `{"error":{"code":404,"status":"NOT_FOUND","message":"no such project"}}`}, nil, fault.Unavailable, 0},
		"rights are missing":          {reply{status: 403, body: `{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no"}}`}, nil, fault.Unavailable, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, tt.answer)
			sender, began := open(t, s), time.Now()
			err := sender.Wake(t.Context(), token, push.Wake{Kind: "result.stored", Last: "1"})
			var known *fault.Error
			switch {
			case tt.is != nil && !errors.Is(err, tt.is), tt.is == nil && tt.class == "" && err != nil:
				t.Errorf("%v, want %v", err, tt.is)
			case tt.class != "" && (!errors.As(err, &known) || known.Class != tt.class || errors.Is(err, push.ErrGone) || errors.Is(err, push.ErrRefused)):
				t.Errorf("%v, want the class %s", err, tt.class)
			case push.After(err) != tt.after:
				t.Errorf("it is to be left alone for %v, want %v", push.After(err), tt.after)
			}
			if took := time.Since(began); took > 3*time.Second || len(s.requests()) != 1 {
				t.Errorf("%d requests in %v", len(s.requests()), took)
			}
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Error("x", append(fault.Attrs(err), "err", err)...)
			if strings.Contains(log.String(), "canary") {
				t.Errorf("a token is told: %s", log.String())
			}
		})
	}
}

// A place that is none is told before anything is opened.
func TestPlaces(t *testing.T) {
	for project, legal := range map[string]bool{"clarity-example": true, "": false, "Clarity": false, "a/b": false, "x": false} {
		if err := (fcm.Config{Project: project}).Validate(); (err == nil) != legal {
			t.Errorf("%q: %v", project, err)
		}
		if _, err := fcm.Open(t.Context(), fcm.Config{Project: project, Emulator: "127.0.0.1:1"}); (err == nil) != legal {
			t.Errorf("open %q: %v", project, err)
		}
	}
}
