package files

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"io/fs"
	"strings"

	"github.com/clarity-loop/clarity/services/blob"
)

// deletedAtOnce is how many names of a prefix share a group.
const deletedAtOnce = 500

// DeletePrefix removes every object whose name begins with the prefix, and
// rewrites the segments that hold such a name, dead long ago or just now.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) error {
	for {
		entries := s.log.list(prefix, "", deletedAtOnce)
		if len(entries) == 0 {
			return blob.Fault("delete prefix", s.forget(ctx, prefix))
		}
		if err := s.do(ctx, &operation{verb: verbDeleteAll, entries: entries}); err != nil {
			return blob.Fault("delete prefix", err)
		}
	}
}

// forget compacts every segment in which a name begins with the prefix, the
// oldest first: a tombstone can go where what it is about has gone.
func (s *Store) forget(ctx context.Context, prefix string) error {
	for clean := uint32(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, active, found := s.log.naming(prefix, clean)
		if !found {
			return nil
		}
		names, err := s.log.names(id, prefix)
		switch {
		case err != nil && s.log.has(id):
			return err
		case !names:
			clean = id
			continue
		}
		op := &operation{verb: verbCompact, segment: id}
		if active {
			op = &operation{verb: verbRetire}
		}
		if err := s.do(ctx, op); err != nil && (active || s.log.has(id)) { // else it was compacted meanwhile
			return err
		}
	}
}

func newSegment(id uint32, size int64) *segment {
	return &segment{id: id, size: size, keeps: map[uint32]int64{}, people: map[uint32]bool{}}
}

// personDepth is how many of a name's segments say whose it is.
const personDepth = 3

// person is a hash of what the names of one person begin with; known is false
// where the name is shorter than that.
func person(name string) (hash uint32, known bool) {
	end := 0
	for range personDepth {
		n := strings.IndexByte(name[end:], '/')
		if n < 0 {
			return 0, false
		}
		end += n + 1
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(name[:end])) // never fails
	return sum.Sum32(), true
}

// note keeps in mind whose name the segment holds.
func (s *segment) note(name string) {
	hash, _ := person(name)
	s.people[hash] = true
}

// naming finds the oldest segment behind one that may hold a name with the
// prefix, or keeps tombstones from going, and whether it is the active one.
func (l *log) naming(prefix string, after uint32) (id uint32, active, found bool) {
	hash, known := person(prefix)
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		if s.id > after && (!known || s.copied || s.people[hash]) && (!found || s.id < id) {
			id, active, found = s.id, l.active != nil && s == l.active.segment, true
		}
	}
	return id, active, found
}

func (l *log) has(id uint32) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.segments[id] != nil
}

// names says whether the segment is to be rewritten to be rid of the prefix.
func (l *log) names(id uint32, prefix string) (bool, error) {
	l.mu.RLock()
	s := l.segments[id]
	if s == nil {
		l.mu.RUnlock()
		return false, nil
	}
	size, copied := s.size, s.copied
	l.mu.RUnlock()
	if copied {
		return true, nil
	}
	f, err := l.dir.Open(segmentName(id))
	if errors.Is(err, fs.ErrNotExist) && !l.has(id) { // it was compacted meanwhile
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); ignoreEOF(err) != nil {
		return false, err
	}
	return bytes.Contains(b, []byte(prefix)), nil
}
