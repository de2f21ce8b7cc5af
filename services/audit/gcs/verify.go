package gcs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	atOnce    = 8 // chains that are read
	readAhead = 8 // objects of each
)

// kept is how long objects stay, as config/gcs/audit says: of a writer that began before
// that some may have gone.
const kept = (7*365 + 2) * 24 * time.Hour

// verify reads the notary's chain first: what it vouches for is there by then.
func (p place) verify(ctx context.Context) (entries int64, err error) {
	signed, notarys := p.marks(ctx)
	if notarys != nil && !isBad(notarys) {
		return 0, notarys
	}
	since := p.now().Add(-kept)
	names, err := p.writers(ctx, since)
	if err != nil {
		return 0, err
	}
	for name := range signed {
		if at, _ := began(name); !at.Before(since) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	entries, findings, err := p.verifyWriters(ctx, names, signed)
	if err != nil {
		return entries, err
	}
	return entries, errors.Join(append(findings, notarys)...)
}

// verifyWriters reads the chains of the names, some at a time; the findings are in the order of names.
func (p place) verifyWriters(ctx context.Context, names []string, signed map[string][]mark) (entries int64, findings []error, err error) {
	var mu sync.Mutex // guards entries
	findings = make([]error, len(names))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for i, name := range names {
		all.Go(func() error {
			n, err := p.verifyWriter(ctx, name, signed[name])
			mu.Lock()
			defer mu.Unlock()
			entries += n
			if isBad(err) {
				findings[i], err = err, nil
			}
			return err
		})
	}
	err = all.Wait()
	return entries, findings, err
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
