package memory

import (
	"sync"
	"time"
)

// A Pool keeps buffers: small ones as sync.Pool does, and two large ones for a
// while, so that a run of large bodies does not leave a trail of garbage.
type Pool struct {
	small sync.Pool
	most  int // a larger buffer is large
	large chan *[]byte
}

// largeKept is how long a large buffer waits for the next large body.
const largeKept = 5 * time.Second

// NewPool is a pool to which a buffer of more than most bytes is large.
func NewPool(most int) *Pool { return &Pool{most: most, large: make(chan *[]byte, 2)} }

// Get is an empty buffer; one that will need n bytes gets them at once, since
// growing would leave as much again behind.
func (p *Pool) Get(n int) *[]byte {
	if n <= p.most {
		if b, ok := p.small.Get().(*[]byte); ok {
			return b
		}
		return new([]byte)
	}
	for {
		select {
		case b := <-p.large:
			if cap(*b) >= n {
				return b
			}
		default:
			b := make([]byte, 0, n)
			return &b
		}
	}
}

// Put gives a buffer back.
func (p *Pool) Put(b *[]byte) {
	*b = (*b)[:0]
	if cap(*b) <= p.most {
		p.small.Put(b)
		return
	}
	select {
	case p.large <- b:
		time.AfterFunc(largeKept, p.drop)
	default:
	}
}

// drop lets go of the buffer that has waited longest.
func (p *Pool) drop() {
	select {
	case <-p.large:
	default:
	}
}
