package streams

import (
	"slices"
	"sync"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// Places are so many a person, for streams of one kind.
type Places struct {
	most int

	mu    sync.Mutex
	taken map[string][]*place // the oldest first
}

type place struct{ leave func() }

// NewPlaces gives a person that many.
func NewPlaces(most int) *Places { return &Places{most: most, taken: map[string][]*place{}} }

// Take takes one of the person's places, or refuses; release gives it back.
func (p *Places) Take(uid string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken[uid]) >= p.most {
		return nil, problem.OverLimit(problem.TooManyRequests, "too many streams of this person are open", "streams", int64(p.most)).With("Retry-After", "5")
	}
	return p.enter(uid, &place{}), nil
}

// Replace takes one of the person's places. Where there is none, the oldest leaves:
// a device that lost its connection and came again holds it, as often as not.
func (p *Places) Replace(uid string, leave func()) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if taken := p.taken[uid]; len(taken) >= p.most {
		taken[0].leave()
		p.taken[uid] = slices.Delete(taken, 0, 1)
	}
	return p.enter(uid, &place{leave})
}

// enter adds the place; what it returns gives it back, once. The caller holds mu.
func (p *Places) enter(uid string, one *place) (release func()) {
	p.taken[uid] = append(p.taken[uid], one)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		left := slices.DeleteFunc(p.taken[uid], func(other *place) bool { return other == one })
		if p.taken[uid] = left; len(left) == 0 {
			delete(p.taken, uid)
		}
	}
}
