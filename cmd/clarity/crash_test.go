package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
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

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
)

var (
	crashKills = flag.Int("crash.kills", 3, "how often TestCrash kills the platform")
	crashSeed  = flag.Uint64("crash.seed", 0, "seed of the moments at which TestCrash kills; 0 takes the time")
)

const (
	crashPhones = 4
	crashPace   = 60 * time.Millisecond // between two uploads of a phone
	// A message that has taken its handler down ten times is poison. Nobody can tell
	// it from one that was in hand at ten kills: so each of so many lives comes to rest.
	crashRest = 8
)

// TestCrash uploads from several phones while the platform is killed with
// SIGKILL at random moments, and started again on the same directory. Then it
// does the same uploads on a platform that nobody kills. Both must come to the
// same, byte for byte: what was acked is in the results, once, and nothing else.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a platform again and again under load")
	}
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%d kills, -crash.seed=%d", *crashKills, seed)
	killed, calm := t.TempDir(), t.TempDir()
	counts := uploadUnderKills(t, killed, rand.New(rand.NewPCG(seed, 1)))
	p := startPlatform(t, calm, "--unlimited", "--log-level", "warn")
	uploadAll(t, p, calm, counts)

	q := startPlatform(t, killed, "--unlimited", "--log-level", "warn")
	for i, n := range counts {
		l := phonetest.Load(i)
		want, got := settled(t, p, calm, l, n), settled(t, q, killed, l, n)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("phone %d, %d uploads: another outcome (-calm +killed):\n%s", i, n, diff)
		}
		if alive := l.Alive(n); got.Samples != alive || got.Uploads != n {
			t.Errorf("phone %d: %d samples of %d uploads, want %d of %d", i, got.Samples, got.Uploads, alive, n)
		}
		phonetest.ToldOnce(t, crashClient(t, q.url, killed, l))
	}
	atRest(t, q)
	q.stop(t, syscall.SIGTERM)
	p.stop(t, syscall.SIGTERM)
	atRestOnDisk(t, killed, counts)
}

// uploadUnderKills returns how many uploads each phone got acked.
func uploadUnderKills(t *testing.T, dir string, r *rand.Rand) []int {
	t.Helper()
	address := fixedAddress(t)
	clients := crashClients(t, "http://"+address, dir)
	bin := binary(t)
	start := func() *running {
		p, err := launchOn(bin, dir, address, "--unlimited", "--log-level", "warn")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := start()
	for _, c := range clients {
		if err := grantConsent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	counts, done := make([]int, len(clients)), make(chan struct{})
	var phones sync.WaitGroup
	var acked atomic.Int64
	var pause sync.RWMutex // held while the phones are quiet
	for i, c := range clients {
		phones.Go(func() {
			for {
				pause.RLock()
				pause.RUnlock() //nolint:staticcheck // it only waits
				if _, err := c.Put(context.Background(), phonetest.Load(i).Upload(t, counts[i])); err != nil {
					t.Errorf("phone %d, upload %d: %v", i, counts[i], err)
					return
				}
				counts[i]++
				acked.Add(1)
				select {
				case <-done:
					return
				case <-time.After(crashPace):
				}
			}
		})
	}
	for kill := range *crashKills {
		before := acked.Load()
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
		if kill%3 == 0 { // be sure that something was acked since the last
			for acked.Load() == before && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
		}
		if kill%crashRest == crashRest-1 {
			func() {
				pause.Lock()
				defer pause.Unlock()
				atRest(t, p)
			}()
		}
		p.kill()
		p = start()
	}
	close(done)
	phones.Wait()
	p.kill()
	t.Logf("%d uploads acked", acked.Load())
	return counts
}

// uploadAll does the same uploads without an accident.
func uploadAll(t *testing.T, p *running, dir string, counts []int) {
	t.Helper()
	var phones sync.WaitGroup
	for i, c := range crashClients(t, p.url, dir) {
		phones.Go(func() {
			if err := grantConsent(t.Context(), c); err != nil {
				t.Error(err)
			}
			for n := range counts[i] {
				if _, err := c.Put(context.Background(), phonetest.Load(i).Upload(t, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	phones.Wait()
}

func crashClients(t *testing.T, url, dir string) []*phone.Client {
	t.Helper()
	var clients []*phone.Client
	for i := range crashPhones {
		clients = append(clients, crashClient(t, url, dir, phonetest.Load(i)))
	}
	return clients
}

func crashClient(t *testing.T, url, dir string, l phonetest.Load) *phone.Client {
	t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: dir, User: fmt.Sprintf("phone-%d", l), TTL: 2 * time.Hour, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := phone.New(url, token, 2*time.Minute, nil)
	t.Cleanup(c.Close)
	return c
}

// settled waits until everything is merged and analysed, and reads it.
func settled(t *testing.T, p *running, dir string, l phonetest.Load, uploads int) phonetest.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := crashClient(t, p.url, dir, l)
	touched := map[health.Day]bool{}
	for n := range uploads {
		s, err := c.Merged(ctx, l.Upload(t, n).ID)
		if err != nil || s.State != "merged" {
			t.Fatalf("phone %d: upload %d was acked and is %q %v", l, n, s.State, err)
		}
		for _, d := range s.Days {
			touched[d] = true
		}
	}
	for {
		_, current, err := analysed(ctx, c, touched)
		if err != nil {
			t.Fatalf("phone %d: wait for its analyses: %v", l, err)
		}
		if current && depth(t, p) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	out, err := phonetest.Read(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// depth is how many messages wait or are handled, by the platform's own metrics.
func depth(t *testing.T, p *running) int {
	t.Helper()
	res, err := http.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	total, seen := 0, false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(name, "clarity_queue_messages{") && !strings.Contains(name, `"dead"`) {
			n := 0
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatal(err)
			}
			total, seen = total+n, true
		}
	}
	if !seen {
		t.Fatal("the metrics do not tell the queue's depth")
	}
	return total
}

// atRest waits until no message is left.
func atRest(t *testing.T, p *running) {
	t.Helper()
	for began := time.Now(); depth(t, p) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the queue is not empty a minute after everything was analysed")
		}
	}
}

// atRestOnDisk looks at the directory of a stopped platform.
func atRestOnDisk(t *testing.T, dir string, counts []int) {
	t.Helper()
	l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: capability.Queue, Env: platform.Env{Now: time.Now}}
	o, release, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for topic, names := range flow.Consumers() {
		for _, name := range names {
			if d, err := o.Gauge.Depth(t.Context(), topic, name); err != nil || d != (queue.Depth{}) {
				t.Errorf("%s for %s: %+v, %v; want nothing left", topic, name, d, err)
			}
		}
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "dead", "--data", dir); out != "no dead letters\n" {
		t.Errorf("dead letters:\n%s", out)
	}
	must(t, "audit", "verify", "--data", dir)
	segments, err := filepath.Glob(filepath.Join(dir, "audit", "log*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for _, path := range segments {
		lines, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, lines...)
	}
	held, err := phonetest.Accepted(data)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(counts))
	if !slices.Equal(held, want) {
		t.Errorf("the audit log holds %v uploads of the phones, want %v", held, want)
	}
}

// fixedAddress is a port that stays the platform's across its deaths.
func fixedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
