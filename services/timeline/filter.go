package timeline

import (
	"encoding/binary"
	"math/bits"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
)

// Filters are Bloom filters: about one in a hundred uuids that are not in the
// chunk seem to be.
const (
	filterBits   = 10 // a uuid
	filterProbes = 7
)

// Filter is a set of uuids that may say yes too often, never no: which days a
// deletion must open. It is a function of the chunk: of its samples, and of those
// that its series are of.
func (c Chunk) Filter() []byte {
	if len(c.Samples) == 0 {
		return nil
	}
	var parents []health.UUID
	for i := range c.Samples {
		if parent, ok := series.ParentOf(&c.Samples[i]); ok {
			parents = append(parents, parent)
		}
	}
	filter := make([]byte, ((len(c.Samples)+len(parents))*filterBits+7)/8)
	set := func(at int, mask byte) bool {
		filter[at] |= mask
		return true
	}
	for i := range c.Samples {
		probe(filter, &c.Samples[i].UUID, set)
	}
	for i := range parents {
		probe(filter, &parents[i], set)
	}
	return filter
}

// MayHold asks a Filter. One without bytes holds nothing.
func MayHold(filter []byte, uuid health.UUID) bool {
	return len(filter) > 0 && probe(filter, &uuid, func(at int, mask byte) bool { return filter[at]&mask != 0 })
}

// probe visits the bits of a uuid until visit says no. Kirsch and Mitzenmacher,
// "Less hashing, same performance" (2006): two hashes make all the others.
func probe(filter []byte, uuid *health.UUID, visit func(at int, mask byte) bool) bool {
	size := uint64(len(filter)) * 8
	a := mix(binary.LittleEndian.Uint64(uuid[:8]))
	b := mix(binary.LittleEndian.Uint64(uuid[8:]) ^ a)
	for range filterProbes {
		bit, _ := bits.Mul64(a, size)
		if !visit(int(bit/8), 1<<(bit%8)) {
			return false
		}
		a += b | 1
	}
	return true
}

// mix is the finaliser of MurmurHash3 (Appleby, 2011).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
