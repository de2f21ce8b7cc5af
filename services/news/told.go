package news

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/services/flow"
)

// A mark stands for an event: digests of what it is of, and of what tells it from
// others of that, one half of which is of what the event says, the other of the change
// that it tells of, too, where that is known.
type mark struct{ of, what [8]byte }

// saying is how much of what is of what the event says alone.
const saying = 4

func markOf(kind flow.EventKind, ref, version string, change int64) mark {
	digest := func(parts ...string) (d [8]byte) {
		sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
		copy(d[:], sum[:])
		return d
	}
	m := mark{digest(kind.Of(), ref), digest(string(kind), version)}
	if change != 0 {
		of := digest(string(kind), version, strconv.FormatInt(change, 10))
		copy(m.what[saying:], of[saying:])
	}
	return m
}

// told is the last number of a person and the newest marks, oldest first. It is
// never changed in place.
type told struct {
	last  uint64
	marks []mark
}

// repeats says whether the change was told of: a message may come once more when
// others have told of what was done since, and what is told behind it is no repetition
// of it. Of an event whose change nobody knows it says whether the last one there was
// of what it is of says the same: a result that was withdrawn and stored again is news.
func (t told) repeats(m mark, known bool) bool {
	if known {
		return slices.Contains(t.marks, m)
	}
	for _, other := range slices.Backward(t.marks) {
		if other.of == m.of {
			return [saying]byte(other.what[:]) == [saying]byte(m.what[:])
		}
	}
	return false
}

// knows says whether an event of what the mark is of is among them.
func (t told) knows(m mark) bool {
	return slices.ContainsFunc(t.marks, func(other mark) bool { return other.of == m.of })
}

func (t told) with(last uint64, m mark) told {
	kept := t.marks
	if len(kept) >= Recent {
		kept = kept[len(kept)-Recent+1:]
	}
	return told{last, append(slices.Clone(kept), m)}
}

// markBytes is how long a mark is among the marks of a record.
const markBytes = 16

// encode is the marks as a record has them.
func (t told) encode() []byte {
	b := make([]byte, 0, markBytes*len(t.marks))
	for _, m := range t.marks {
		b = append(append(b, m.of[:]...), m.what[:]...)
	}
	return b
}

// decode is what a record with these marks tells; what is no whole mark is none.
func decode(last uint64, marks []byte) told {
	t := told{last: last}
	for ; len(marks) >= markBytes; marks = marks[markBytes:] {
		t.marks = append(t.marks, mark{[8]byte(marks[:8]), [8]byte(marks[8:markBytes])})
	}
	return t
}

// ErrNumber is where the store holds what no book wrote.
var ErrNumber = errors.New("an event's key is not a sequence number")

// key is the number as a key: keys sort as numbers do.
func key(n uint64) string { return fmt.Sprintf("%016x", n) }

func number(key string) (uint64, error) {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil || len(key) != 16 {
		return 0, ErrNumber
	}
	return n, nil
}
