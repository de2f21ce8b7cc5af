package files

import (
	"fmt"
	"hash/crc32"
	"io"

	"github.com/clarity-loop/clarity/services/blob"
)

const (
	bufferBytes = 1 << 20
	directBytes = 256 << 10 // data of this size is written without a copy
)

// A group is records on their way into the active segment.
type group struct {
	log     *log
	number  uint64
	w       *writer // nil until the first record
	buf     []byte
	off     int64            // where the next byte goes, buf included
	seen    map[string]entry // names the group has changed; a zero entry: deleted
	changes []change
}

// A change is what a record of the group means, once it is durable.
type change struct {
	kind   kind
	entry  entry
	killed place
}

func (l *log) newGroup() *group {
	l.number++
	return &group{log: l, number: l.number, buf: l.buf[:0], seen: map[string]entry{}}
}

// add appends what the operations need. An error of the disk fails the group;
// the outcome of one operation alone goes to errs.
func (g *group) add(ops []*operation, errs []error) error {
	if g.log.unsettled {
		if _, err := g.append(record{kind: kindSeal}, nil); err != nil {
			return err
		}
	}
	for i, op := range ops {
		var err error
		switch op.verb {
		case verbPut:
			if _, found := g.lookup(op.name); found {
				errs[i] = blob.ErrExists
				continue
			}
			op.generation = g.log.stamp()
			err = g.put(record{name: op.name, created: op.generation, dataCRC: op.crc}, op.data)
		case verbRenew:
			errs[i], err = g.renew(op)
		case verbDelete:
			if e, found := g.lookup(op.name); found && e.created == op.generation {
				err = g.bury(op.name, e.at)
			}
		case verbDeleteAll:
			err = g.deleteAll(op.entries)
		case verbCompact:
			errs[i], err = g.compact(op.segment)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lookup sees what the group has done so far.
func (g *group) lookup(name string) (entry, bool) {
	if e, changed := g.seen[name]; changed {
		return e, e.name != ""
	}
	return g.log.index.get(name) // no lock: only this goroutine changes it
}

func (g *group) put(r record, data []byte) error {
	r.kind, r.dataLen = kindPut, uint32(len(data))
	at, err := g.append(r, data)
	if err != nil {
		return err
	}
	e := entry{name: r.name, created: r.created, at: at, size: r.dataLen}
	g.seen[r.name] = e
	g.changes = append(g.changes, change{kind: kindPut, entry: e})
	return nil
}

// renew appends what is there once more, and only then has the former be dead.
// refused is an error about the object alone.
func (g *group) renew(op *operation) (refused, err error) {
	e, found := g.lookup(op.name)
	if !found {
		return blob.ErrNotFound, nil
	}
	if _, here := g.seen[op.name]; here { // it was put a moment ago
		op.generation = e.created
		return nil, nil
	}
	data, err := g.log.read(e)
	if err != nil {
		return err, nil
	}
	op.generation = g.log.stamp()
	if err := g.put(record{name: op.name, created: op.generation, dataCRC: crc32.Checksum(data, castagnoli)}, data); err != nil {
		return nil, err
	}
	return nil, g.bury(op.name, e.at)
}

// deleteAll appends the tombstones of the names, whatever their generations.
func (g *group) deleteAll(entries []entry) error {
	for _, named := range entries {
		if e, found := g.lookup(named.name); found {
			if err := g.bury(e.name, e.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// bury appends a tombstone: every record of the name up to the place is dead.
func (g *group) bury(name string, killed place) error {
	at, err := g.append(record{kind: kindTombstone, name: name, created: killed.pack()}, nil)
	if err != nil {
		return err
	}
	if e, found := g.lookup(name); found && !e.at.after(killed) {
		g.seen[name] = entry{}
	}
	g.changes = append(g.changes, change{kindTombstone, entry{name: name, at: at}, killed})
	return nil
}

// append adds one record to the active segment.
func (g *group) append(r record, data []byte) (place, error) {
	if err := g.begin(); err != nil {
		return place{}, err
	}
	r.at, r.group = place{g.w.id, uint32(g.off)}, g.number
	g.buf = r.appendHead(g.buf, magicHead)
	g.off += r.size()
	if len(data) >= directBytes {
		at := int64(r.at.offset) + int64(headBytes+len(r.name))
		if err := g.flush(at); err != nil {
			return place{}, err
		}
		if err := g.write(data, at); err != nil {
			return place{}, err
		}
	} else {
		g.buf = append(g.buf, data...)
	}
	g.buf = r.appendHead(g.buf, magicFoot)
	if len(g.buf) >= bufferBytes {
		return r.at, g.flush(g.off)
	}
	return r.at, nil
}

// begin finds the segment, and writes its header where it is new.
func (g *group) begin() error {
	if g.w != nil {
		return nil
	}
	if err := g.log.roll(); err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	g.w = g.log.active
	g.off = g.w.size
	if g.off == 0 {
		g.buf = appendSegmentHeader(g.buf, g.w.id, g.log.known())
		g.off = int64(len(g.buf))
	}
	return nil
}

// flush writes the buffer, whose last byte goes before end.
func (g *group) flush(end int64) error {
	err := g.write(g.buf, end-int64(len(g.buf)))
	g.buf = g.buf[:0]
	return err
}

func (g *group) write(b []byte, off int64) error {
	n, err := g.w.f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	return nil
}

// sync makes what was appended durable; from then on it counts.
func (g *group) sync() error {
	if g.w == nil {
		return nil
	}
	err := g.flush(g.off)
	if cap(g.buf) <= 2*bufferBytes {
		g.log.buf = g.buf[:0]
	}
	if err != nil {
		return err
	}
	if err := g.w.f.Sync(); err != nil {
		return fmt.Errorf("sync segment: %w", err)
	}
	if !g.w.synced {
		if err := g.log.dir.SyncDir(); err != nil {
			return fmt.Errorf("sync directory: %w", err)
		}
	}
	g.log.mu.Lock()
	defer g.log.mu.Unlock()
	g.w.synced, g.w.size, g.w.sealed = true, g.off, false
	g.log.unsettled = false
	return nil
}
