package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/signals"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
	"github.com/clarity-loop/clarity/services/veil"
)

// Env is what a driver and a stage may use of the process.
type Env struct {
	Now     func() time.Time
	Log     *slog.Logger
	Name    string // of the program
	Version string // of the build
	// Traces records what is done; a Platform has its own, as it has Calls, which measures
	// drivers. Nil measures none.
	Traces trace.Recorder
	Calls  *signals.Calls
	// Closing registers what the process closes at its end, the last first. A
	// Platform has its own.
	Closing func(what string, c io.Closer)
	// Space says why nothing more can be taken in, where the disk is nearly full;
	// nil always has room.
	Space func() error
	// Working says why no more may be made of what was taken in: what is left is for
	// reads, withdrawals and erasures. nil always has room.
	Working func() error
	// Writing says why nothing can be written any more, so that nobody can be answered;
	// nil always can be.
	Writing func() error
}

// An Opener opens a driver. at is what stands behind "NAME:" in the
// configuration; whether it may be empty is the driver's to say.
type Opener[T any] func(ctx context.Context, at string, e Env) (T, error)

// A Keyring is what a driver of the keys can do. No stage is given one: Keys and
// an Eraser are two things that it may need.
type Keyring interface {
	keyring.Keyring
}

// Keys seal, name people by pseudonyms, and let who was erased come back.
type Keys interface {
	keyring.Sealer
	keyring.Renewer
	keyring.Pseudonymizer
}

// A Plan is where the traffic plan of a model comes from.
type Plan struct {
	Model  string // "" takes that of the first plan
	Source traffic.Source
}

// Drivers are what a binary can open, by the name in front of the colon. A
// binary writes them out in one literal; nothing registers itself.
type Drivers struct {
	Store    map[string]Opener[store.Driver]
	Blobs    map[string]Opener[blob.Store]
	Queue    map[string]Opener[queue.Driver]
	Keys     map[string]Opener[Keyring]
	Identity map[string]Opener[identity.Verifier]
	Audit    map[string]Opener[audit.Log]
	// Writer has to hold the template, which speaks where another writer's text
	// is not grounded.
	Writer map[string]Opener[narrative.Writer]
	Plans  map[string]Opener[Plan]
	// Feed may be nil: there is none on one machine.
	Feed map[string]Opener[relay.Feed]
	// Push may be nil, too.
	Push map[string]Opener[push.Sender]
	// Traces opens what records traces; nil where the binary sends none.
	Traces func(ctx context.Context, t Traces, e Env) (trace.Recorder, error)
	// Places tells what is wrong with the places of drivers that are needed, where a
	// place has a form of its own. It opens nothing; nil finds nothing wrong.
	Places func(b Backends, needs capability.Set) error
	// LongestCall is how long a call of any of these takes at most; 0 is two seconds,
	// for drivers within the process. What is written later is removed when an
	// erasure is repeated.
	LongestCall time.Duration
}

// longestCall is LongestCall of drivers within the process.
const longestCall = 2 * time.Second

// templateWriter is the name of the writer that needs nobody.
const templateWriter = "template"

// trafficPrefix begins a model's reference that names a plan.
const trafficPrefix = "traffic:"

// Opened is an open driver of each capability that was needed; the others are nil.
// What is behind Keys cannot be made to erase, nor what is behind Erasure to open:
// neither is the driver itself.
type Opened struct {
	Store            *store.Store
	Blobs            blob.Store
	Queue            queue.Queue
	Gauge            queue.Gauge // of the queue
	Keys             Keys
	Erasure          keyring.Eraser
	Identity         identity.Verifier
	Audit            audit.Log
	Writer, Template narrative.Writer
	Feed             relay.Feed  // nil where there is none
	Push             push.Sender // nil where there is none
	Plan             Plan        // without a Source where the model is no plan's
	LongestCall      time.Duration
}

// Check tells every driver that the binary does not have, and what it has. It
// opens nothing.
func (d Drivers) Check(b Backends, needs capability.Set) error {
	faults := []error{
		check("store", d.Store, b.Store, needs.Has(capability.Store)),
		check("blobs", d.Blobs, b.Blobs, needs.Has(capability.Blobs)),
		check("queue", d.Queue, b.Queue, needs.Has(capability.Queue)),
		check("keys", d.Keys, b.Keys, needs.HasAny(ofKeyring)),
		check("identity", d.Identity, b.Identity, needs.Has(capability.Identity)),
		check("audit", d.Audit, b.Audit, needs.Has(capability.Audit)),
		check("writer", d.Writer, b.Writer, needs.Has(capability.Writer)),
		check("writer", d.Writer, templateWriter, needs.Has(capability.Writer)),
	}
	if at, placed := strings.CutPrefix(b.Writer, templateWriter+":"); placed && needs.Has(capability.Writer) {
		faults = append(faults, configErrorf("writer: %s takes nothing behind it, as %q is", templateWriter, at))
	}
	if b.Feed != "" {
		faults = append(faults, check("feed", d.Feed, b.Feed, needs.Has(capability.Feed)))
	}
	if b.Push != "" {
		faults = append(faults, check("push", d.Push, b.Push, needs.Has(capability.Push)))
	}
	if plan, ok := strings.CutPrefix(b.Model, trafficPrefix); ok {
		faults = append(faults, d.checkPlan(plan, needs.Has(capability.Model)))
	}
	if d.Places != nil {
		faults = append(faults, d.Places(b, needs))
	}
	return oneConfigError(faults)
}

// checkPlan is check for a traffic plan, which always has a place.
func (d Drivers) checkPlan(spec string, needed bool) error {
	if err := check("model: traffic", d.Plans, spec, needed); err != nil {
		return err
	}
	if name, at, _ := strings.Cut(spec, ":"); at == "" && needed {
		return configErrorf("model: %s%s names no traffic plan: write where it is, %s%s:PATH", trafficPrefix, name, trafficPrefix, name)
	}
	return nil
}

func check[T any](what string, built map[string]Opener[T], spec string, needed bool) error {
	name, _, _ := strings.Cut(spec, ":")
	if _, ok := built[name]; ok || !needed {
		return nil
	}
	there := strings.Join(slices.Sorted(maps.Keys(built)), ", ")
	if there == "" {
		return configErrorf("%s: this binary has no driver for it, so there can be no %q", what, spec)
	}
	if name == "" {
		return configErrorf("%s: %q names no driver; this binary has %s", what, spec, there)
	}
	return configErrorf("%s: no driver %q in this binary; it has %s", what, name, there)
}

// Open opens what is needed, and has e close it. On an error what is open
// already is e's to close, too.
func (d Drivers) Open(ctx context.Context, b Backends, needs capability.Set, e Env) (o Opened, err error) {
	if err := d.Check(b, needs); err != nil {
		return o, err
	}
	o.LongestCall = cmp.Or(d.LongestCall, longestCall)
	var documents store.Driver
	var keys Keyring
	var messages queue.Driver
	plan, _ := strings.CutPrefix(b.Model, trafficPrefix)
	for _, step := range []func() error{
		opening(ctx, "keys", d.Keys, b.Keys, needs.HasAny(ofKeyring), e, &keys),
		opening(ctx, "store", d.Store, b.Store, needs.Has(capability.Store), e, &documents),
		opening(ctx, "blobs", d.Blobs, b.Blobs, needs.Has(capability.Blobs), e, &o.Blobs),
		opening(ctx, "audit", d.Audit, b.Audit, needs.Has(capability.Audit), e, &o.Audit),
		opening(ctx, "queue", d.Queue, b.Queue, needs.Has(capability.Queue), e, &messages),
		opening(ctx, "identity", d.Identity, b.Identity, needs.Has(capability.Identity), e, &o.Identity),
		opening(ctx, "writer", d.Writer, b.Writer, needs.Has(capability.Writer), e, &o.Writer),
		opening(ctx, "writer", d.Writer, templateWriter, needs.Has(capability.Writer), e, &o.Template),
		opening(ctx, "feed", d.Feed, b.Feed, needs.Has(capability.Feed) && b.Feed != "", e, &o.Feed),
		opening(ctx, "push", d.Push, b.Push, needs.Has(capability.Push) && b.Push != "", e, &o.Push),
		opening(ctx, "traffic plan", d.Plans, plan, needs.Has(capability.Model) && plan != b.Model, e, &o.Plan),
	} {
		if err := step(); err != nil {
			return o, err
		}
	}
	if needs.Has(capability.Keys) {
		o.Keys = sealing{e.Calls.Sealer(keys), keys, keys, readyOf(keys)}
	}
	if needs.Has(capability.Erasure) {
		o.Erasure = erasing{keys}
	}
	if messages != nil && keys != nil {
		messages = veil.NewMessages(messages, keys, e.Log)
	}
	if messages != nil {
		o.Queue, o.Gauge = messages, messages
	}
	if documents != nil {
		o.Store = store.New(veil.NewDocuments(e.Calls.Store(documents), keys), o.Keys)
		guard(keys, o.Store)
	}
	return o, nil
}

// Rotator opens the keys for who operates them: nothing that is opened for a stage
// can rotate them.
func (d Drivers) Rotator(ctx context.Context, b Backends, e Env) (keyring.Rotator, error) {
	if err := check("keys", d.Keys, b.Keys, true); err != nil {
		return nil, err
	}
	var keys Keyring
	if err := opening(ctx, "keys", d.Keys, b.Keys, true, e, &keys)(); err != nil {
		return nil, err
	}
	return keys, nil
}

// An OpenError is a driver that could not be opened: of which capability, which,
// where, and why.
type OpenError struct {
	Of, Driver, At string
	Cause          error
}

// Error says which driver of what, and why.
func (e *OpenError) Error() string { return fmt.Sprintf("open the %s %s: %v", e.Of, e.Driver, e.Cause) }

// Unwrap is why.
func (e *OpenError) Unwrap() error { return e.Cause }

// ofKeyring is what the one driver of the keys stands behind.
const ofKeyring = capability.Keys | capability.Erasure

// sealing and erasing are a keyring's two faces. They hold it where nobody who is
// given the one can ask it for the other.
type (
	sealing struct {
		keyring.Sealer
		keyring.Renewer
		keyring.Pseudonymizer
		ready func(ctx context.Context) error
	}
	erasing struct{ keyring.Eraser }
)

// Ready says why nobody's key can be found now, where the driver can tell.
func (s sealing) Ready(ctx context.Context) error { return s.ready(ctx) }

func readyOf(keys Keyring) func(ctx context.Context) error {
	if d, can := keys.(interface{ Ready(context.Context) error }); can {
		return d.Ready
	}
	return func(context.Context) error { return nil }
}

// guard has the keys make none for whom something is stored that is sealed.
func guard(keys Keyring, documents *store.Store) {
	if d, can := keys.(interface {
		Guard(sealed func(ctx context.Context, uid string) (bool, error))
	}); can {
		d.Guard(documents.HoldsSealed)
	}
}

// only is what of o these needs name.
func (o Opened) only(needs capability.Set) Opened {
	return Opened{
		Store:    given(needs.Has(capability.Store), o.Store),
		Blobs:    given(needs.Has(capability.Blobs), o.Blobs),
		Queue:    given(needs.Has(capability.Queue), o.Queue),
		Gauge:    given(needs.Has(capability.Queue), o.Gauge),
		Keys:     given(needs.Has(capability.Keys), o.Keys),
		Erasure:  given(needs.Has(capability.Erasure), o.Erasure),
		Identity: given(needs.Has(capability.Identity), o.Identity),
		Audit:    given(needs.Has(capability.Audit), o.Audit),
		Writer:   given(needs.Has(capability.Writer), o.Writer),
		Template: given(needs.Has(capability.Writer), o.Template),
		Feed:     given(needs.Has(capability.Feed), o.Feed),
		Push:     given(needs.Has(capability.Push), o.Push),
		Plan:     given(needs.Has(capability.Model), o.Plan),
	}
}

// given is v, or nothing of its kind.
func given[T any](is bool, v T) (none T) {
	if is {
		return v
	}
	return none
}

func opening[T any](ctx context.Context, what string, built map[string]Opener[T], spec string, needed bool, e Env, into *T) func() error {
	return func() (err error) {
		if !needed {
			return nil
		}
		name, at, _ := strings.Cut(spec, ":")
		if *into, err = built[name](ctx, at, e); err != nil {
			return &OpenError{Of: what, Driver: name, At: at, Cause: err}
		}
		return nil
	}
}
