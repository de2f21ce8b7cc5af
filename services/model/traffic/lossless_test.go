package traffic_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/traffic/traffictest"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	router "github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// A rollout is two versions with pods, which come and go, and a router between
// them and a client.
type rollout struct {
	*world
	digests map[string]string
	configs map[string]tritontest.Config

	pods sync.Mutex
	ips  map[string][]string // by version: what its service names

	// The plan that is in force for certain, or nil while it changes.
	steady atomic.Pointer[traffic.Plan]
}

func newRollout(t *testing.T) *rollout {
	t.Helper()
	r := &rollout{digests: map[string]string{}, configs: map[string]tritontest.Config{}, ips: map[string][]string{}}
	for i, v := range []string{"v1", "v2"} {
		b, err := tritontest.NewBundle("pat", float64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		r.digests[v], r.configs[v] = b.Digest, tritontest.Config{Bundle: b, Backend: tritontest.Synthetic{Seed: float64(i + 1)}}
	}
	r.world = newWorld(t, func(o *router.Options) {
		o.Open = func(ctx context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
			c, err := triton.Dial(ctx, e.Endpoint, triton.Version{Model: name, Digest: e.Digest}, triton.Options{
				Refresh: 20 * time.Millisecond,
				Timeout: time.Minute, // lost is what is never answered; how long it took is told apart
				Lookup: func(context.Context, string) ([]string, error) {
					r.pods.Lock()
					defer r.pods.Unlock()
					return slices.Clone(r.ips[e.Version]), nil
				},
			})
			if err != nil {
				return nil, nil, err
			}
			return c, c.Close, nil
		}
	})
	return r
}

// pod starts one of the version's pods, and its service names it.
func (r *rollout) pod(version string) *tritontest.Server {
	r.Helper()
	s := tritontest.Start(r, r.configs[version])
	r.pods.Lock()
	defer r.pods.Unlock()
	r.ips[version] = append(r.ips[version], s.Addr())
	return s
}

// unname takes a pod out of its version's service.
func (r *rollout) unname(version string, s *tritontest.Server) {
	r.pods.Lock()
	defer r.pods.Unlock()
	r.ips[version] = slices.DeleteFunc(r.ips[version], func(a string) bool { return a == s.Addr() })
}

// step puts a plan with so much weight on v2 in force.
func (r *rollout) step(revision int64, weight, shadow int32) {
	r.Helper()
	p := traffictest.Plan(revision, weight)
	for i, e := range p.Entries {
		p.Entries[i].Endpoint, p.Entries[i].Digest = e.Version+".clarity.svc:8001", r.digests[e.Version]
	}
	if shadow > 0 {
		p.Shadow = &traffic.Shadow{Version: "v2", Percent: shadow, Endpoint: "v2.clarity.svc:8001", Digest: r.digests["v2"]}
	}
	r.steady.Store(nil)
	r.plan(p)
	r.inForce(revision)
	r.steady.Store(&p)
}

// inFlight is how many requests may wait for their answers before the client
// itself waits: a machine that cannot keep up is to be slow, not to fall over.
const inFlight = 16

// A client asks for one subject after another, at the rate.
type client struct {
	rollout *rollout
	windows []model.Window
	flying  chan struct{}
	close   func()

	mu    sync.Mutex
	open  *sync.WaitGroup          // the requests since the last drain
	asked map[int64]map[string]int // by revision and version
	took  []time.Duration
	lost  int
}

// subjects are how many people there are; a step lasts until each was asked for.
const subjects = rate

func (r *rollout) client() *client {
	c := &client{rollout: r, flying: make(chan struct{}, inFlight), open: &sync.WaitGroup{}, asked: map[int64]map[string]int{}}
	stop := make(chan struct{})
	for i := range 8 {
		c.windows = append(c.windows, modeltest.Week(i))
	}
	var done sync.WaitGroup
	done.Go(func() {
		next := time.Now()
		for n := 0; ; n++ {
			// A client that is late makes up for a little of it.
			next = later(next.Add(time.Second/rate), time.Now().Add(-100*time.Millisecond))
			select {
			case <-time.After(time.Until(next)):
			case <-stop:
				return
			}
			c.flying <- struct{}{}
			c.mu.Lock()
			c.open.Add(1)
			open := c.open
			c.mu.Unlock()
			done.Go(func() {
				defer open.Done()
				c.ask(n)
				<-c.flying
			})
		}
	})
	c.close = sync.OnceFunc(func() {
		close(stop)
		done.Wait()
	})
	return c
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *client) ask(n int) {
	who, before := subject(n%subjects), c.rollout.steady.Load()
	began := time.Now()
	m, release, err := c.rollout.router.For(who)
	after := c.rollout.steady.Load()
	into := make([]model.Inference, 1)
	if err == nil {
		defer release()
		err = m.Infer(context.Background(), c.windows[n%len(c.windows):][:1], into)
	}
	took := time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if err == nil && into[0].Refused != nil {
		err = into[0].Refused
	}
	if err != nil {
		if c.lost++; c.lost < 10 {
			c.rollout.Errorf("request %d: %v", n, err)
		}
		return
	}
	if into[0].Version != m.Identity().Digest {
		c.rollout.Errorf("request %d: %s answered where %s was chosen", n, into[0].Version, m.Identity().Digest)
	}
	if before == nil || before != after {
		return // the plan changed meanwhile
	}
	want := before.Entries[before.Pick(who)]
	if into[0].Version != want.Digest {
		c.rollout.Errorf("revision %d: %s was answered by %s, not by %s", before.Revision, who, into[0].Version, want.Version)
	}
	if c.asked[before.Revision] == nil {
		c.asked[before.Revision] = map[string]int{}
	}
	c.asked[before.Revision][want.Version]++
}

// drained waits until what was asked so far is answered, as the operator does by
// the clock before it stops the pods of a version without traffic.
func (c *client) drained() {
	c.mu.Lock()
	open := c.open
	c.open = &sync.WaitGroup{}
	c.mu.Unlock()
	open.Wait()
}

// stays lets the step last until every subject was asked for.
func (c *client) stays() {
	revision := c.rollout.steady.Load().Revision
	c.rollout.eventually("enough requests in the step", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.asked[revision]["v1"]+c.asked[revision]["v2"] >= subjects
	})
}

// v1 → v2 with shadow, steps and promotion, and back, while pods are drained.
func TestNoRequestIsLost(t *testing.T) {
	r := newRollout(t)
	v1 := []*tritontest.Server{r.pod("v1"), r.pod("v1")}
	v2 := []*tritontest.Server{r.pod("v2"), r.pod("v2")}
	r.step(1, 0, 0)
	c := r.client()
	defer c.close()
	began := time.Now()
	c.stays()
	r.step(2, 0, 100)
	c.stays()
	r.step(3, 10, 0)
	c.stays()
	r.step(4, 50, 0)
	// One pod of v1 is replaced as the operator has it done, one of v2 goes
	// while the service still names it.
	v1 = append(v1, r.pod("v1"))
	r.eventually("the new pod is asked", func() bool { return v1[2].Served() > 0 })
	r.unname("v1", v1[0])
	time.Sleep(100 * time.Millisecond) // preStop
	v1[0].Drain()
	v2[0].Drain()
	r.unname("v2", v2[0])
	v2 = append(v2, r.pod("v2"))
	c.stays()
	r.step(5, 100, 0)
	c.drained()
	for _, s := range v1[1:] {
		r.unname("v1", s)
		s.Drain()
	}
	c.stays()
	v1 = append(v1, r.pod("v1"), r.pod("v1")) // the standby is warmed up, then traffic goes back
	r.step(6, 0, 0)
	c.drained()
	for _, s := range v2[1:] {
		s.Drain()
	}
	c.stays()
	c.close()
	c.report(t, time.Since(began))
	if v1[3].Served() == 0 || v1[4].Served() == 0 {
		t.Errorf("after the rollback v1's pods answered %d and %d requests", v1[3].Served(), v1[4].Served())
	}
}

func (c *client) report(t *testing.T, lasted time.Duration) {
	t.Helper()
	slices.Sort(c.took)
	n := len(c.took)
	t.Logf("%d requests in %.1f s (%.0f/s), %d lost; p50 %v, p99 %v, longest %v", n, lasted.Seconds(), float64(n)/lasted.Seconds(), c.lost,
		c.took[n/2].Round(10*time.Microsecond), c.took[n*99/100].Round(10*time.Microsecond), c.took[n-1].Round(10*time.Microsecond))
	for revision, weight := range map[int64]float64{1: 0, 2: 0, 3: 10, 4: 50, 5: 100, 6: 0} {
		all := float64(c.asked[revision]["v1"] + c.asked[revision]["v2"])
		share := 100 * float64(c.asked[revision]["v2"]) / all
		t.Logf("revision %d: %.0f requests, %.1f %% by v2", revision, all, share)
		// Four standard deviations of a share of so many subjects, and a little.
		most := 400*math.Sqrt(weight/100*(1-weight/100)/subjects) + 1
		if math.Abs(share-weight) > most {
			t.Errorf("revision %d: %.0f requests, %.1f %% by v2, want about %.0f %%", revision, all, share, weight)
		}
	}
	if live := c.rollout.count(traffic.MetricRequests, "role=live", "outcome=ok"); live != float64(n) || c.rollout.count(traffic.MetricRequests, "role=live", "outcome=error") > 0 {
		t.Errorf("%v requests are counted as answered, of %d", live, n)
	}
	copies, drift := c.rollout.count(traffic.MetricRequests, "role=shadow", "outcome=ok"), c.rollout.count(traffic.MetricDrift, "output=embedding")
	t.Logf("shadow: %.0f copies, %.0f dropped, mean distance %.2f", copies, c.rollout.count(traffic.MetricShadowDropped), c.rollout.mean(traffic.MetricDrift))
	if copies == 0 || drift != copies || c.rollout.mean(traffic.MetricDrift) < 0.01 {
		t.Errorf("%v copies to the shadow, %v distances", copies, drift)
	}
}

// Plans that come faster than connections are made still lose nothing.
func TestPlansThatComeInAHurry(t *testing.T) {
	r := newRollout(t)
	for _, v := range []string{"v1", "v2"} {
		r.pod(v)
	}
	r.step(1, 0, 0)
	c := r.client()
	defer c.close()
	random := rand.New(rand.NewPCG(1, 2))
	for revision := int64(2); revision < 60; revision++ {
		p := traffictest.Plan(revision, random.Int32N(101))
		for i, e := range p.Entries {
			p.Entries[i].Endpoint, p.Entries[i].Digest = e.Version+".clarity.svc:8001", r.digests[e.Version]
		}
		r.steady.Store(nil)
		r.plan(p)
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	r.step(60, 100, 0)
	c.close()
	if r.count(traffic.MetricRequests, "outcome=error") > 0 || r.count(traffic.MetricRequests, "role=live") != float64(len(c.took)) {
		t.Errorf("%v of %d requests answered", r.count(traffic.MetricRequests, "outcome=ok"), len(c.took))
	}
}
