package pat

import (
	"sync"
	"sync/atomic"
)

// A pool runs the tasks of one phase after the other on a fixed set of
// workers; the caller is the first of them.
type pool struct {
	do      func(worker, task int)
	tasks   int64
	next    atomic.Int64
	start   []chan struct{}
	running sync.WaitGroup // of a phase
	alive   sync.WaitGroup // of the workers
}

func newPool(workers int, do func(worker, task int)) *pool {
	p := &pool{do: do}
	for w := 1; w < workers; w++ {
		start := make(chan struct{}, 1)
		p.start = append(p.start, start)
		p.alive.Go(func() {
			for range start {
				p.work(w)
				p.running.Done()
			}
		})
	}
	return p
}

func (p *pool) work(worker int) {
	for t := p.next.Add(1) - 1; t < p.tasks; t = p.next.Add(1) - 1 {
		p.do(worker, int(t))
	}
}

// run does tasks 0 to n−1 and returns when all are done.
func (p *pool) run(n int) {
	p.tasks = int64(n)
	p.next.Store(0)
	helpers := min(len(p.start), n-1)
	p.running.Add(helpers)
	for _, s := range p.start[:helpers] {
		s <- struct{}{}
	}
	p.work(0)
	p.running.Wait()
}

// close ends the workers.
func (p *pool) close() {
	for _, s := range p.start {
		close(s)
	}
	p.alive.Wait()
}
