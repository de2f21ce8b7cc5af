package files

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

const scanWindow = 64 << 10

// A scan is what the heads of a segment tell.
type scan struct {
	known   bounds // of earlier segments, from the segment's header
	sound   bool   // the segment's header is readable
	records []record
	start   int64 // of the first record
	end     int64 // of the last record
}

// scanSegment reads the heads of the first length bytes. Where a head is damaged
// it goes on at the next head or foot that is sound.
func scanSegment(f io.ReaderAt, id uint32, length int64) (*scan, error) {
	w := &window{f: f, length: length}
	s := &scan{}
	b, err := w.at(0, scanWindow)
	if err != nil {
		return nil, err
	}
	var size int
	if s.known, size, s.sound = parseSegmentHeader(b, id); !s.sound {
		size = 0
	}
	off := int64(size)
	s.start, s.end = off, off
	for off < length {
		r, ok, err := w.record(place{id, uint32(off)})
		if err != nil {
			return nil, err
		}
		if !ok {
			if r, ok, err = w.resync(id, off+1); err != nil {
				return nil, err
			}
			if !ok {
				return s, nil
			}
		}
		s.records = append(s.records, r)
		off = int64(r.at.offset) + r.size()
		s.end = off
	}
	return s, nil
}

// A window reads a file front to back with few reads.
type window struct {
	f      io.ReaderAt
	length int64
	buf    []byte
	start  int64
}

// at returns at least n bytes from off, fewer at the file's end.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.length-off))
	if n <= 0 {
		return nil, nil
	}
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		size := int(min(int64(max(n, scanWindow)), w.length-off))
		if cap(w.buf) < size {
			w.buf = make([]byte, size)
		}
		w.buf, w.start = w.buf[:size], off
		if _, err := w.f.ReadAt(w.buf, off); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return w.buf[off-w.start:], nil
}

// record reads the head at the place; ok is false where none is sound or the
// record does not end within the length.
func (w *window) record(p place) (record, bool, error) {
	need := headBytes
	for {
		b, err := w.at(int64(p.offset), need)
		if err != nil {
			return record{}, false, err
		}
		r, more, ok := parseHead(b, magicHead, headAt(p))
		if ok {
			return r, int64(p.offset)+r.size() <= w.length, nil
		}
		if more <= len(b) || more <= need {
			return r, false, nil
		}
		need = more
	}
}

// resync finds the first sound head or foot at or behind off.
func (w *window) resync(id uint32, off int64) (record, bool, error) {
	rest := make([]byte, w.length-off)
	if _, err := w.f.ReadAt(rest, off); err != nil && !errors.Is(err, io.EOF) {
		return record{}, false, err
	}
	for i := 0; i+headBytes <= len(rest); i++ {
		here := place{id, uint32(off) + uint32(i)}
		switch binary.LittleEndian.Uint32(rest[i:]) {
		case magicHead:
			if r, _, ok := parseHead(rest[i:], magicHead, headAt(here)); ok && int64(i)+r.size() <= int64(len(rest)) {
				return r, true, nil
			}
		case magicFoot:
			if r, _, ok := parseHead(rest[i:], magicFoot, footAt(here)); ok && int64(r.at.offset) >= off-1 {
				r.repaired = true
				return r, true, nil
			}
		}
	}
	return record{}, false, nil
}

// tail finds where the last group begins and where the segment is to be cut:
// at the first record of the last group that is not whole. Such a group was
// never acknowledged.
func (s *scan) tail(f io.ReaderAt) (begin, cut int64, err error) {
	if len(s.records) == 0 {
		return s.end, s.end, nil
	}
	last := s.records[len(s.records)-1].group
	first := len(s.records)
	for first > 0 && s.records[first-1].group == last {
		first--
	}
	end := s.start
	if first > 0 {
		before := &s.records[first-1]
		end = int64(before.at.offset) + before.size()
	}
	begin = end
	for i := first; i < len(s.records); i++ {
		r := &s.records[i]
		if int64(r.at.offset) != end {
			return begin, end, nil
		}
		whole, err := r.whole(f)
		if err != nil {
			return 0, 0, err
		}
		if !whole {
			return begin, end, nil
		}
		end += r.size()
	}
	return begin, end, nil
}

// whole tells whether head, data and foot are all as they were written.
func (r *record) whole(f io.ReaderAt) (bool, error) {
	b := make([]byte, r.size())
	if _, err := f.ReadAt(b, int64(r.at.offset)); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if _, _, ok := parseHead(b, magicHead, headAt(r.at)); !ok {
		return false, nil
	}
	data := b[headBytes+len(r.name):][:r.dataLen]
	foot := place{r.at.segment, r.at.offset + uint32(headBytes+len(r.name)) + r.dataLen}
	_, _, ok := parseHead(b[headBytes+len(r.name)+int(r.dataLen):], magicFoot, footAt(foot))
	return ok && crc32.Checksum(data, castagnoli) == r.dataCRC, nil
}
