package timeline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The frame of everything this package encodes, in little-endian order:
//
//	0   4  magic "CLT1": Clarity Loop timeline, version 1
//	4   1  kind: 'c' chunk, 't' tombstones, 's' a series: its uuid and its JSON
//	5   4  CRC-32C of all that follows
//	9   4  number of uuids
//	13  4  length of the columns before compression
//	17     the uuids, 16 bytes each, as they are: nothing makes them smaller
//	       the columns, one zstd frame; nothing where there are none
const (
	magic          = "CLT1"
	kindChunk      = 'c'
	kindTombstones = 't'
	kindSeries     = 's'
	headerBytes    = 17
	maxColumns     = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Coders hold tables of a megabyte and wait in pools for the next chunk.
var encoders, decoders sync.Pool

func seal(kind byte, ids, columns []byte) []byte {
	out := make([]byte, headerBytes, headerBytes+len(ids)+len(columns)/2+64)
	copy(out, magic)
	out[4] = kind
	binary.LittleEndian.PutUint32(out[9:], uint32(len(ids)/16))
	binary.LittleEndian.PutUint32(out[13:], uint32(len(columns)))
	out = append(out, ids...)
	if len(columns) > 0 {
		z, ok := encoders.Get().(*zstd.Encoder)
		if !ok {
			z = newEncoder()
		}
		out = z.EncodeAll(columns, out)
		encoders.Put(z)
	}
	binary.LittleEndian.PutUint32(out[5:], crc32.Checksum(out[9:], castagnoli))
	return out
}

func newEncoder() *zstd.Encoder {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("timeline: options of zstd: %v", err)) // constants
	}
	return z
}

// unseal returns the uuids, which lie in data, and the columns.
func unseal(kind byte, data []byte) (ids, columns []byte, err error) {
	if newer(data) {
		return nil, nil, ErrNewer
	}
	if len(data) < headerBytes || string(data[:4]) != magic || data[4] != kind {
		return nil, nil, fmt.Errorf("%w: it has another header", ErrDamaged)
	}
	if crc32.Checksum(data[9:], castagnoli) != binary.LittleEndian.Uint32(data[5:]) {
		return nil, nil, fmt.Errorf("%w: the checksum differs", ErrDamaged)
	}
	count, size := int(binary.LittleEndian.Uint32(data[9:])), int(binary.LittleEndian.Uint32(data[13:]))
	body := data[headerBytes:]
	if count > len(body)/16 || size > maxColumns || (size == 0) != (len(body) == 16*count) {
		return nil, nil, fmt.Errorf("%w: the header contradicts the length", ErrDamaged)
	}
	columns, err = inflate(body[16*count:], size)
	return body[:16*count], columns, err
}

// newer says whether a later release wrote it: its magic is ours but for the
// last byte, the version.
func newer(data []byte) bool {
	return len(data) >= len(magic) && string(data[:3]) == magic[:3] && data[3] > magic[3]
}

// inflate takes memory in proportion to what really comes out, whatever the
// header says.
func inflate(packed []byte, size int) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	z, ok := decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxColumns)); err != nil {
			return nil, fmt.Errorf("open zstd: %w", err)
		}
	}
	defer decoders.Put(z)
	for room := 64<<10 + 16*len(packed); ; room *= 4 {
		columns, err := z.DecodeAll(packed, make([]byte, 0, min(room, size)))
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded) && room < size:
			continue
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		case len(columns) != size:
			return nil, fmt.Errorf("%w: the columns have another length", ErrDamaged)
		}
		return columns, nil
	}
}
