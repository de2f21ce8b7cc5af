package powerloss

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Cut makes the directory to, which is not there, as the power's loss at the
// moment may have left the recorded one.
func (r *Recording) Cut(moment int, chance *rand.Rand, to string) error {
	c := cut{moment: moment, chance: chance, survives: map[int]bool{}}
	return c.dir(r.top, to)
}

// A cut is the loss of power at one moment.
type cut struct {
	moment   int
	chance   *rand.Rand
	survives map[int]bool // calls that changed entries and were not synced
}

// split tells the changes of a node that are on the disk from those that may be.
func (c *cut) split(n *node) (sure, maybe []change) {
	synced := -1 // what had ended before this line is
	for _, s := range n.syncs {
		if s.ended < c.moment {
			synced = max(synced, s.began)
		}
	}
	for _, ch := range n.changes {
		switch {
		case ch.ended < synced:
			sure = append(sure, ch)
		case ch.began < c.moment:
			maybe = append(maybe, ch)
		}
	}
	return sure, maybe
}

// dir makes a directory, and all below it.
func (c *cut) dir(n *node, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	sure, maybe := c.split(n)
	entries := map[string]*node{}
	for _, ch := range append(sure, c.some(maybe)...) {
		delete(entries, ch.name)
		if ch.to != nil {
			entries[ch.name] = ch.to
		}
	}
	var errs []error
	for name, inner := range entries {
		at := filepath.Join(to, name)
		if inner.dir {
			errs = append(errs, c.dir(inner, at))
			continue
		}
		errs = append(errs, os.WriteFile(at, c.file(inner), 0o600))
	}
	return errors.Join(errs...)
}

// some are the changes of entries that made it to the disk: none, all, the first,
// or any. What one call did is there or is not.
func (c *cut) some(maybe []change) (there []change) {
	first, kind := c.chance.IntN(len(maybe)+1), c.chance.IntN(4)
	for i, ch := range maybe {
		is, known := c.survives[ch.call]
		if !known {
			is = kind == 1 || kind == 2 && i < first || kind == 3 && c.chance.IntN(2) == 0
			c.survives[ch.call] = is
		}
		if is {
			there = append(there, ch)
		}
	}
	return there
}

// file is what the disk holds of a file: of each sector, and of the size, what they
// were after some of the changes that were not synced, and after all that were.
func (c *cut) file(n *node) []byte {
	sure, maybe := c.split(n)
	b := all(sure)
	if len(maybe) == 0 {
		return b
	}
	kind, first := c.chance.IntN(4), c.chance.IntN(len(maybe)+1)
	sector := int64(512)
	if c.chance.IntN(2) == 0 {
		sector = 4096
	}
	reached := map[int64]int{} // how many of the changes have reached a sector, or at -1 the size
	reach := func(sector int64) int {
		k, known := reached[sector]
		switch {
		case known:
			return k
		case kind == 1:
			k = len(maybe)
		case kind == 2:
			k = first
		case kind == 3:
			k = c.chance.IntN(len(maybe) + 1)
			if c.chance.IntN(2) == 0 { // often one of the extremes
				k = len(maybe) * c.chance.IntN(2)
			}
		}
		reached[sector] = k
		return k
	}
	size := int64(len(b))
	for i, ch := range maybe {
		if i < reach(-1) {
			size = ch.size
		}
		b = apply(b, ch, sector, func(s int64) bool { return i < reach(s) })
	}
	return resized(b, size)
}

// apply makes a change in the sectors that it reached.
func apply(b []byte, ch change, sector int64, reached func(sector int64) bool) []byte {
	from, to := ch.off, ch.off+int64(len(ch.data))
	if ch.cuts {
		from, to = ch.size, int64(len(b))
	} else {
		b = resized(b, max(int64(len(b)), to))
	}
	for at := from; at < to; {
		s := at / sector
		end := min(to, (s+1)*sector)
		if reached(s) {
			if ch.cuts {
				clear(b[at:end])
			} else {
				copy(b[at:end], ch.data[at-from:end-from])
			}
		}
		at = end
	}
	return b
}
