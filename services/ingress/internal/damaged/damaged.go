// Package damaged is what an export says of what cannot be read.
package damaged

import (
	"errors"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/timeline"
)

// Say writes the line of an export that stands for what of a record cannot be read,
// where no retry reads it: the rest is exported all the same. Another error is returned.
func Say(line reply.Line, kind, key string, err error) error {
	var e *fault.Error
	said := clarityexport.Unreadable{Kind: kind, Reason: "damaged"}
	switch {
	case errors.As(err, &e) && e.Class == fault.Newer, errors.Is(err, timeline.ErrNewer):
		return err
	case errors.Is(err, blob.ErrNotFound):
		said.Reason = "gone"
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, keyring.ErrTampered), errors.Is(err, timeline.ErrDamaged),
		errors.As(err, &e) && e.Class == fault.Broken:
	default:
		return err
	}
	return line(clarityexport.KindUnreadable, key, said)
}
