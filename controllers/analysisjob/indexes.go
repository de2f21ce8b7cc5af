package analysisjob

import (
	"fmt"
	"strconv"
	"strings"
)

// bitmap holds which shards are counted: bit i%8 of byte i/8 for shard i.
type bitmap []byte

func (b bitmap) has(i int) bool { return i/8 < len(b) && b[i/8]&(1<<(i%8)) != 0 }

// with returns the bitmap with bit i set, grown to hold it; b may be reused.
func (b bitmap) with(i int) bitmap {
	for len(b) <= i/8 {
		b = append(b, 0)
	}
	b[i/8] |= 1 << (i % 8)
	return b
}

// parseIndexes reads the Job API's notation of indexes, "1,3-5,7", of a Job
// with total shards.
func parseIndexes(notation string, total int) ([]int, error) {
	if notation == "" {
		return nil, nil
	}
	var indexes []int
	for part := range strings.SplitSeq(notation, ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.Atoi(low)
		if err != nil {
			return nil, fmt.Errorf("read indexes %q: %w", part, err)
		}
		last, err := strconv.Atoi(high)
		if err != nil {
			return nil, fmt.Errorf("read indexes %q: %w", part, err)
		}
		if first < 0 || last < first || last >= total {
			return nil, fmt.Errorf("read indexes %q: out of the %d there are", part, total)
		}
		for i := first; i <= last; i++ {
			indexes = append(indexes, i)
		}
	}
	return indexes, nil
}
