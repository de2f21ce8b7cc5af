package files

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
)

// A log is the segments and what is alive in them. Only the goroutine that
// commits changes it; mu guards what readers see.
type log struct {
	dir   fileSystem
	now   func() time.Time
	limit int64 // a segment that has reached it is full

	mu       sync.RWMutex
	index    index
	segments map[uint32]*segment

	active  *writer // nil: the next group creates a segment
	lastID  uint32
	number  uint64 // of the last group
	stamped int64  // the newest generation that was given
	buf     []byte // reused from group to group

	cuts []Cut // of the opening

	// unsettled: a group has failed, and what of it is on the disk would count if
	// the store were opened now. Nobody is told anything before a new segment's
	// header has said that it does not.
	unsettled bool
}

// A segment is one file of the log.
type segment struct {
	id      uint32
	size    int64            // of what counts
	live    int64            // bytes of records that still matter
	keeps   map[uint32]int64 // of those, tombstones, by the segment they are about
	tainted bool             // holds bytes that do not count
	copied  bool             // holds objects that are elsewhere too: its compaction was cut short
	alone   time.Time        // could not be compacted: when that is tried again
	people  map[uint32]bool  // whose names it holds, alive or dead, by a hash of what their names begin with
}

// A writer appends to the active segment.
type writer struct {
	*segment
	f      file
	synced bool // the segment's directory entry is durable
	sealed bool // the last record is a seal
}

type verb int

const (
	verbPut verb = iota
	verbRenew
	verbDelete
	verbDeleteAll // of some names, whatever their generations
	verbCompact
	verbRetire // the active segment is full as it is
)

// An operation is one caller's change.
type operation struct {
	verb       verb
	name       string
	data       []byte
	crc        uint32
	generation int64 // of what is to be deleted; of what was put, afterwards
	entries    []entry
	segment    uint32
}

func segmentName(id uint32) string { return fmt.Sprintf("%08x.seg", id) }

func (l *log) lookup(name string) (entry, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.get(name)
}

func (l *log) list(prefix, after string, limit int) []entry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.list(prefix, after, limit)
}

// read returns the object's bytes, or ErrCorrupt.
func (l *log) read(e entry) (data []byte, err error) {
	f, err := l.dir.Open(segmentName(e.at.segment))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := headBytes + len(e.name)
	b := make([]byte, head+int(e.size))
	if _, err := f.ReadAt(b, int64(e.at.offset)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r, _, ok := parseHead(b, magicHead, headAt(e.at))
	if !ok || r.name != e.name || r.dataLen != e.size || r.kind != kindPut {
		return nil, fmt.Errorf("%w: head", blob.ErrCorrupt)
	}
	data = b[head:]
	if crc32.Checksum(data, castagnoli) != r.dataCRC {
		return nil, fmt.Errorf("%w: CRC", blob.ErrCorrupt)
	}
	return data, nil
}

// commit makes the operations durable, in groups of about a segment each.
func (l *log) commit(ops []*operation) []error {
	errs := make([]error, len(ops))
	for start := 0; start < len(ops); {
		end, bytes := start, int64(0)
		for end < len(ops) && (end == start || bytes+int64(len(ops[end].data)) <= l.limit) {
			bytes += int64(len(ops[end].data))
			end++
		}
		l.commitGroup(ops[start:end], errs[start:end])
		start = end
	}
	return errs
}

// commitGroup appends the operations' records, syncs once, and only then lets
// readers see them.
func (l *log) commitGroup(ops []*operation, errs []error) {
	g := l.newGroup()
	err := g.add(ops, errs)
	if err == nil {
		err = g.sync()
	}
	if err != nil {
		l.poison()
		for i := range errs {
			errs[i] = err
		}
		return
	}
	l.apply(g.changes)
	for i, op := range ops {
		switch {
		case op.verb == verbCompact && errs[i] == nil:
			errs[i] = l.unlink(op.segment)
		case op.verb == verbRetire:
			errs[i] = l.retire()
		}
	}
}

// retire gives the active segment up for full: the next group opens a new one.
func (l *log) retire() error {
	full := l.active
	if full == nil {
		return nil
	}
	l.setActive(nil)
	return full.f.Close()
}

// stampLimit is how far a clock may be set back before generations follow it.
const stampLimit = int64(time.Second)

// stamp is a time of creation that nothing else has: a generation. It is the
// clock's, or a moment behind the one before.
func (l *log) stamp() int64 {
	now := l.now().UnixNano()
	if ahead := l.stamped - now; ahead >= 0 && ahead < stampLimit {
		now = l.stamped + 1
	}
	l.stamped = now
	return now
}

// roll opens a new segment where the active one is full or given up.
func (l *log) roll() error {
	if l.active != nil && l.active.size < l.limit {
		return nil
	}
	if err := l.retire(); err != nil {
		return err
	}
	id := l.lastID + 1
	f, err := l.dir.Create(segmentName(id))
	if err != nil {
		return err
	}
	l.lastID = id
	s := newSegment(id, 0)
	l.mu.Lock()
	l.segments[id] = s
	l.mu.Unlock()
	l.setActive(&writer{segment: s, f: f})
	return nil
}

func (l *log) setActive(w *writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = w
}

// known is what a new segment's header says of those before it: how much counts
// of the newest, and of every one that holds more than counts.
func (l *log) known() bounds {
	known := bounds{}
	var newest *segment
	for _, s := range l.segments {
		if s.tainted {
			known[s.id] = uint32(s.size)
		}
		if s.id != l.active.id && (newest == nil || s.id > newest.id) {
			newest = s
		}
	}
	if newest != nil {
		known[newest.id] = uint32(newest.size)
	}
	return known
}

// poison gives up the active segment: what it holds behind its size was not
// acknowledged and never counts, which the next segment's header will say.
func (l *log) poison() {
	w := l.active
	if w == nil {
		return
	}
	l.unsettled = true
	l.setActive(nil)
	_ = w.f.Close() // it has failed already
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.size == 0 && l.dir.Remove(segmentName(w.id)) == nil {
		delete(l.segments, w.id)
		return
	}
	w.tainted = true
}

// apply lets readers see what a group has made durable.
func (l *log) apply(changes []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		size := recordSize(len(c.entry.name), int64(c.entry.size))
		own := l.segments[c.entry.at.segment]
		own.note(c.entry.name)
		switch c.kind {
		case kindPut:
			if old, found := l.index.get(c.entry.name); found { // moved by a compaction
				l.discount(old)
			}
			l.index.set(c.entry)
			own.live += size
		case kindTombstone:
			if old, found := l.index.get(c.entry.name); found && !old.at.after(c.killed) {
				l.discount(old)
				l.index.remove(c.entry.name)
			}
			l.keep(own, c.killed.segment, size)
		}
	}
}

func (l *log) discount(e entry) {
	if s := l.segments[e.at.segment]; s != nil {
		s.live -= recordSize(len(e.name), int64(e.size))
	}
}

// keep counts a tombstone in own as alive while there is a segment it is about.
func (l *log) keep(own *segment, about uint32, size int64) {
	if about == own.id || l.segments[about] == nil {
		return
	}
	own.live += size
	own.keeps[about] += size
}

// close seals and closes the active segment.
func (l *log) close() error {
	w := l.active
	if w == nil {
		return nil
	}
	var err error
	if !w.sealed {
		g := l.newGroup()
		g.w, g.off = w, w.size
		if _, err = g.append(record{kind: kindSeal}, nil); err == nil {
			err = g.sync()
		}
	}
	l.setActive(nil)
	return errors.Join(err, w.f.Close())
}
