package analysis

import "errors"

// The vocabulary of failure that stages share. A driver's own sentinel is
// wrapped into one of these where a stage decides what to do next.
var (
	// ErrErased says that the person's data and key are destroyed.
	ErrErased = errors.New("account is erased")
	// ErrNoConsent says that the person has not agreed, or no longer does.
	ErrNoConsent = errors.New("no consent to process health data")
	// ErrUnreadable says that stored input cannot be decoded: retrying is useless.
	ErrUnreadable = errors.New("input is unreadable")
)
