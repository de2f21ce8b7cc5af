package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/news"
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
		l := load{i}
		want, got := settled(t, p, calm, l, n), settled(t, q, killed, l, n)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("phone %d, %d uploads: another outcome (-calm +killed):\n%s", i, n, diff)
		}
		if alive := l.alive(n); got.Samples != alive || got.Uploads != n {
			t.Errorf("phone %d: %d samples of %d uploads, want %d of %d", i, got.Samples, got.Uploads, alive, n)
		}
		deliveredOnce(t, q, killed, l)
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
				if _, err := c.Put(context.Background(), load{i}.upload(t, counts[i])); err != nil {
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
				if _, err := c.Put(context.Background(), load{i}.upload(t, n)); err != nil {
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
		clients = append(clients, crashClient(t, url, dir, load{i}))
	}
	return clients
}

func crashClient(t *testing.T, url, dir string, l load) *phone.Client {
	t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: dir, User: fmt.Sprintf("phone-%d", l.phone), TTL: 2 * time.Hour, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := phone.New(url, token, 2*time.Minute, nil)
	t.Cleanup(c.Close)
	return c
}

// An outcome is all that a person's uploads came to, but for the times at which.
type outcome struct {
	Uploads, Samples int
	Days             map[string]string // digest by date
	Weeks            map[string]string // result document by last day
	Insights         map[string]string
}

// settled waits until everything is merged and analysed, and reads it.
func settled(t *testing.T, p *running, dir string, l load, uploads int) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := crashClient(t, p.url, dir, l)
	touched, out := map[health.Day]bool{}, outcome{Days: map[string]string{}, Weeks: map[string]string{}, Insights: map[string]string{}}
	for n := range uploads {
		s, err := c.Merged(ctx, l.upload(t, n).ID)
		if err != nil || s.State != "merged" {
			t.Fatalf("phone %d: upload %d was acked and is %q %v", l.phone, n, s.State, err)
		}
		for _, d := range s.Days {
			touched[d] = true
		}
		out.Uploads++
	}
	for {
		_, current, err := analysed(ctx, c, touched)
		if err != nil {
			t.Fatalf("phone %d: wait for its analyses: %v", l.phone, err)
		}
		if current && depth(t, p) == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	days, err := pages[struct {
		Date, Digest string
		Samples      int
	}](ctx, c, "/v1/days")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		out.Days[d.Date] = d.Digest
		out.Samples += d.Samples
	}
	out.Weeks = documents(ctx, t, c, "/v1/weeks", "result")
	out.Insights = documents(ctx, t, c, "/v1/insights", "insight")
	return out
}

// documents are the named members of a list's items, as they are, by date.
func documents(ctx context.Context, t *testing.T, c *phone.Client, path, member string) map[string]string {
	t.Helper()
	items, err := pages[map[string]json.RawMessage](ctx, c, path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, item := range items {
		var date string
		if err := json.Unmarshal(item["date"], &date); err != nil || len(item[member]) == 0 {
			t.Fatalf("an item of %s has no date or no %s", path, member)
		}
		out[date] = string(item[member])
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

// deliveredOnce reads the person's events from the first: none comes twice, as far
// as repetitions are recognised.
func deliveredOnce(t *testing.T, p *running, dir string, l load) {
	t.Helper()
	c := crashClient(t, p.url, dir, l)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	quiet := time.AfterFunc(time.Second, cancel)
	seen, results := map[string]uint64{}, 0
	err := c.Events(ctx, fromTheFirst, func(e phone.Event) error {
		quiet.Reset(time.Second)
		var body struct{ Ref, Version string }
		if err := json.Unmarshal([]byte(e.Data), &body); err != nil {
			return err
		}
		key := e.Name + " " + body.Ref + " " + body.Version
		id, _, _ := strings.Cut(e.ID, "-")
		number, err := strconv.ParseUint(id, 16, 64)
		if err != nil {
			return fmt.Errorf("event %q has no number: %w", e.ID, err)
		}
		// A withdrawal has no version of its own: a window that comes and goes is withdrawn
		// more than once, and one that a process died over is told of again.
		if first, twice := seen[key]; twice && body.Version != "withdrawn" && number-first <= news.Recent {
			t.Errorf("phone %d is told %q twice, in events %d and %d", l.phone, key, first, number)
		}
		seen[key] = number
		if e.Name == string(flow.ResultStored) {
			results++
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("phone %d: read its events: %v", l.phone, err)
	}
	if results == 0 {
		t.Errorf("phone %d was told of no result", l.phone)
	}
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
	accepted := map[string]map[string]bool{} // the keyed hashes of a person's uploads
	for line := range bytes.Lines(data) {
		var e audit.Entry
		body, _, _ := bytes.Cut(line, []byte("\t"))
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		if e.Action == audit.UploadAccepted && e.Outcome == "ok" {
			if accepted[e.Subject] == nil {
				accepted[e.Subject] = map[string]bool{}
			}
			accepted[e.Subject][e.Object] = true
		}
	}
	var held []int
	for _, uploads := range accepted {
		held = append(held, len(uploads))
	}
	want := slices.Sorted(slices.Values(counts))
	slices.Sort(held)
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
