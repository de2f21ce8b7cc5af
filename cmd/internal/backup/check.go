package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
)

const capabilityKeys = capability.Keys

// A Report is what was found in a data directory.
type Report struct {
	People, Erased, Uploads, Days, Results int
	Bodies                                 int   // of uploads, opened
	Entries                                int64 // of the audit log
	// Waiting are results that rest on other days than there are now: an
	// analysis is on its way.
	Waiting int
	// Bad are the faults, a sentence each: the kind and the person's pseudonym.
	Bad []string
}

// Check reads everything in a place on which nothing is running: each record and
// what it refers to is opened and decoded, each day held against its digest, each
// result against its days, the audit log against its checkpoints. A backup is held
// against its manifest, too, and nothing is written into it: a copy is looked at. A data
// directory of a release before is refused.
func Check(ctx context.Context, p datadir.Place, d platform.Drivers, now func() time.Time) (r Report, err error) {
	if _, err := os.Stat(filepath.Join(p.Dir, manifestName)); errors.Is(err, fs.ErrNotExist) {
		return examine(ctx, p, d, now, true)
	}
	was, err := readManifest(p.Dir)
	if err != nil {
		return r, err
	}
	b := embedded.In(p.Dir, p.Backends)
	if err := fits(ctx, was, b, now); err != nil {
		return r, err
	}
	bad, err := compare(p.Dir, was)
	if err != nil {
		return r, err
	}
	beside, err := os.MkdirTemp("", "clarity-fsck-*")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	if err := copyFiles(p.Dir, beside, was); err != nil {
		return r, err
	}
	r, err = examine(ctx, datadir.Place{Dir: beside, Backends: platform.Backends{Keys: b.Keys}}, d, now, false)
	for i, what := range bad {
		bad[i] = "the backup: " + what
	}
	r.Bad = append(bad, r.Bad...)
	return r, err
}

// examine is Check of the place itself, of which a copy of a release before is brought
// to this layout.
func examine(ctx context.Context, p datadir.Place, d platform.Drivers, now func() time.Time, asItIs bool) (r Report, err error) {
	l := datadir.Lease{AsItIs: asItIs, Dir: p.Dir, Drivers: d, Backends: p.Backends, Needs: capability.Store | capability.Blobs | capability.Keys, Env: platform.Env{Now: now, Log: slog.New(slog.DiscardHandler)}}
	o, release, err := l.Acquire(ctx)
	if err != nil {
		return r, err
	}
	c := &check{Opened: o, objects: vault.New(o.Blobs, o.Keys), now: now, report: &r}
	err = o.Store.EachPerson(ctx, func(uid string) error { return c.person(ctx, uid) })
	if err = errors.Join(err, release()); err != nil {
		return r, err
	}
	own := embedded.In(p.Dir, p.Backends)
	// A phone uploads once its consent was acknowledged, and by that audited. Of a person of
	// whom there is no upload the power may have gone before anything was.
	r.Bad = append(r.Bad, embedded.CheckBeside(ctx, own, r.Uploads > 0)...)
	if at, is := strings.CutPrefix(own.Identity, "local:"); is {
		if err := issuer.Check(at); err != nil {
			r.Bad = append(r.Bad, "the issuer: "+err.Error())
		}
	}
	r.Entries, err = datadir.VerifyAudit(ctx, p)
	var bad *audit.BadEntry
	if errors.As(err, &bad) {
		r.Bad = append(r.Bad, fmt.Sprintf("the audit log: entry %d: %s", bad.Index, bad.Detail))
		err = nil
	}
	if there, holds := embedded.HoldsAudit(p.Dir, p.Backends); err != nil && holds == nil && !there {
		err = nil
		if r.People > 0 { // else nothing was audited yet
			r.Bad = append(r.Bad, "the audit log: its keys.json is not there")
		}
	}
	return r, err
}

// check is one look at everything.
type check struct {
	platform.Opened
	objects *vault.Vault
	now     func() time.Time
	report  *Report
	name    string // the person's pseudonym
	days    map[string]record.Day
	lost    string // the pseudonym of whose key was found missing last
}

// bad notes a fault, and an error that is none of what is kept.
func (c *check) bad(what string, err error) {
	if errors.Is(err, keyring.ErrNoKey) { // so it is of all that is theirs
		what, err = "the key", errors.New("it is missing, or cannot be read: put it back")
		if c.lost == c.name {
			return
		}
		c.lost = c.name
	}
	if err != nil {
		c.report.Bad = append(c.report.Bad, fmt.Sprintf("%s of %s: %v", what, c.name, err))
	}
}

func (c *check) person(ctx context.Context, uid string) (err error) {
	if c.name, err = c.Keys.Pseudonym(ctx, uid); err != nil {
		return err
	}
	c.report.People++
	account, err := c.Store.Accounts.Get(ctx, uid, record.AccountKey)
	if err == nil && !account.Value.ErasedAt.IsZero() {
		c.report.Erased++
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c.days = map[string]record.Day{}
	c.uploads(ctx, uid)
	c.eachDay(ctx, uid)
	c.tombstones(ctx, uid)
	c.results(ctx, uid)
	c.exports(ctx, uid)
	each(ctx, c, uid, "an insight", c.Store.Insights, nil)
	each(ctx, c, uid, "an event", c.Store.Events, nil)
	each(ctx, c, uid, "a consent", c.Store.Consents, nil)
	each(ctx, c, uid, "a profile", c.Store.Profiles, nil)
	each(ctx, c, uid, "a cursor", c.Store.Cursors, nil)
	each(ctx, c, uid, "what is unfinished", c.Store.Agenda, nil)
	return ctx.Err()
}

// each opens every record of a collection and looks at it.
func each[T any](ctx context.Context, c *check, uid, what string, of store.Collection[T], look func(store.Record[T]) error) {
	for after := ""; ; {
		page, err := of.List(ctx, uid, store.Query{After: after, Limit: store.MaxLimit})
		if err != nil {
			c.bad(what, err)
			return
		}
		for _, r := range page {
			after = r.Key
			if look != nil {
				c.bad(what, look(r))
			}
		}
		if len(page) < store.MaxLimit {
			return
		}
	}
}

func (c *check) uploads(ctx context.Context, uid string) {
	each(ctx, c, uid, "an upload", c.Store.Uploads, func(r store.Record[record.Upload]) error {
		c.report.Uploads++
		if r.Value.Blob == "" {
			return nil // its body is in the record, or was
		}
		_, err := c.objects.Get(ctx, uid, r.Value.Blob)
		if errors.Is(err, blob.ErrNotFound) && retention.Served(r.Value.State, r.Updated, c.now()) {
			return nil
		}
		if err == nil {
			c.report.Bodies++
		}
		return err
	})
}

// exports opens every part of every export.
func (c *check) exports(ctx context.Context, uid string) {
	each(ctx, c, uid, "an export", c.Store.Exports, func(r store.Record[record.Export]) error {
		for _, part := range r.Value.Parts {
			packed, err := c.objects.Get(ctx, uid, part.Object)
			if err == nil {
				_, err = part.Unpack(packed)
			}
			if err != nil && !r.Value.Over(time.Now()) { // else it is about to go
				return err
			}
		}
		return nil
	})
}

func (c *check) eachDay(ctx context.Context, uid string) {
	chunks := timeline.NewReader(c.objects)
	each(ctx, c, uid, "a day", c.Store.Days, func(r store.Record[record.Day]) error {
		c.report.Days++
		c.days[r.Key] = r.Value
		chunk, err := chunks.Chunk(ctx, uid, r.Value.Chunk)
		if err != nil || r.Value.Chunk == "" {
			return err
		}
		_, digest, err := timeline.Encode(chunk)
		if err == nil && digest != r.Value.Digest {
			err = errors.New("its samples have another digest than its record")
		}
		for _, s := range r.Value.Series {
			err = errors.Join(err, openSeries(ctx, chunks, uid, s))
		}
		return err
	})
}

// openSeries opens the points of a series and holds them against their digest.
func openSeries(ctx context.Context, objects *timeline.Reader, uid string, s points.Reference) error {
	of, err := health.ParseUUID(s.UUID)
	if err != nil {
		return err
	}
	content, err := objects.Series(ctx, uid, s.Blob, of)
	if sum := sha256.Sum256(content); err == nil && hex.EncodeToString(sum[:]) != s.Digest {
		err = errors.New("the points of a series have another digest than its record")
	}
	return err
}

func (c *check) tombstones(ctx context.Context, uid string) {
	each(ctx, c, uid, "tombstones", c.Store.Tombstones, func(r store.Record[record.Tombstones]) error {
		plain, err := c.objects.Get(ctx, uid, r.Value.Blob)
		if err == nil {
			_, err = timeline.DecodeTombstones(plain)
		}
		return err
	})
}

func (c *check) results(ctx context.Context, uid string) {
	each(ctx, c, uid, "a result", c.Store.Results, func(r store.Record[record.Result]) error {
		c.report.Results++
		for _, origin := range r.Value.Result.Lineage.Chunks {
			day := c.days[origin.Day.String()].Held(origin.Day, 0)
			if now := day.Origin(); now.Basis() != origin.Basis() && day.Digest != origin.Digest {
				c.report.Waiting++
				break
			}
		}
		return nil
	})
}
