// Package exported is the record of an export: how far it has come, and the parts
// that it is made of.
package exported

import (
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// State is how far an export has come.
type State string

// The states.
const (
	Pending State = "pending" // it is being written
	Ready   State = "ready"   // complete
	Failed  State = "failed"  // it will not be; see Reason
)

// The bounds of exports.
const (
	// Slots are how many a person can have, whatever their state.
	Slots = 3
	// Kept is how long a ready one is kept.
	Kept = 7 * 24 * time.Hour
	// KeptFailed is how long one is kept that failed.
	KeptFailed = 24 * time.Hour
)

// A Part is an object that holds some lines of an export, packed.
type Part struct {
	Object string `json:"object"` // its name
	Bytes  int    `json:"bytes"`  // unpacked
}

// Progress is how far an export that is pending has come: all of the person's
// records are in its parts up to there.
type Progress struct {
	Section string `json:"section"` // being written; "" before the first
	After   string `json:"after"`   // the last key of it
	Hash    []byte `json:"hash"`    // the state of the digest behind the last part
}

// Pack is a part's lines as they are kept.
func Pack(lines []byte) ([]byte, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("pack a part: %w", err)
	}
	return z.EncodeAll(lines, make([]byte, 0, len(lines)/4)), nil
}

// Unpack is the lines of a part again.
func (p Part) Unpack(packed []byte) ([]byte, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max(p.Bytes, 1<<20)))) //nolint:gosec // a length
	if err != nil {
		return nil, fmt.Errorf("unpack a part: %w", err)
	}
	defer z.Close()
	lines, err := z.DecodeAll(packed, make([]byte, 0, p.Bytes))
	if err == nil && len(lines) != p.Bytes {
		err = fmt.Errorf("it has %d bytes, its record says %d", len(lines), p.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack a part: %w", err)
	}
	return lines, nil
}
