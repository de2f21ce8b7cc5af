package files

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/clarity-loop/clarity/services/fault"
)

// A segment is a header and records, all integers little-endian:
//
//	segment header  magic u32, id u32, n u32, n × (segment id u32, length u32), CRC u32
//	record          head, name, data, foot, name
//	head, foot      magic u32, kind u8, 0 u8, name length u16, data length u32,
//	                data CRC u32, created i64 (ns since 1970), group u64, CRC u32
//
// The pairs of a segment header say how much of earlier segments counts: what
// lies behind was never acknowledged. A head's CRC covers its place as well, so
// that an image of a record inside an object's data is none. The foot repeats
// the head: where the head is damaged it still tells whose record it was. All
// records of one group were synced together; groups are numbered upwards, so that
// a record of a later group proves the earlier ones were acknowledged.
const (
	magicSegment = 0x31474c43 // "CLG1"
	magicHead    = 0x44484c43 // "CLHD"
	magicFoot    = 0x54464c43 // "CLFT"

	headBytes    = 36
	segmentFixed = 16 // a segment header without pairs
)

type kind uint8

const (
	kindPut       kind = 1
	kindTombstone kind = 2 // no data; created is the newest place of the name that is dead
	kindSeal      kind = 3 // written when the store is closed; proves the group before it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A place is where a record begins.
type place struct{ segment, offset uint32 }

// after tells whether p was written later than q.
func (p place) after(q place) bool {
	return p.segment > q.segment || p.segment == q.segment && p.offset > q.offset
}

// pack puts a place into the field that holds an object's time of creation.
func (p place) pack() int64 { return int64(uint64(p.segment)<<32 | uint64(p.offset)) }

func unpackPlace(v int64) place { return place{uint32(uint64(v) >> 32), uint32(uint64(v))} }

// A record is a decoded head.
type record struct {
	kind     kind
	name     string
	dataLen  uint32
	dataCRC  uint32
	created  int64
	group    uint64
	at       place
	repaired bool // the head is damaged, this is from the foot
}

// size is the whole record's length in the segment.
func (r *record) size() int64 { return recordSize(len(r.name), int64(r.dataLen)) }

func recordSize(nameLen int, dataLen int64) int64 {
	return 2*int64(headBytes+nameLen) + dataLen
}

// appendHead appends the head (or foot) and the name.
func (r *record) appendHead(b []byte, magic uint32) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, magic)
	b = append(b, byte(r.kind), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.name)))
	b = binary.LittleEndian.AppendUint32(b, r.dataLen)
	b = binary.LittleEndian.AppendUint32(b, r.dataCRC)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.created))
	b = binary.LittleEndian.AppendUint64(b, r.group)
	crc := headCRC(b[start:], r.at)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, r.name...)
	crc = crc32.Update(crc, castagnoli, b[start+headBytes:])
	binary.LittleEndian.PutUint32(b[start+headBytes-4:], crc)
	return b
}

// headCRC covers the place and the fields; the name is still to be added.
func headCRC(fields []byte, at place) uint32 {
	var p [8]byte
	binary.LittleEndian.PutUint32(p[:], at.segment)
	binary.LittleEndian.PutUint32(p[4:], at.offset)
	return crc32.Update(crc32.Update(0, castagnoli, p[:]), castagnoli, fields)
}

// parseHead decodes a head (or foot) and name at the beginning of b, of the
// record that begins at the place. need is how many bytes it takes to tell.
func parseHead(b []byte, magic uint32, at func(r *record) (place, bool)) (r record, need int, ok bool) {
	if len(b) < headBytes {
		return r, headBytes, false
	}
	if binary.LittleEndian.Uint32(b) != magic || b[5] != 0 {
		return r, 0, false
	}
	nameLen := int(binary.LittleEndian.Uint16(b[6:]))
	if len(b) < headBytes+nameLen {
		return r, headBytes + nameLen, false
	}
	r = record{
		kind:    kind(b[4]),
		name:    string(b[headBytes : headBytes+nameLen]),
		dataLen: binary.LittleEndian.Uint32(b[8:]),
		dataCRC: binary.LittleEndian.Uint32(b[12:]),
		created: int64(binary.LittleEndian.Uint64(b[16:])),
		group:   binary.LittleEndian.Uint64(b[24:]),
	}
	if r.at, ok = at(&r); !ok {
		return r, 0, false
	}
	crc := crc32.Update(headCRC(b[:headBytes-4], r.at), castagnoli, b[headBytes:headBytes+nameLen])
	return r, headBytes + nameLen, crc == binary.LittleEndian.Uint32(b[headBytes-4:])
}

func headAt(p place) func(*record) (place, bool) {
	return func(*record) (place, bool) { return p, true }
}

// footAt finds where the record begins whose foot is at p.
func footAt(p place) func(*record) (place, bool) {
	return func(r *record) (place, bool) {
		before := int64(headBytes+len(r.name)) + int64(r.dataLen)
		return place{p.segment, uint32(int64(p.offset) - before)}, int64(p.offset) >= before
	}
}

// bounds say how many bytes of a segment count.
type bounds map[uint32]uint32

func appendSegmentHeader(b []byte, id uint32, known bounds) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, magicSegment)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(known)))
	for segment, length := range known {
		b = binary.LittleEndian.AppendUint32(b, segment)
		b = binary.LittleEndian.AppendUint32(b, length)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// newerSegment says whether b begins a segment of a later format: its magic is
// ours but for the last byte, the version. A header of ours whose version was
// damaged is none: with the version put right it is sound.
func newerSegment(b []byte, id uint32) bool {
	var ours [4]byte
	binary.LittleEndian.PutUint32(ours[:], magicSegment)
	if len(b) < len(ours) || string(b[:3]) != string(ours[:3]) || b[3] <= ours[3] {
		return false
	}
	mended := append(ours[:], b[len(ours):]...)
	_, _, sound := parseSegmentHeader(mended, id)
	return !sound
}

func newerError(id uint32) error {
	err := fmt.Errorf("the segment %s was written by a newer program: it is left as it is", segmentName(id))
	return &fault.Error{Room: "blob", Op: "open", Class: fault.Newer, Code: err.Error(), Cause: err}
}

// parseSegmentHeader decodes the header at the beginning of b and its length.
func parseSegmentHeader(b []byte, id uint32) (known bounds, size int, ok bool) {
	if len(b) < segmentFixed || binary.LittleEndian.Uint32(b) != magicSegment || binary.LittleEndian.Uint32(b[4:]) != id {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if uint64(n)*8+segmentFixed > uint64(len(b)) {
		return nil, 0, false
	}
	size = segmentFixed + int(n)*8
	if crc32.Checksum(b[:size-4], castagnoli) != binary.LittleEndian.Uint32(b[size-4:]) {
		return nil, 0, false
	}
	known = bounds{}
	for p := b[12 : size-4]; len(p) > 0; p = p[8:] {
		known[binary.LittleEndian.Uint32(p)] = binary.LittleEndian.Uint32(p[4:])
	}
	return known, size, true
}
