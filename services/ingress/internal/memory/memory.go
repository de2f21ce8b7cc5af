// Package memory is what is held of bodies while they are read: who may hold how
// much of it, and the buffers.
package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// What is not worth a setting.
const (
	Free   = 64 << 10 // bodies up to here are read without asking for memory
	medium = 1 << 20  // larger ones leave a quarter of the memory to those up to here
)

// A Memory is what large bodies may hold together while they are read. What a
// body holds is what has come of it, doubled at most, never what it announced.
// Bodies up to Free cost nothing. Of a person one larger body is read at a
// time. Who needs more than there is waits, the smallest first; where all that
// hold something wait, the largest of them is refused, so that the others end.
type Memory struct {
	mu      sync.Mutex
	free    int64
	kept    int64             // of it, for bodies up to medium
	large   map[string]*Share // the body of each person that is read beyond Free
	waiting []*wait           // the smallest first, of those the first to come
	holding int               // shares of large that do not wait
}

// New is a memory of so many bytes.
func New(bytes int64) *Memory {
	return &Memory{free: bytes, kept: bytes / 4, large: map[string]*Share{}}
}

// A Share is what one body holds.
type Share struct {
	of   *Memory
	uid  string
	held int64
}

// A wait is a share's for more.
type wait struct {
	share *Share
	want  int64
	told  chan bool // may it go on
}

// Open is the share of a body that has not begun.
func (m *Memory) Open(uid string) *Share { return &Share{of: m, uid: uid} }

// Grow waits until the body may hold so many bytes; false where it may not. The
// share keeps what it holds until Close.
func (s *Share) Grow(ctx context.Context, want int64) bool {
	m := s.of
	m.mu.Lock()
	if want <= Free || want <= s.held || m.take(s, want) {
		m.mu.Unlock()
		return true
	}
	w := &wait{s, want, make(chan bool, 1)}
	at, _ := slices.BinarySearchFunc(m.waiting, want+1, func(other *wait, bytes int64) int { return cmp.Compare(other.want, bytes) })
	m.waiting = slices.Insert(m.waiting, at, w)
	if s.held > 0 {
		m.holding--
	}
	m.settle()
	m.mu.Unlock()
	select {
	case ok := <-w.told:
		return ok
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.waiting, w); i >= 0 {
		m.refuse(i)
	}
	return <-w.told // what was decided meanwhile stands
}

// Close gives back what the body holds.
func (s *Share) Close() {
	m := s.of
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.held == 0 {
		return
	}
	m.free += s.held
	s.held = 0
	m.holding--
	delete(m.large, s.uid)
	m.settle()
}

// take gives the share what it wants, where there is so much and the person
// has no other. The caller holds mu; so for all below.
func (m *Memory) take(s *Share, want int64) bool {
	other, reads := m.large[s.uid]
	left := m.free - (want - s.held)
	if reads && other != s || left < 0 || want > medium && left < m.kept {
		return false
	}
	if s.held == 0 {
		m.large[s.uid] = s
		m.holding++
	}
	m.free, s.held = left, want
	return true
}

// refuse ends the wait of a share that goes on holding what it has until its close.
func (m *Memory) refuse(i int) {
	if m.waiting[i].share.held > 0 {
		m.holding++
	}
	m.end(i, false)
}

func (m *Memory) end(i int, ok bool) {
	m.waiting[i].told <- ok
	m.waiting = slices.Delete(m.waiting, i, i+1)
}

// settle gives to those that wait what there is for them. Where nobody is left
// who could give something back, the one who wants most is refused.
func (m *Memory) settle() {
	for i := 0; i < len(m.waiting); {
		s := m.waiting[i].share
		held := s.held > 0
		if !m.take(s, m.waiting[i].want) {
			i++
			continue
		}
		if held {
			m.holding++
		}
		m.end(i, true)
	}
	if m.holding > 0 {
		return
	}
	for i, w := range slices.Backward(m.waiting) {
		if w.share.held > 0 {
			m.refuse(i)
			return
		}
	}
}
