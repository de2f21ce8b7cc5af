// Package pass is what the passes of both controllers have in common: the reasons
// they give, when they want to look again, and what they do where the cache is behind.
package pass

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A Reason is the reason of a condition with its sentence.
type Reason struct{ Reason, Message string }

// ErrStale says that the API server knows more than the cache told. Nothing is
// wrong: the next pass sees it.
var ErrStale = errors.New("the cache is behind the API server")

// CatchUp is how long the cache gets to catch up.
const CatchUp = 100 * time.Millisecond

// Behind says whether the error tells of a cache that is behind, and of nothing else:
// the API server knew more, or refused a write over what is past.
func Behind(err error) bool { return errors.Is(err, ErrStale) || apierrors.IsConflict(err) }

// An Alarm is when a pass wants to look again without being told. The zero value is never.
type Alarm struct{ after time.Duration }

// WakeIn asks for another look after d, if nothing sooner is asked for. What is not
// above 0 asks for nothing.
func (a *Alarm) WakeIn(d time.Duration) {
	if d > 0 && (a.after == 0 || d < a.after) {
		a.after = d
	}
}

// Wake is the soonest that was asked for; 0 is never.
func (a *Alarm) Wake() time.Duration { return a.after }
