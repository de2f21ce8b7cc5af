package feed

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/clarity-loop/clarity/services/flow"
)

// rememberedPeople bounds the memory: about 1 KiB each.
const rememberedPeople = 1024

// A mark stands for an event: digests of what it is of, and of what tells it from
// others of that.
type mark struct{ of, what [8]byte }

func markOf(kind flow.EventKind, ref, version string) mark {
	digest := func(parts ...string) (d [8]byte) {
		sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
		copy(d[:], sum[:])
		return d
	}
	return mark{digest(kind.Of(), ref), digest(string(kind), version)}
}

// told is the last number of a person, the version of its event, and the newest
// marks, oldest first. It is never changed in place.
type told struct {
	last    uint64
	version int64
	marks   []mark
}

// repeats says whether the event is the last one there was of what it is of: a
// result that was withdrawn and stored again is news, whichever it is.
func (t told) repeats(m mark) bool {
	for _, other := range slices.Backward(t.marks) {
		if other.of == m.of {
			return other == m
		}
	}
	return false
}

func (t told) with(last uint64, version int64, m mark) told {
	kept := t.marks
	if len(kept) >= Recent {
		kept = kept[len(kept)-Recent+1:]
	}
	return told{last, version, append(slices.Clone(kept), m)}
}

// memory saves reading a person's newest events each time. It need not be
// right: an event is written under the demand that the last one is there as it was
// remembered, and what seems to be told already is so only where that one is there.
// So neither another process, nor an erasure from which the person has come back,
// is overlooked.
type memory struct {
	most int

	mu    sync.Mutex
	known map[string]told
}

func newMemory(most int) *memory { return &memory{most: most, known: make(map[string]told)} }

func (m *memory) get(uid string) (told, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.known[uid]
	return t, ok
}

func (m *memory) put(uid string, t told) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.known[uid]; !there && len(m.known) >= m.most {
		for other := range m.known {
			delete(m.known, other)
			break
		}
	}
	m.known[uid] = t
}

func (m *memory) drop(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, uid)
}

var errNumber = errors.New("an event's key is not a sequence number")

// key is the number as a key: keys sort as numbers do.
func key(n uint64) string { return fmt.Sprintf("%016x", n) }

func number(key string) (uint64, error) {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil || len(key) != 16 {
		return 0, errNumber
	}
	return n, nil
}
