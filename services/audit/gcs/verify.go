package gcs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"
)

const (
	atOnce    = 8 // chains that are read
	readAhead = 8 // objects of each
)

// kept is how long objects stay, as config/gcs/audit says: of a writer that began before
// that some may have gone.
const kept = (7*365 + 2) * 24 * time.Hour

// A mark is a head of a writer that the notary has signed.
type mark struct {
	size   int64
	root   tlog.Hash
	closed bool
}

// A verification is one pass over the log. It reads the notary's chain once, from its
// beginning, and each writer's as soon as nothing more is signed of it: so it holds the
// marks of writers of two days, however long the log is.
type verification struct {
	since  time.Time // of a writer that began before, some may have gone
	verify func(name string, marks []mark) (entries int64, err error)
	all    *errgroup.Group

	marks map[string][]mark // of writers that more may be signed of
	begun map[string]bool   // those whose chains are read, or were

	mu       sync.Mutex // guards what is below
	entries  int64
	findings map[string]error
}

// late is how much later than a notary follows a writer it may have signed its head, by
// clocks that are not one.
const late = time.Hour

// verify reads the notary's chain before the writers': what it vouches for is there by then.
func (p place) verify(ctx context.Context) (entries int64, err error) {
	all, within := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	v := &verification{since: p.now().Add(-kept), all: all, marks: map[string][]mark{}, begun: map[string]bool{}, findings: map[string]error{},
		verify: func(name string, marks []mark) (int64, error) { return p.verifyWriter(within, name, marks) }}
	notarys := p.marked(within, v.see)
	if notarys == nil || isBad(notarys) {
		var names []string
		if names, err = p.writers(within, v.since); err == nil {
			v.rest(names)
		}
	} else {
		err = notarys
	}
	if failed := all.Wait(); failed != nil { // and has ended the others
		err = failed
	}
	if err != nil {
		return v.entries, err
	}
	return v.entries, errors.Join(append(v.found(), notarys)...)
}

// see takes note of what the notary has signed in one object, and begins with the writers of
// which it says nothing more.
func (v *verification) see(signed []vouched) {
	var now time.Time
	for _, is := range signed {
		if is.Time.After(now) {
			now = is.Time
		}
		if at, _ := began(is.Writer); at.Before(v.since) {
			continue
		}
		mine := v.marks[is.Writer]
		if n := len(mine); n == 0 || mine[n-1] != (mark{is.Size, is.Root, is.Closed}) {
			v.marks[is.Writer] = append(mine, mark{is.Size, is.Root, is.Closed})
		}
	}
	for name := range v.marks {
		if at, _ := began(name); at.Add(looksBack + late).Before(now) {
			v.begin(name)
		}
	}
}

// rest begins with all writers that are left: those of the names, and those that are not
// there any more.
func (v *verification) rest(names []string) {
	for _, name := range slices.Concat(names, slices.Collect(maps.Keys(v.marks))) {
		if _, left := v.marks[name]; left || !v.begun[name] {
			v.begin(name)
		}
	}
}

// begin has a writer's chain be read, once enough others have been.
func (v *verification) begin(name string) {
	marks, again := v.marks[name], v.begun[name]
	delete(v.marks, name)
	v.begun[name] = true
	v.all.Go(func() error {
		n, err := v.verify(name, marks)
		v.mu.Lock()
		defer v.mu.Unlock()
		if !again { // of whom more was signed when nobody would is held against that, too
			v.entries += n
		}
		if isBad(err) {
			v.findings[name], err = errors.Join(v.findings[name], err), nil
		}
		return err
	})
}

// found are the findings, in the order of writers.
func (v *verification) found() (all []error) {
	for _, name := range slices.Sorted(maps.Keys(v.findings)) {
		all = append(all, v.findings[name])
	}
	return all
}

// verifyWriter reads a writer's chain and holds it against its marks.
func (p place) verifyWriter(ctx context.Context, name string, marks []mark) (entries int64, err error) {
	if _, is := began(name); !is {
		return 0, stranger()
	}
	m := p.keys.macs()
	l := p.keys.writerOf(name, m)
	matched := int64(0) // entries below a mark that fits
	err = p.objects(ctx, &l, m, blind, func() error {
		for len(marks) > 0 && marks[0].size <= l.head.Size {
			if marks[0].size < l.head.Size || marks[0].root != l.head.Root() {
				return l.bad(matched, "the notary has signed another history")
			}
			matched = marks[0].size
			if marks[0].closed && !l.closed {
				break // its end is to stand behind
			}
			marks = marks[1:]
		}
		return nil
	})
	switch {
	case err != nil:
	case len(marks) > 0 && marks[0].size > l.head.Size:
		err = l.bad(l.head.Size, "it is missing: the notary vouches for %d entries", marks[len(marks)-1].size)
	case len(marks) > 0:
		err = l.bad(l.head.Size, "the writer's end is missing, which the notary has seen")
	}
	return l.head.Size, err
}
