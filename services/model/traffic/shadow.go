package traffic

import (
	"context"
	"math"
	"sync"

	"github.com/clarity-loop/clarity/services/model"
)

// shadowWorkers is how many requests the shadow has at a time.
const shadowWorkers = 2

// shadows has copies of requests answered a second time, after their replies
// and apart from them: a request that finds too many waiting is not copied.
type shadows struct {
	o       Options
	metrics *metrics
	jobs    chan *copied
	pool    sync.Pool

	mu      sync.Mutex
	held    int // windows that wait or are with the shadow
	stopped bool
}

// copied is a request with its live answer.
type copied struct {
	version  *version
	identity model.Identity // of the live version
	windows  []model.Window
	live     []model.Inference
	shadow   []model.Inference
}

func newShadows(o Options, m *metrics) *shadows {
	return &shadows{o: o, metrics: m, jobs: make(chan *copied, o.ShadowWindows), pool: sync.Pool{New: func() any { return new(copied) }}}
}

// offer copies the request for the shadow, if there is room.
func (s *shadows) offer(v *version, live model.Model, windows []model.Window, into []model.Inference) {
	if len(windows) == 0 || !s.take(len(windows)) {
		s.metrics.dropped.WithLabelValues(v.live.model, v.entry.Version).Inc()
		return
	}
	c, _ := s.pool.Get().(*copied)
	c.fill(windows, into)
	c.version, c.identity = v, live.Identity()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || !v.acquire() {
		s.held -= len(windows)
		s.pool.Put(c)
		return
	}
	s.jobs <- c // there is room: a job is at least one window
}

// take reserves room for n windows.
func (s *shadows) take(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.held+n > s.o.ShadowWindows {
		return false
	}
	s.held += n
	return true
}

// start has workers ask the shadow until ctx ends.
func (s *shadows) start(ctx context.Context, all *sync.WaitGroup) {
	for range shadowWorkers {
		all.Go(func() {
			for {
				select {
				case c := <-s.jobs:
					s.ask(ctx, c)
					s.finish(c)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// stop lets go of the requests that wait, and has none come after.
func (s *shadows) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	for {
		select {
		case c := <-s.jobs:
			s.finish(c)
		default:
			return
		}
	}
}

func (s *shadows) finish(c *copied) {
	c.version.release()
	c.version = nil
	s.mu.Lock()
	s.held -= len(c.windows)
	s.mu.Unlock()
	s.pool.Put(c)
}

// ask has the shadow answer, and records how it did and how far it is from live.
func (s *shadows) ask(ctx context.Context, c *copied) {
	ctx, cancel := context.WithTimeout(ctx, s.o.ShadowTimeout)
	defer cancel()
	began := s.o.Now()
	err := c.version.model.Infer(ctx, c.windows, c.shadow)
	c.version.shadow.record(ctx, s.o.Now().Sub(began), err, c.shadow)
	if err != nil {
		return
	}
	id := c.version.model.Identity()
	for i := range c.windows {
		for _, o := range c.identity.Outputs {
			a, b := c.live[i].Value(c.identity, o.Name), c.shadow[i].Value(id, o.Name)
			if len(a) > 0 && len(a) == len(b) {
				s.metrics.drift.WithLabelValues(c.version.live.model, c.version.entry.Version, o.Name).Observe(Distance(a, b))
			}
		}
	}
}

// fill copies the request: its caller may use the room again.
func (c *copied) fill(windows []model.Window, live []model.Inference) {
	c.windows, c.live, c.shadow = resize(c.windows, len(windows)), resize(c.live, len(windows)), resize(c.shadow, len(windows))
	for i, w := range windows {
		to := &c.windows[i]
		to.Kind, to.StartMinute = w.Kind, w.StartMinute
		to.Counts = append(to.Counts[:0], w.Counts...)
		to.Missing = append(to.Missing[:0], w.Missing...)
		if w.Missing == nil {
			to.Missing = nil
		}
		c.live[i].Refused = live[i].Refused
		c.live[i].Values = resize(c.live[i].Values, len(live[i].Values))
		for k, values := range live[i].Values {
			c.live[i].Values[k] = append(c.live[i].Values[k][:0], values...)
		}
	}
}

// resize keeps what s holds as far as it can, for its room.
func resize[T any](s []T, n int) []T {
	s = s[:cap(s)]
	for len(s) < n {
		var zero T
		s = append(s, zero)
	}
	return s[:n]
}

// Distance is how far two versions' outputs for one window are from each other:
// ‖a−b‖ / max(‖a‖, ‖b‖), with Euclidean norms over the output's values. It is 0
// for the same values, about the relative error where they are close, and at
// most 2, for opposite ones; two outputs of zeros are the same. a and b are as
// long as each other.
func Distance(a, b []float32) float64 {
	var apart, first, second float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		apart += (x - y) * (x - y)
		first += x * x
		second += y * y
	}
	if apart == 0 {
		return 0
	}
	return math.Sqrt(apart / max(first, second))
}
