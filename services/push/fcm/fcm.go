// Package fcm wakes phones by Firebase Cloud Messaging: data messages over its HTTP v1
// API, of the same importance on Android and, as background notifications, on iOS.
//
//	Wake    1 request, of about 500 bytes
//
// The SDK's client retries by itself, up to minutes. Here each request is made once: its
// context ends with an answer that the client would try again after.
package fcm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	sdk "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/errorutils"
	"firebase.google.com/go/v4/messaging"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	transport "google.golang.org/api/transport/http"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/push"
)

const (
	// CallTimeout is how long a request may take.
	CallTimeout = 10 * time.Second
	// kept is for how long the service tries to reach a phone that is off: what is new by
	// then has a wake of its own.
	kept = 24 * time.Hour
	// collapse is what a phone that was off has one message of.
	collapse = "news"
	// mostRead bounds an answer, and longestPause what it may ask for.
	mostRead     = 64 << 10
	longestPause = time.Hour
)

var projectForm = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)

// A Config says where messages go.
type Config struct {
	Project string
	// Emulator is HOST:PORT of a stand-in, spoken to in the clear and without credentials;
	// "" is Google's.
	Emulator string
}

// Validate tells what is wrong with it.
func (c Config) Validate() error {
	if !projectForm.MatchString(c.Project) {
		return errors.New("it names no PROJECT")
	}
	return nil
}

// A Sender is a push.Sender.
type Sender struct{ client *messaging.Client }

var _ push.Sender = (*Sender)(nil)

// Open makes the client. It sends nothing.
func Open(ctx context.Context, c Config, options ...option.ClientOption) (*Sender, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Emulator != "" {
		options = []option.ClientOption{option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "owner"}))}
	}
	scopes := option.WithScopes("https://www.googleapis.com/auth/firebase.messaging")
	authenticated, err := transport.NewTransport(ctx, once{http.DefaultTransport}, append([]option.ClientOption{scopes}, options...)...)
	if err != nil {
		return nil, errors.New("no credentials to send messages with")
	}
	given := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: authenticated}),
		// The client has its credentials: nobody looks for others.
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{}))}
	if c.Emulator != "" {
		given = append(given, option.WithEndpoint("http://"+c.Emulator+"/v1"))
	}
	app, err := sdk.NewApp(ctx, &sdk.Config{ProjectID: c.Project}, given...)
	if err != nil {
		return nil, err
	}
	client, err := app.Messaging(ctx)
	if err != nil {
		return nil, err
	}
	return &Sender{client}, nil
}

// Wake sends one message.
func (s *Sender) Wake(ctx context.Context, token string, w push.Wake) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	a := &answer{enough: cancel}
	_, err := s.client.Send(context.WithValue(ctx, answerKey{}, a), message(token, w))
	switch {
	case err == nil:
		return nil
	case messaging.IsUnregistered(err), messaging.IsSenderIDMismatch(err):
		return push.ErrGone
	case messaging.IsInvalidArgument(err) || errorutils.IsInvalidArgument(err), messaging.IsThirdPartyAuthError(err):
		return fmt.Errorf("send a message: %w", &fault.Error{Room: "push", Op: "wake", Class: fault.Broken, Code: a.code(), Cause: push.ErrRefused})
	}
	class := fault.Unavailable
	if a.status == http.StatusTooManyRequests {
		class = fault.Limit
	}
	return fmt.Errorf("send a message: %w", &fault.Error{Room: "push", Op: "wake", Class: class, Code: a.code(), Cause: a})
}

// message is the wake as the service takes it.
func message(token string, w push.Wake) *messaging.Message {
	ttl := kept
	return &messaging.Message{
		Token: token,
		Data:  map[string]string{"event": w.Kind, "last": w.Last},
		Android: &messaging.AndroidConfig{
			CollapseKey: collapse, Priority: "high", TTL: &ttl,
		},
		APNS: &messaging.APNSConfig{
			Headers: map[string]string{"apns-push-type": "background", "apns-priority": "5", "apns-collapse-id": collapse},
			Payload: &messaging.APNSPayload{Aps: &messaging.Aps{ContentAvailable: true}},
		},
	}
}

// An answer is what a request came to, as far as its error does not say. It is the cause
// of a fault, and names nobody.
type answer struct {
	enough func()
	status int // 0: none
	after  time.Duration
}

type answerKey struct{}

func (a *answer) code() string {
	if a.status == 0 {
		return "no answer"
	}
	return strconv.Itoa(a.status)
}

// Error says no more than the status.
func (a *answer) Error() string { return "the service answered " + a.code() }

// RetryAfter is what the service asked for.
func (a *answer) RetryAfter() time.Duration { return a.after }

// once has each request be made once.
type once struct{ next http.RoundTripper }

// RoundTrip makes the request, and ends the caller's patience where the SDK would try again.
func (o once) RoundTrip(r *http.Request) (*http.Response, error) {
	a, known := r.Context().Value(answerKey{}).(*answer)
	res, err := o.next.RoundTrip(r)
	if !known {
		return res, err
	}
	if err != nil {
		a.enough()
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostRead))
	_ = res.Body.Close()
	a.status = res.StatusCode
	if seconds, said := strconv.Atoi(res.Header.Get("Retry-After")); said == nil && seconds > 0 {
		a.after = min(time.Duration(seconds)*time.Second, longestPause)
	}
	if err != nil || res.StatusCode == http.StatusServiceUnavailable {
		a.enough()
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}
