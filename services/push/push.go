// Package push is the contract for waking a phone that is asleep.
//
// A Sender has the phone behind a token be woken, with the Wake as data and nothing to
// show. It MUST hand on the Wake's two fields and nothing else. When it returns nil the
// service has taken the message; whether the phone wakes, and when, nobody knows. It may
// be woken twice.
//
// ErrGone says that the token is of no device any more, and is dropped. ErrRefused says
// that the service does not take the message whatever is done: nobody tries again. Every
// other error may pass. Callers retry, senders do not; After says what the service asked
// for. No error and no log names a token.
package push

import (
	"context"
	"errors"
	"time"
)

// The errors that no retry mends.
var (
	ErrGone    = errors.New("push: the token is of no device any more")
	ErrRefused = errors.New("push: the service refuses the message")
)

// A Wake is all that a phone is told: that there is something new.
type Wake struct {
	Kind string // of the newest event, as the API's events have it
	Last string // the number of it, as the API's events have it
}

// A Sender wakes phones. It may be called concurrently.
type Sender interface {
	Wake(ctx context.Context, token string, w Wake) error
}

// After is how long the service wants to be left alone behind the error; 0 where it did
// not say.
func After(err error) time.Duration {
	var said interface{ RetryAfter() time.Duration }
	if errors.As(err, &said) {
		return said.RetryAfter()
	}
	return 0
}
