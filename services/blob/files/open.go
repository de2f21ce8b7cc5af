package files

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// openLog reads the segments of the directory. What is readable afterwards is
// durable: the last group of the last segment, which may never have been synced,
// is written again and synced.
func openLog(dir fileSystem, now func() time.Time, limit int64) (*log, error) {
	l := &log{dir: dir, now: now, limit: limit, segments: map[uint32]*segment{}}
	ids, err := segmentIDs(dir)
	if err != nil {
		return nil, err
	}
	known, err := readBounds(dir, ids)
	if err != nil {
		return nil, err
	}
	b := builder{log: l, killed: map[string]place{}}
	for i, id := range ids {
		bound, bounded := known[id]
		if err := b.load(id, bound, bounded, i == len(ids)-1); err != nil {
			return nil, errors.Join(fmt.Errorf("segment %08x: %w", id, err), l.abandon())
		}
	}
	b.count()
	if err := dir.SyncDir(); err != nil {
		return nil, errors.Join(err, l.abandon())
	}
	return l, nil
}

// abandon closes what an opening that fails has opened.
func (l *log) abandon() error {
	if l.active == nil {
		return nil
	}
	return l.active.f.Close()
}

func segmentIDs(dir fileSystem) ([]uint32, error) {
	names, err := dir.Names()
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, name := range names {
		hex, isSegment := strings.CutSuffix(name, ".seg")
		id, err := strconv.ParseUint(hex, 16, 32)
		if isSegment && err == nil && segmentName(uint32(id)) == name {
			ids = append(ids, uint32(id))
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// readBounds collects what the headers say of the segments before them; the
// latest word counts.
func readBounds(dir fileSystem, ids []uint32) (bounds, error) {
	all := bounds{}
	for _, id := range ids {
		f, err := dir.Open(segmentName(id))
		if err != nil {
			return nil, err
		}
		b := make([]byte, scanWindow)
		n, err := f.ReadAt(b, 0)
		if err = errors.Join(ignoreEOF(err), f.Close()); err != nil {
			return nil, err
		}
		said, _, ok := parseSegmentHeader(b[:n], id)
		if !ok && newerSegment(b[:n], id) {
			return nil, newerError(id)
		}
		for segment, length := range said {
			all[segment] = length
		}
	}
	return all, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// A builder makes index and counts from what the scans find.
type builder struct {
	log        *log
	killed     map[string]place
	tombstones []tombstone
}

type tombstone struct {
	in, about uint32
	size      int64
}

// load reads one segment. One without a bound was the last: its tail is cut to
// what is whole, and made durable.
func (b *builder) load(id, bound uint32, bounded, last bool) error {
	l := b.log
	l.lastID = id
	f, err := l.dir.Reopen(segmentName(id))
	if err != nil {
		return err
	}
	active, err := b.loadFrom(f, id, bound, bounded, last)
	if err != nil || active == nil {
		return errors.Join(err, f.Close())
	}
	l.active = active
	return nil
}

func (b *builder) loadFrom(f file, id, bound uint32, bounded, last bool) (active *writer, err error) {
	l := b.log
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	s := newSegment(id, size)
	if bounded {
		s.tainted, s.size = size > int64(bound), min(size, int64(bound))
	}
	read, err := scanSegment(f, id, s.size)
	if err != nil {
		return nil, err
	}
	if !bounded {
		if s.size, err = settleTail(f, read); err != nil {
			return nil, err
		}
		if cut := size - s.size; cut > 0 {
			l.cuts = append(l.cuts, Cut{Segment: segmentName(id), Bytes: cut, Left: s.size})
		}
	}
	if s.size == 0 {
		return nil, l.dir.Remove(segmentName(id))
	}
	l.segments[id] = s
	sealed := false
	for _, r := range read.records {
		if int64(r.at.offset) >= s.size {
			break
		}
		b.take(r)
		sealed = r.kind == kindSeal
	}
	if last && read.sound && s.size < l.limit {
		return &writer{segment: s, f: f, synced: true, sealed: sealed}, nil
	}
	return nil, nil
}

// settleTail cuts off what is not whole behind the last acknowledged group and
// writes the last group again: its pages may look written and not be.
func settleTail(f file, read *scan) (size int64, err error) {
	begin, cut, err := read.tail(f)
	if err != nil {
		return 0, err
	}
	if len(read.records) == 0 || cut <= read.start {
		begin, cut = 0, 0 // not even a first group was acknowledged
	}
	b := make([]byte, cut-begin)
	if _, err := f.ReadAt(b, begin); ignoreEOF(err) != nil {
		return 0, err
	}
	if err := f.Truncate(cut); err != nil {
		return 0, err
	}
	if _, err := f.WriteAt(b, begin); err != nil {
		return 0, err
	}
	return cut, f.Sync()
}

// take applies one record, in the order of the log.
func (b *builder) take(r record) {
	l := b.log
	l.number = max(l.number, r.group)
	l.segments[r.at.segment].note(r.name)
	switch r.kind {
	case kindPut:
		l.stamped = max(l.stamped, r.created)
		if killed, found := b.killed[r.name]; found && !r.at.after(killed) {
			return
		}
		if old, found := l.index.get(r.name); found {
			l.segments[old.at.segment].copied = true
		}
		l.index.set(entry{name: r.name, created: r.created, at: r.at, size: r.dataLen})
	case kindTombstone:
		killed := unpackPlace(r.created)
		if before, found := b.killed[r.name]; !found || killed.after(before) {
			b.killed[r.name] = killed
		}
		if e, found := l.index.get(r.name); found && !e.at.after(killed) {
			l.index.remove(r.name)
		}
		b.tombstones = append(b.tombstones, tombstone{r.at.segment, killed.segment, r.size()})
	}
}

// count finds out how much of each segment is alive.
func (b *builder) count() {
	l := b.log
	for _, page := range l.index.pages {
		for _, e := range page {
			l.segments[e.at.segment].live += recordSize(len(e.name), int64(e.size))
		}
	}
	for _, t := range b.tombstones {
		l.keep(l.segments[t.in], t.about, t.size)
	}
}
