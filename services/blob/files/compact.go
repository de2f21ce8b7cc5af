package files

import (
	"fmt"
	"time"
)

// restBetween is how long a segment is left alone that could not be compacted: a
// full disk may have room again, a damaged one costs a try an hour.
const restBetween = time.Hour

// due names the oldest segment that is worth its copying: one less than half
// alive, or one that ought to have gone already.
func (l *log) due() (id uint32, found bool) {
	now := l.now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		if s.rests(now) || l.active != nil && s == l.active.segment {
			continue
		}
		if (s.tainted || s.copied || 2*s.live < s.size) && (!found || s.id < id) {
			id, found = s.id, true
		}
	}
	return id, found
}

// rests says whether the segment is left alone: never for longer than it may be,
// whatever the clock says meanwhile.
func (s *segment) rests(now time.Time) bool {
	left := s.alone.Sub(now)
	return left > 0 && left <= restBetween
}

func (l *log) leaveAlone(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.segments[id]; s != nil {
		s.alone = l.now().Add(restBetween)
	}
}

// compact appends what is alive in the segment; when the group is durable the
// segment can go. refused is an error of reading: it leaves the group as it was.
func (g *group) compact(id uint32) (refused, err error) {
	s := g.log.segments[id]
	if s == nil || g.log.active != nil && s == g.log.active.segment {
		return fmt.Errorf("compact segment %08x: it is active or gone", id), nil
	}
	alive, refused := g.alive(s)
	if refused != nil {
		return fmt.Errorf("compact segment %08x: %w", id, refused), nil
	}
	for _, a := range alive {
		if a.record.kind == kindTombstone {
			err = g.bury(a.record.name, unpackPlace(a.record.created))
		} else {
			err = g.put(a.record, a.data)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

type aliveRecord struct {
	record record
	data   []byte
}

// alive reads the records of a segment that still matter. Data are copied as
// they are, with their CRC: what is damaged stays known as damaged.
func (g *group) alive(s *segment) ([]aliveRecord, error) {
	f, err := g.log.dir.Open(segmentName(s.id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read, err := scanSegment(f, s.id, s.size)
	if err != nil {
		return nil, err
	}
	var alive []aliveRecord
	for _, r := range read.records {
		switch r.kind {
		case kindPut:
			if e, found := g.lookup(r.name); !found || e.at != r.at {
				continue
			}
			data := make([]byte, r.dataLen)
			if _, err := f.ReadAt(data, int64(r.at.offset)+int64(headBytes+len(r.name))); err != nil {
				return nil, err
			}
			if r.repaired {
				r.dataCRC = ^r.dataCRC // its head was damaged: it is to stay so
			}
			alive = append(alive, aliveRecord{r, data})
		case kindTombstone:
			if about := unpackPlace(r.created).segment; about != s.id && g.log.segments[about] != nil || g.log.unfinished(s.id) {
				alive = append(alive, aliveRecord{record: r})
			}
		}
	}
	return alive, nil
}

// unfinished tells whether a segment other than id holds objects that are
// elsewhere too. Until it is gone, every tombstone may be about it.
func (l *log) unfinished(id uint32) bool {
	for _, s := range l.segments {
		if s.copied && s.id != id {
			return true
		}
	}
	return false
}

// unlink removes a segment of which nothing is alive any more. Until it is known
// to be gone for good the tombstones about it are kept.
func (l *log) unlink(id uint32) error {
	if err := l.dir.Remove(segmentName(id)); err != nil {
		return fmt.Errorf("remove segment: %w", err)
	}
	if err := l.dir.SyncDir(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.segments, id)
	for _, s := range l.segments {
		s.live -= s.keeps[id]
		delete(s.keeps, id)
	}
	return nil
}
