package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

var (
	soakFor  = flag.Duration("soak.for", 0, "how long TestSoak keeps up its load; 0 leaves it out")
	soakRate = flag.Int("soak.rate", 100, "uploads a second")
	soakCalm = flag.Duration("soak.calm", 30*time.Second, "how long only the bystanders upload before")
)

const (
	soakEach       = 20 * time.Second      // between two uploads of a person
	bystanders     = 4                     // whose acks are timed
	bystanderEvery = 50 * time.Millisecond // one of them uploads
	soakLook       = 2 * time.Second       // between two looks at the process
)

// TestSoak keeps up a load of uploads, with a new person a second who uploads and
// erases the account again. Nothing of the process may grow, and bystanders' acks may
// take at most twice as long, at the 99th percentile, as while nobody else is there.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("takes minutes, and the machine: -soak.for=10m")
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := startPlatform(t, dir, "--unlimited", "--log-level", "warn")
	s := newSoak(t, p.url, dir)

	calm := s.bystand(t, *soakCalm, nil)
	ctx, cancel := context.WithTimeout(t.Context(), *soakFor)
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { s.uploads(ctx, t) })
	load.Go(func() { s.erasures(ctx, t) })
	looks := watched{}
	load.Go(func() { looks.watch(ctx, t, p, dir) })
	busy := s.bystand(t, *soakFor, ctx.Done())
	load.Wait()
	p.stop(t, syscall.SIGTERM)

	t.Logf("%d uploads and %d erasures in %s", s.done.Load(), s.erased.Load(), *soakFor)
	if rate := float64(s.done.Load()) / soakFor.Seconds(); rate < 0.95*float64(*soakRate) {
		t.Errorf("%.1f uploads a second, and %d were to be: the machine is too slow, or busy with something else", rate, *soakRate)
	}
	looks.judge(t)
	t.Logf("acks of bystanders: calm p50 %s, p99 %s of %d; under load p50 %s, p99 %s of %d",
		quantile(calm, 0.5), quantile(calm, 0.99), len(calm), quantile(busy, 0.5), quantile(busy, 0.99), len(busy))
	if was, is := quantile(calm, 0.99), quantile(busy, 0.99); is > 2*was {
		t.Errorf("99 %% of the acks under load come within %s, more than twice the calm %s", is, was)
	}
	if text := p.log.String(); text != "" {
		t.Errorf("the log says %.2000s", text)
	}
}

// A soak is the people of the load.
type soak struct {
	url, dir     string
	tokens       []string // of the load, then the bystanders'
	next         []int    // upload of each bystander
	done, erased atomic.Int64
}

func newSoak(t *testing.T, url, dir string) *soak {
	t.Helper()
	s := &soak{url: url, dir: dir, next: make([]int, bystanders)}
	people := int(soakEach.Seconds()) * *soakRate
	var each sync.WaitGroup
	s.tokens = make([]string, people+bystanders)
	for hand := range 16 {
		each.Go(func() {
			for i := hand; i < len(s.tokens); i += 16 {
				s.tokens[i] = powerToken(t, s.dir, fmt.Sprint("person-", i))
				c := s.client(i)
				if err := grantConsent(t.Context(), c); err != nil {
					t.Error(err)
				}
				c.Close()
			}
		})
	}
	each.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return s
}

// client is a person's phone, which comes for one upload and goes.
func (s *soak) client(i int) *phone.Client {
	return phone.New(s.url, s.tokens[i], 30*time.Second, nil)
}

// bystand has the bystanders upload in turns, and times their acks.
func (s *soak) bystand(t *testing.T, long time.Duration, until <-chan struct{}) (acks []time.Duration) {
	t.Helper()
	first := len(s.tokens) - bystanders
	var clients []*phone.Client
	for i := range bystanders {
		clients = append(clients, s.client(first+i))
		defer clients[i].Close()
	}
	tick := time.NewTicker(bystanderEvery)
	defer tick.Stop()
	over := time.After(long)
	for turn := 0; ; turn++ {
		select {
		case <-over:
			return acks
		case <-until:
			return acks
		case <-tick.C:
		}
		i := turn % bystanders
		u := phonetest.Load(first+i).Upload(t, s.next[i])
		s.next[i]++
		began := time.Now()
		if _, err := clients[i].Put(t.Context(), u); err != nil {
			t.Error(err)
			return acks
		}
		acks = append(acks, time.Since(began))
	}
}

// uploads keeps up the rate, one person after the other.
func (s *soak) uploads(ctx context.Context, t *testing.T) {
	people := len(s.tokens) - bystanders
	turns := make(chan int, *soakRate)
	var hands sync.WaitGroup
	for range 32 {
		hands.Go(func() {
			for turn := range turns {
				u := phonetest.Load(turn%people).Upload(t, turn/people)
				c := s.client(turn % people)
				if _, err := c.Put(ctx, u); err != nil {
					failed(ctx, t, err)
				} else {
					s.done.Add(1)
				}
				c.Close()
			}
		})
	}
	tick := time.NewTicker(time.Second / time.Duration(*soakRate))
	defer tick.Stop()
	for turn, going := 0, true; going; turn++ {
		select {
		case <-ctx.Done():
			going = false
		case <-tick.C:
			turns <- turn
		}
	}
	close(turns)
	hands.Wait()
}

// erasures has somebody come and go each second.
func (s *soak) erasures(ctx context.Context, t *testing.T) {
	var going sync.WaitGroup
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			going.Wait()
			return
		case <-tick.C:
		}
		going.Go(func() {
			c := phone.New(s.url, powerToken(t, s.dir, fmt.Sprint("guest-", n)), 30*time.Second, nil)
			defer c.Close()
			u := phonetest.Load(1_000_000+n).Upload(t, 0)
			err := grantConsent(ctx, c)
			if err == nil {
				_, err = c.Put(ctx, u)
			}
			if err == nil {
				err = c.Send(ctx, http.MethodDelete, "/v1/account", nil, nil)
			}
			if err != nil {
				failed(ctx, t, err)
				return
			}
			s.erased.Add(1)
		})
	}
}

// watched is what a process looked like, from time to time.
type watched struct {
	rss, files, goroutines, waiting, disk []float64
}

func (w *watched) watch(ctx context.Context, t *testing.T, p *running, dir string) {
	tick := time.NewTicker(soakLook)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rss, ok := memoryOf(p.cmd.Process.Pid, "VmRSS")
		descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		if !ok || err != nil {
			t.Errorf("look at the process: %v", err)
			return
		}
		sums, err := metricSums(p.url, "go_goroutines", "clarity_queue_messages")
		if err != nil {
			failed(ctx, t, err)
			return
		}
		w.rss, w.files = append(w.rss, rss), append(w.files, float64(len(descriptors)))
		w.goroutines, w.waiting, w.disk = append(w.goroutines, sums[0]), append(w.waiting, sums[1]), append(w.disk, diskOf(dir))
		if n%15 == 0 {
			t.Logf("after %s: RSS %.0f MB, %d open files, %.0f goroutines, %.0f messages, %.0f MB on disk", time.Duration(n+1)*soakLook, rss, len(descriptors), sums[0], sums[1], w.disk[n])
		}
	}
}

// judge says what grew: from the second quarter, when all is warm, to the last.
func (w *watched) judge(t *testing.T) {
	t.Helper()
	for _, of := range []struct {
		name   string
		values []float64
		factor float64 // of growth, and
		more   float64 // on top
	}{{"RSS in MB", w.rss, 1.1, 8}, {"open files", w.files, 1, 16}, {"goroutines", w.goroutines, 1.1, 32}, {"messages", w.waiting, 1.5, 500}} {
		n := len(of.values)
		if n < 8 {
			t.Errorf("%s: %d looks are too few", of.name, n)
			continue
		}
		warm, last := middle(of.values[n/4:n/2]), middle(of.values[3*n/4:])
		t.Logf("%s: %.0f once warm, %.0f at the end, %.0f at most", of.name, warm, last, slices.Max(of.values))
		if last > warm*of.factor+of.more {
			t.Errorf("%s grew from %.0f to %.0f", of.name, warm, last)
		}
	}
	n := len(w.disk)
	t.Logf("disk: %.0f MB at the end, %.2f MB a second in the second half", w.disk[n-1], (w.disk[n-1]-w.disk[n/2])/(float64(n-1-n/2)*soakLook.Seconds()))
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func quantile(acks []time.Duration, q float64) time.Duration {
	if len(acks) == 0 {
		return math.MaxInt64
	}
	slices.Sort(acks)
	return acks[int(float64(len(acks)-1)*q)].Round(10 * time.Microsecond)
}

// metricSums adds up the metrics of each name that the platform tells.
func metricSums(url string, names ...string) ([]float64, error) {
	res, err := http.Get(url + "/metrics") //nolint:gosec // the test's own platform
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	sums := make([]float64, len(names))
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ = strings.Cut(name, "{")
		if i := slices.Index(names, name); i >= 0 {
			n := 0.0
			if _, err := fmt.Sscan(value, &n); err != nil {
				return nil, err
			}
			sums[i] += n
		}
	}
	return sums, nil
}

func diskOf(dir string) (mb float64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // it was removed meanwhile
		}
		if info, err := d.Info(); err == nil {
			mb += float64(info.Size()) / 1e6
		}
		return nil
	})
	return mb
}
