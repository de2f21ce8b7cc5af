// Package gcs keeps the audit log in one bucket of Cloud Storage whose objects come
// and stay.
//
//	audit/WRITER/N12.log   lines from entry N on, a form feed, a signed note
//	heads/N12.log          the same of the notary: each writer's newest head
//
// Every process is a writer, of a name made of when it began and chance, with a chain
// of its own; once a day it begins another. N12 is the number of the object's first entry, in
// twelve digits, so that each object's name is known before it is there, and none can be left
// out. Lines and notes are those of the chain that audit/file keeps, in services/audit/internal/chain; each
// note signs the tree of its writer's whole chain, all that is needed to go on behind it, and the
// writer's name. One that a process left at its end says so.
//
// A notary (see Notarize) follows all writers of the last two days and signs over their heads, as a
// chain of its own; it says over and over what it has said of each, and never less. So a writer that is missing, or has lost its end, is missed once a notary has
// seen it, which is a minute later; before that only the bucket's retention policy speaks for
// it. The root that the notary signs is logged as well: a copy that nobody who can write to the
// bucket can reach.
//
// # Keys
//
// What people are hashed under and what signs is derived from one secret of the keyring
// (kms: ring/secret-audit, wrapped by the KEK); no key is in the bucket. Where there are
// objects already, no other secret is made. Who can unwrap it can write another
// history: against that stand the retention policy and the roots in the logs. It does not rotate: a
// person's hash has to stay the same; the KEK around it does.
//
// # What a call costs
//
//	Append   1 class A for all entries that came while the object before was written, at most 256 of
//	         them, and in the long run PerSecond objects at most
//	Verify   1 class A a thousand objects and one a writer, 1 class B an object
//	Ready    nothing where an object was written within ten seconds, else 1 class B
//	Notarize a turn: 1 class A, one a writer that lives, 1 class B an object since the turn before, and 1 class A
//	         to sign, where something is new; at the start some 40 class A to find where to go on
//	Open     1 class A, 1 class B, and the keyring's Secret
//
// Twenty processes that are never quiet make 100 objects a second, which is $43 a day, and the notary
// that reads them again $3.50 (class A $5, class B $0.40 a million). An entry that comes alone waits for
// its object and no more: fifty objects that were not needed before may be written at once.
//
// # Failures
//
// Append returns once its object is there. An attempt whose outcome nobody knows is made again for
// five seconds: that the name is taken is a success where the object is the same, byte for byte. Behind
// a flush that failed the writer begins another chain: what arrives late, or twice, is in the former one and
// verifies. An error of Append may be of an entry that is there. A process that was killed
// leaves a chain of whole objects, with all that was acknowledged and no word of its end. A read
// that may go well the next time is tried five times within three seconds.
//
// A fault has the status of the answer for its code and none of its text, which names
// objects.
//
// Never run on Google's own service, where the emulator differs: the retention policy and its
// lock, which the emulator does not know, how long a put takes, what a busy bucket is answered.
package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/internal/batch"
	"github.com/clarity-loop/clarity/services/internal/peer"
)

// room is the one of the faults.
const room = "audit"

// Config is where the log is.
type Config struct {
	Bucket string
	// Endpoint is that of an emulator, "http://HOST:PORT"; "" is Google's, with the
	// credentials of where it runs.
	Endpoint string
	// PerSecond is how many objects a process makes a second in the long run; 0 is 5. Each
	// is billed, and the more there are, the shorter an entry waits where many come.
	PerSecond int
}

// Keys are where the log's come from; the keyring of kms is one.
type Keys interface {
	// Secret is 32 bytes, always the same for one name, made at first where create says
	// so, else an error.
	Secret(ctx context.Context, of string, create bool) ([]byte, error)
}

// A Log is an audit.Log over a bucket, and this process its writer. Any number of processes
// may have it open.
type Log struct {
	place
	writer writer // of the committing goroutine
	group  *batch.Committer[audit.Event]
	there  *peer.Peer // the bucket
}

var _ audit.Log = (*Log)(nil)

const (
	perSecond  = 5  // objects, where the configuration does not say
	flushBurst = 50 // of those that were not needed before may be written at once
	flushLimit = 256
	flushTime  = 5 * time.Second
	heard      = 10 * time.Second // an object tells that the bucket is there
)

// MostPerSecond bounds Config.PerSecond.
const MostPerSecond = 100

// Open opens the log. It writes nothing before there is an entry. The options are the
// client's, besides what the configuration says.
func Open(ctx context.Context, c Config, k Keys, now func() time.Time, options ...option.ClientOption) (*Log, error) {
	if c.PerSecond < 0 || c.PerSecond > MostPerSecond {
		return nil, fmt.Errorf("open audit log: %d objects a second are not within 1 to %d", c.PerSecond, MostPerSecond)
	}
	at, err := openPlace(ctx, c, k, now, options)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l := &Log{place: at}
	l.writer = newWriter(at)
	l.there = peer.New(now, heard)
	l.group = batch.NewPaced(flushLimit, batch.Pace{Every: time.Second / time.Duration(cmp.Or(c.PerSecond, perSecond)), Burst: flushBurst}, l.commit)
	return l, nil
}

// commit is the writer's.
func (l *Log) commit(group []audit.Event) []error {
	errs := l.writer.commit(group)
	l.there.Saw(errors.Join(errs...))
	return errs
}

// Ready says why no entry can be written now, as far as reading tells.
func (l *Log) Ready(ctx context.Context) error {
	return audit.Fault("ready", l.there.Ready(ctx, func(ctx context.Context) error { return l.look(ctx) }))
}

// Append adds an entry; those that come while an object is written share the next.
func (l *Log) Append(ctx context.Context, e audit.Event) error {
	return audit.Fault("append", l.group.Do(ctx, e))
}

// Verify reads the whole log, every writer's chain, and holds it against what the notary
// signed. Of several that are wrong the *audit.BadEntry is that of the first writer; the error tells
// of all.
func (l *Log) Verify(ctx context.Context) (entries int64, err error) {
	entries, err = l.verify(ctx)
	return entries, found("verify", err)
}

// found is the fault that it was, unless it is a finding.
func found(op string, err error) error {
	var bad *audit.BadEntry
	if errors.As(err, &bad) {
		return fmt.Errorf("%s audit log: %w", op, err)
	}
	return audit.Fault(op, err)
}

// Close writes what waits, says that the writer's chain ends here, and ends the client.
func (l *Log) Close() error {
	l.group.Close()
	return errors.Join(audit.Fault("close", l.writer.end()), l.client.Close())
}

// place is the log as writers, verifiers and the notary share it.
type place struct {
	bucket
	client *storage.Client
	keys   keys
	now    func() time.Time
	google bool // it is no emulator's
}

// emulatorVariable leads the client to an emulator.
const emulatorVariable = "STORAGE_EMULATOR_HOST"

func openPlace(ctx context.Context, c Config, k Keys, now func() time.Time, options []option.ClientOption) (p place, err error) {
	if c.Endpoint == "" && os.Getenv(emulatorVariable) != "" {
		return p, fmt.Errorf("%s leads to an emulator that the configuration does not name", emulatorVariable)
	}
	chosen := []option.ClientOption{storage.WithJSONReads(), option.WithScopes(storage.ScopeReadWrite)}
	if c.Endpoint != "" {
		chosen = append(chosen, option.WithEndpoint(strings.TrimSuffix(c.Endpoint, "/")+"/storage/v1/"), option.WithoutAuthentication())
	}
	client, err := storage.NewClient(ctx, append(chosen, options...)...)
	if err != nil {
		return p, failed(err)
	}
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	p = place{client: client, bucket: bucket{client.Bucket(c.Bucket)}, now: now, google: c.Endpoint == ""}
	is, err := patiently(ctx, p.handle.Attrs)
	if err := p.fits(is, err); err != nil {
		return p, errors.Join(err, client.Close())
	}
	if p.keys, err = p.openKeys(ctx, k); err != nil {
		return p, errors.Join(err, client.Close())
	}
	return p, nil
}

// look is at the bucket, once.
func (p place) look(ctx context.Context) error {
	is, err := p.handle.Attrs(ctx)
	return p.fits(is, err)
}

// fits says what is wrong with the bucket as it was seen: whether what is written there
// stays. An emulator knows no retention.
func (p place) fits(is *storage.BucketAttrs, err error) error {
	if err != nil {
		return failed(err)
	}
	if p.google {
		return stays(is)
	}
	return nil
}

// stays is an error where objects of the bucket can be removed or replaced.
func stays(is *storage.BucketAttrs) error {
	if is.RetentionPolicy == nil || is.RetentionPolicy.RetentionPeriod <= 0 {
		return errors.New("the bucket has no retention policy: who may write there could remove entries")
	}
	return nil
}
