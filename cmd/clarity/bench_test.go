package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

// What one upload of the benchmark is: PERFORMANCE.md's.
const (
	benchConnections = 16
	benchSamples     = 500
	benchBodies      = 8 // different ones a person
)

// A swarm is phones that upload over connections of their own.
type swarm struct {
	url    string
	tokens []string
	bodies [][]byte
	client *fasthttp.Client
	next   atomic.Int64
}

func newSwarm(b *testing.B, url, dir string) *swarm {
	b.Helper()
	var tokens []string
	for i := range benchConnections {
		token, err := issuer.Token(issuer.Request{Dir: dir, User: fmt.Sprintf("bench-%d", i), TTL: time.Hour, Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	return swarmOf(b, url, tokens)
}

// swarmOf are phones of these people, who agree.
func swarmOf(b *testing.B, url string, tokens []string) *swarm {
	b.Helper()
	s := &swarm{url: url, tokens: tokens, client: &fasthttp.Client{MaxConnsPerHost: benchConnections, ReadBufferSize: 16 << 10}}
	b.Cleanup(s.client.CloseIdleConnections)
	for _, token := range tokens {
		c := phone.New(url, token, time.Minute, nil)
		if err := grantConsent(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	for i := range benchBodies {
		s.bodies = append(s.bodies, uploadtest.Gzip(uploadtest.Body(benchSamples, uploadtest.Options{Seed: uint64(i)})))
	}
	return s
}

// put sends n uploads over all connections and returns how long each ack took.
func (s *swarm) put(b *testing.B, n int) []time.Duration {
	b.Helper()
	acks := make([]time.Duration, n)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for c := range benchConnections {
		wg.Go(func() {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(res)
			req.Header.SetMethod(fasthttp.MethodPut)
			req.Header.SetContentType("application/json")
			req.Header.Set("Content-Encoding", "gzip")
			req.Header.Set("Authorization", "Bearer "+s.tokens[c])
			for {
				i := taken.Add(1) - 1
				if i >= int64(n) {
					return
				}
				req.SetRequestURI(fmt.Sprintf("%s/v1/uploads/bench-%012d", s.url, s.next.Add(1)))
				req.SetBodyRaw(s.bodies[i%benchBodies])
				began := time.Now()
				if err := s.client.Do(req, res); err != nil {
					b.Error(err)
					return
				}
				acks[i] = time.Since(began)
				if res.StatusCode() != http.StatusAccepted {
					b.Errorf("status %d: %s", res.StatusCode(), res.Body())
					return
				}
			}
		})
	}
	wg.Wait()
	return acks
}

// BenchmarkIngest500 is the ingest path as a phone meets it: the built binary
// in a process of its own, durable before the ack.
func BenchmarkIngest500(b *testing.B) {
	dir, admin := b.TempDir(), freeAddress(b)
	p := startPlatform(b, dir, "--stages", "ingress", "--unlimited", "--log-level", "warn", "--pprof", admin)
	s := newSwarm(b, p.url, dir)
	s.put(b, 200) // warm
	defer profiled.Do(func() { s.profile(b, admin) })
	s.measure(b, p.cmd.Process.Pid)
}

// measure measures uploads, and the process that takes them in.
func (s *swarm) measure(b *testing.B, pid int) {
	b.Run(fmt.Sprintf("connections=%d", benchConnections), func(b *testing.B) {
		b.SetBytes(int64(len(s.bodies[0])))
		cpu, began := processCPU(b, pid), time.Now()
		acks := s.put(b, b.N)
		took := time.Since(began)
		used := processCPU(b, pid) - cpu
		slices.Sort(acks)
		b.ReportMetric(float64(acks[len(acks)/2].Microseconds())/1000, "ack-p50-ms")
		b.ReportMetric(float64(acks[len(acks)*99/100].Microseconds())/1000, "ack-p99-ms")
		b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(b.N)/took.Seconds(), "req/s")
		b.ReportMetric(processMemory(b, pid, "VmRSS"), "rss-MB")
		b.ReportMetric(processMemory(b, pid, "VmHWM"), "peak-rss-MB")
	})
}

// BenchmarkIngestAllocs is the same path in this process: what it allocates.
// The client's share is a few small ones.
func BenchmarkIngestAllocs(b *testing.B) {
	dir := b.TempDir()
	config := defaults().Config
	config.Stages, config.Listen.API, config.Ingress.Unlimited = []string{stages.Ingress}, "127.0.0.1:0", true
	p, err := datadir.Open(b.Context(), dir, config, drivers(), stages.All(), platform.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			b.Error(err)
		}
	}()
	s := newSwarm(b, p.URL(), dir)
	s.put(b, 200)
	b.ReportAllocs()
	b.ResetTimer()
	s.put(b, b.N)
}

// profiled keeps repetitions of the benchmark from printing the profile again.
var profiled sync.Once

// profile prints where the ingest path spends its time, measured apart from the
// benchmark.
func (s *swarm) profile(b *testing.B, admin string) {
	const seconds = 5
	done, profile := make(chan struct{}), filepath.Join(b.TempDir(), "cpu.pprof")
	go func() {
		defer close(done)
		res, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, seconds))
		if err != nil {
			b.Error(err)
			return
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err == nil {
			err = os.WriteFile(profile, data, 0o600)
		}
		if err != nil {
			b.Error(err)
		}
	}()
	for running := true; running; {
		s.put(b, 500)
		select {
		case <-done:
			running = false
		default:
		}
	}
	out, err := exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodecount=60", binary(b), profile).CombinedOutput()
	if err != nil {
		b.Fatalf("read the profile: %v\n%s", err, out)
	}
	fmt.Printf("\nWhere the time goes, with what each calls (go tool pprof -top -cum):\n")
	for line := range strings.Lines(string(out)) {
		if name := strings.TrimSpace(line); !strings.Contains(name, "runtime.") && !strings.Contains(name, "database/sql") {
			fmt.Print(line)
		}
	}
}

func freeAddress(b testing.TB) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// processCPU is the user and system time of the process, from /proc.
func processCPU(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on Linux
}

// processMemory is a line of /proc/PID/status, in MB.
func processMemory(t testing.TB, pid int, name string) float64 {
	t.Helper()
	mb, ok := memoryOf(pid, name)
	if !ok {
		t.Skipf("no %s in /proc here", name)
	}
	return mb
}

func memoryOf(pid int, name string) (mb float64, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			kb, err := strconv.Atoi(strings.Fields(value)[0])
			return float64(kb) * 1024 / 1e6, err == nil
		}
	}
	return 0, false
}
