package shard

import (
	"context"
	"errors"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/model"
)

// The reasons for which a subject fails.
const (
	// ReasonNoData: no sample is in any of the windows.
	ReasonNoData = "NoData"
	// ReasonNoConsent: the person has not agreed, or no longer does.
	ReasonNoConsent = "NoConsent"
	// ReasonErased: the person's data and key are destroyed.
	ReasonErased = "Erased"
	// ReasonUnknownSubject: no data is held of a person with that pseudonym.
	ReasonUnknownSubject = "UnknownSubject"
	// ReasonUnreadableInput: stored data cannot be decoded, or its key is gone.
	ReasonUnreadableInput = "UnreadableInput"
	// ReasonModelRefused: the model refused the week for another reason than too little data.
	ReasonModelRefused = "ModelRefused"
)

// Reasons lists the reasons for which a subject fails.
func Reasons() []string {
	return []string{ReasonNoData, ReasonNoConsent, ReasonErased, ReasonUnknownSubject, ReasonUnreadableInput, ReasonModelRefused}
}

// reasonOf says why a window failed; ok is false where it is not the subject's
// fault, so that the attempt has to end and another to try.
func reasonOf(err error) (reason string, ok bool) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "", false
	}
	var refused *model.Refusal
	for _, known := range []struct {
		is     bool
		reason string
	}{
		{errors.Is(err, analysis.ErrErased) || errors.Is(err, keyring.ErrDestroyed), ReasonErased},
		{errors.Is(err, analysis.ErrNoConsent), ReasonNoConsent},
		{errors.Is(err, analysis.ErrUnreadable) || errors.Is(err, keyring.ErrTampered) || errors.Is(err, keyring.ErrNoKey) ||
			errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotFound), ReasonUnreadableInput},
		{errors.As(err, &refused), ReasonModelRefused},
	} {
		if known.is {
			return known.reason, true
		}
	}
	return "", false
}
