package files

import (
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
)

const pageEntries = 256

// An entry is what is kept in memory of an object.
type entry struct {
	name    string
	created int64
	at      place
	size    uint32
}

func (e entry) info() blob.Info {
	return blob.Info{Name: e.name, Size: int64(e.size), Created: time.Unix(0, e.created).UTC(), Generation: e.created}
}

// An index is the objects in byte order of names: pages of sorted entries.
type index struct{ pages [][]entry }

// find returns where the name is, or where it belongs.
func (x *index) find(name string) (page, pos int, found bool) {
	page, found = slices.BinarySearchFunc(x.pages, name, func(p []entry, name string) int {
		return strings.Compare(p[0].name, name)
	})
	if found {
		return page, 0, true
	}
	if page == 0 {
		return 0, 0, false
	}
	page--
	pos, found = slices.BinarySearchFunc(x.pages[page], name, func(e entry, name string) int {
		return strings.Compare(e.name, name)
	})
	return page, pos, found
}

func (x *index) get(name string) (entry, bool) {
	page, pos, found := x.find(name)
	if !found {
		return entry{}, false
	}
	return x.pages[page][pos], true
}

// set adds the entry or replaces the one of its name.
func (x *index) set(e entry) {
	page, pos, found := x.find(e.name)
	if found {
		x.pages[page][pos] = e
		return
	}
	if len(x.pages) == 0 {
		x.pages = append(x.pages, []entry{e})
		return
	}
	p := slices.Insert(x.pages[page], pos, e)
	if len(p) <= pageEntries {
		x.pages[page] = p
		return
	}
	// Names mostly come in order: a page that grows at its end is left nearly full.
	cut := len(p) / 2
	if pos == len(p)-1 {
		cut = len(p) - 1
	}
	rest := slices.Clone(p[cut:])
	clear(p[cut:])
	x.pages[page] = p[:cut]
	x.pages = slices.Insert(x.pages, page+1, rest)
}

func (x *index) remove(name string) {
	page, pos, found := x.find(name)
	if !found {
		return
	}
	p := slices.Delete(x.pages[page], pos, pos+1)
	if len(p) == 0 {
		x.pages = slices.Delete(x.pages, page, page+1)
		return
	}
	x.pages[page] = p
}

// list returns at most limit entries with the prefix, after the name given.
func (x *index) list(prefix, after string, limit int) []entry {
	var found []entry
	start := max(prefix, after)
	page, pos, _ := x.find(start)
	for ; page < len(x.pages); page, pos = page+1, 0 {
		for _, e := range x.pages[page][pos:] {
			if e.name <= after {
				continue
			}
			if !strings.HasPrefix(e.name, prefix) {
				if e.name > prefix {
					return found
				}
				continue
			}
			if len(found) == limit {
				return found
			}
			found = append(found, e)
		}
	}
	return found
}
