package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/queue"
)

// A Place is where a platform keeps things: in a data directory, but for the
// backends that it was told to have elsewhere.
type Place struct {
	Dir      string
	Backends platform.Backends
}

// DeadLetters lists the dead letters of every topic and consumer of a place, those
// at the end that nobody consumes any more, and counts what else nobody consumes.
// Where a platform is running there, it is asked; then the letters have no bodies
// and no keys.
func DeadLetters(ctx context.Context, p Place, d platform.Drivers, now func() time.Time) (dead []queue.DeadLetter, unclaimed []queue.Backlog, err error) {
	err = withQueue(ctx, p, d, now, func(q queue.Queue, g queue.Gauge) (err error) {
		dead, unclaimed, err = operate.DeadLetters(ctx, q, g)
		return err
	})
	if !errors.Is(err, ErrInUse) {
		return dead, unclaimed, err
	}
	var said letters
	if asked := ask(ctx, p.Dir, http.MethodGet, "/dead", &said); asked != nil {
		return nil, nil, errors.Join(err, asked)
	}
	for _, l := range said.Letters {
		m := queue.Message{Topic: l.Topic}
		dead = append(dead, queue.DeadLetter{Delivery: queue.Delivery{Message: m, Attempt: l.Attempt}, ID: l.ID, Consumer: l.Consumer, Reason: l.Reason, Died: l.Died})
	}
	return dead, said.Unclaimed, nil
}

// ReplayDead makes a message of a dead letter again, whether or not a platform is
// running there.
func ReplayDead(ctx context.Context, p Place, d platform.Drivers, now func() time.Time, letter string) error {
	return settleDead(ctx, p, d, now, letter, replayLetter, queue.Queue.Replay)
}

// DropDead removes a dead letter for good, whether or not a platform is running there.
func DropDead(ctx context.Context, p Place, d platform.Drivers, now func() time.Time, letter string) error {
	return settleDead(ctx, p, d, now, letter, dropLetter, queue.Queue.Drop)
}

func settleDead(ctx context.Context, p Place, d platform.Drivers, now func() time.Time, letter, verb string, act func(queue.Queue, context.Context, string) error) error {
	err := withQueue(ctx, p, d, now, func(q queue.Queue, _ queue.Gauge) error { return act(q, ctx, letter) })
	if !errors.Is(err, ErrInUse) {
		return err
	}
	asked := ask(ctx, p.Dir, http.MethodPost, "/dead/"+url.PathEscape(letter)+"/"+verb, nil)
	switch {
	case asked == nil:
		return nil
	case errors.Is(asked, queue.ErrNoLetter), errors.Is(asked, queue.ErrNoSubscription):
		return fmt.Errorf("%s dead letter %s: %w", verb, letter, asked)
	}
	return errors.Join(err, asked)
}

func withQueue(ctx context.Context, p Place, d platform.Drivers, now func() time.Time, use func(queue.Queue, queue.Gauge) error) error {
	l := Lease{Dir: p.Dir, Drivers: d, Backends: p.Backends, Needs: capability.Queue, Env: platform.Env{Now: now}}
	o, release, err := l.Acquire(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(o.Queue, o.Gauge), release())
}

// Pseudonym is what names a person of the place to those who may not know the
// person, whether or not a platform is running there.
func Pseudonym(ctx context.Context, p Place, user string) (string, error) {
	at, err := p.of(func(b platform.Backends) string { return b.Keys })
	if err != nil {
		return "", err
	}
	keys, err := embedded.Keys(ctx, at, platform.Env{})
	if err != nil {
		return "", Sentence(p.Dir, &platform.OpenError{Of: "keys", Driver: "tink", At: at, Cause: err})
	}
	pseudonym, err := keys.Pseudonym(ctx, user)
	if err != nil {
		return "", Sentence(p.Dir, &platform.OpenError{Of: "keys", Driver: "tink", At: at, Cause: err})
	}
	return pseudonym, nil
}

// VerifyAudit checks the audit log of a place, whether or not a platform is
// running there, and returns how many entries it has.
func VerifyAudit(ctx context.Context, p Place) (int64, error) {
	at, err := p.of(func(b platform.Backends) string { return b.Audit })
	if err != nil {
		return 0, err
	}
	entries, err := embedded.VerifyAudit(ctx, at)
	if errors.Is(err, fs.ErrPermission) {
		err = Sentence(p.Dir, &platform.OpenError{Of: "audit", Driver: "file", At: at, Cause: err})
	}
	return entries, err
}

// MustHold says where nothing was kept before: not by the backend that is at the
// place of a capability, or not in the data directory at all. It makes nothing.
func MustHold(p Place, of capability.Set, at string) error {
	if within(at, p.Dir) || of == capability.Keys && "tink:"+at == embedded.In(p.Dir, platform.Backends{}).Keys {
		if err := mustExist(p.Dir); err != nil {
			return err
		}
	}
	there, err := embedded.Holds(of, at)
	switch {
	case err != nil:
		return Sentence(p.Dir, &platform.OpenError{Of: of.String(), At: at, Cause: err})
	case !there:
		return fmt.Errorf("there is nothing of the %s at %s: say the --data, --%s or --config that `clarity up` was told", of, at, of)
	}
	return nil
}

// of is where a backend keeps its things; where that is the data directory's own
// place for them, the directory must be there.
func (p Place) of(spec func(platform.Backends) string) (string, error) {
	_, at, _ := strings.Cut(spec(embedded.In(p.Dir, p.Backends)), ":")
	if _, own, _ := strings.Cut(spec(embedded.In(p.Dir, platform.Backends{})), ":"); at != own && !within(at, p.Dir) {
		return at, nil
	}
	return at, mustExist(p.Dir)
}
