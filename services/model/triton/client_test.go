package triton_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// synthetic is a bundle and its server's configuration.
func synthetic(t testing.TB, seed float64) tritontest.Config {
	t.Helper()
	b, err := tritontest.NewBundle("pat", seed)
	if err != nil {
		t.Fatal(err)
	}
	return tritontest.Config{Bundle: b, Backend: tritontest.Synthetic{Seed: seed}}
}

// A fleet is the addresses behind an endpoint, as a headless service has them.
type fleet struct {
	mu        sync.Mutex
	addresses []string
	err       error
}

func (f *fleet) set(addresses ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addresses = addresses
}

func (f *fleet) lookup(context.Context, string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.addresses), f.err
}

func dial(t testing.TB, f *fleet, digest string, o triton.Options) *triton.Client {
	t.Helper()
	o.Lookup, o.Refresh = f.lookup, 20*time.Millisecond
	c, err := triton.Dial(t.Context(), "pat.clarity.svc:8001", triton.Version{Model: "pat", Digest: digest}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func infer(ctx context.Context, m model.Model, seeds ...int) ([]model.Inference, error) {
	windows := make([]model.Window, len(seeds))
	for i, s := range seeds {
		windows[i] = modeltest.Week(s)
	}
	into := make([]model.Inference, len(seeds))
	return into, m.Infer(ctx, windows, into)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// The contract, with the pure-Go PAT behind the server.
func TestContract(t *testing.T) {
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pat.Open(t.Context(), b, pat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := tritontest.Start(t, tritontest.Config{Bundle: b, Model: "pat", Backend: p, MaxBatch: 4})
	c, err := triton.Dial(t.Context(), "dns:///"+s.Addr(), triton.Version{Model: "pat", Digest: preview.Digest}, triton.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	modeltest.Run(t, func(*testing.T) model.Model { return c })
	if diff := cmp.Diff(p.Identity(), c.Identity()); diff != "" {
		t.Errorf("identity (-local +served):\n%s", diff)
	}
	local, err := infer(t.Context(), p, 1, 2, 3, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := infer(t.Context(), c, 1, 2, 3, 4, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range local {
		for k, values := range local[i].Values {
			for j, v := range values {
				if math.Abs(float64(v-remote[i].Values[k][j])) > 1e-5 {
					t.Fatalf("window %d, output %d, value %d: %v here and %v from the server", i, k, j, v, remote[i].Values[k][j])
				}
			}
		}
	}
}

func TestDialRefuses(t *testing.T) {
	c := synthetic(t, 1)
	other := synthetic(t, 2).Bundle
	tests := map[string]struct {
		change func(c *tritontest.Config)
		claim  string
		want   model.Reason
	}{
		"a server of another version":                {func(c *tritontest.Config) { c.Bundle = other }, "", model.DigestMismatch},
		"a server that claims the digest of another": {func(*tritontest.Config) {}, other.Digest, model.DigestMismatch},
		"a server with another's papers": {func(c *tritontest.Config) {
			c.Bundle = with(c.Bundle, func(b *bundle.Bundle) { b.Papers = other.Papers })
		}, "", model.DigestMismatch},
		"a server with another contract in its papers": {func(c *tritontest.Config) {
			c.Bundle = with(c.Bundle, func(b *bundle.Bundle) { b.Papers.Contract = other.Papers.Manifest })
		}, "", model.DigestMismatch},
		"a server without papers": {func(c *tritontest.Config) {
			c.Bundle = with(c.Bundle, func(b *bundle.Bundle) { b.Papers = bundle.Papers{} })
		}, "", model.Malformed},
		"a server whose input has another name": {func(c *tritontest.Config) {
			c.Bundle = with(c.Bundle, func(b *bundle.Bundle) { b.Contract.Input.Name = "x" })
		}, "", model.Malformed},
		"a server whose output has another length": {func(c *tritontest.Config) {
			c.Bundle = with(c.Bundle, func(b *bundle.Bundle) { b.Contract.Outputs[1].Length++ })
		}, "", model.Malformed},
		"a server that cannot take windows in a batch": {func(c *tritontest.Config) { c.MaxBatch = -1 }, "", model.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			served := c
			tt.change(&served)
			s := tritontest.Start(t, served)
			s.Set(tritontest.Faults{Digest: tt.claim})
			got, err := triton.Dial(t.Context(), s.Addr(), triton.Version{Model: "pat", Digest: c.Bundle.Digest}, triton.Options{})
			if err == nil {
				got.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func with(b *bundle.Bundle, change func(*bundle.Bundle)) *bundle.Bundle {
	other := *b
	other.Contract.Outputs = slices.Clone(b.Contract.Outputs)
	change(&other)
	return &other
}

func TestDialWaitsForAReplica(t *testing.T) {
	c := synthetic(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := triton.Dial(ctx, "127.0.0.1:1", triton.Version{Model: "pat", Digest: c.Bundle.Digest}, triton.Options{})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
	s := tritontest.Start(t, c)
	s.Set(tritontest.Faults{NotReady: true})
	go func() {
		time.Sleep(100 * time.Millisecond)
		s.Set(tritontest.Faults{})
	}()
	got, err := triton.Dial(t.Context(), s.Addr(), triton.Version{Model: "pat", Digest: c.Bundle.Digest}, triton.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	for _, endpoint := range []string{"", "nowhere", "dns:///"} {
		if _, err := triton.Dial(t.Context(), endpoint, triton.Version{Model: "pat", Digest: c.Bundle.Digest}, triton.Options{}); err == nil {
			t.Errorf("dialled %q", endpoint)
		}
	}
}

func TestRequestsGoToTheReplicasInTurn(t *testing.T) {
	config := synthetic(t, 1)
	a, b, late := tritontest.Start(t, config), tritontest.Start(t, config), tritontest.Start(t, config)
	f := &fleet{addresses: []string{a.Addr(), b.Addr()}}
	c := dial(t, f, config.Bundle.Digest, triton.Options{})
	eventually(t, "two replicas", func() bool { return c.Ready() == 2 })
	ask := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := infer(t.Context(), c, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(10)
	if a.Served() != 5 || b.Served() != 5 {
		t.Errorf("%d and %d requests, want 5 and 5", a.Served(), b.Served())
	}
	// A third one comes without anything having broken.
	f.set(a.Addr(), b.Addr(), late.Addr())
	eventually(t, "three replicas", func() bool { return c.Ready() == 3 })
	ask(9)
	if late.Served() != 3 {
		t.Errorf("the new replica got %d of 9 requests", late.Served())
	}
	// One that the service no longer names gets nothing more.
	f.set(b.Addr(), late.Addr())
	eventually(t, "two replicas again", func() bool { return c.Ready() == 2 })
	before := a.Served()
	ask(6)
	if a.Served() != before {
		t.Errorf("a replica that left got %d more requests", a.Served()-before)
	}
	// A resolver that is away takes nothing away.
	f.mu.Lock()
	f.err = errors.New("no name server")
	f.mu.Unlock()
	time.Sleep(60 * time.Millisecond)
	ask(4)
}

func TestAnUnavailableReplicaCostsNothing(t *testing.T) {
	config := synthetic(t, 1)
	busy, idle := tritontest.Start(t, config), tritontest.Start(t, config)
	c := dial(t, &fleet{addresses: []string{busy.Addr(), idle.Addr()}}, config.Bundle.Digest, triton.Options{})
	eventually(t, "two replicas", func() bool { return c.Ready() == 2 })
	busy.Set(tritontest.Faults{Rate: 1, Code: codes.Unavailable})
	for i := range 10 {
		if _, err := infer(t.Context(), c, i); err != nil {
			t.Fatal(err)
		}
	}
	if busy.Served() != 0 || idle.Served() != 10 {
		t.Errorf("%d and %d requests, want 0 and 10", busy.Served(), idle.Served())
	}
	idle.Set(tritontest.Faults{Rate: 1, Code: codes.Unavailable})
	if _, err := infer(t.Context(), c, 1); err == nil || !strings.Contains(err.Error(), "asked 4 times") {
		t.Errorf("everyone is busy: %v", err)
	}
	idle.Set(tritontest.Faults{Rate: 1, Code: codes.Internal})
	busy.Set(tritontest.Faults{Rate: 1, Code: codes.Internal})
	if _, err := infer(t.Context(), c, 1); err == nil || strings.Contains(err.Error(), "asked") {
		t.Errorf("an error that another replica would have too: %v", err)
	}
}

func TestReplicasComeAndGoWithoutALoss(t *testing.T) {
	config := synthetic(t, 1)
	stays := tritontest.Start(t, config)
	f := &fleet{}
	f.set(stays.Addr())
	c := dial(t, f, config.Bundle.Digest, triton.Options{})
	var lost, asked atomic.Int64
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i := range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if _, err := infer(context.Background(), c, i); err != nil {
					lost.Add(1)
					t.Error(err)
				}
			}
		})
	}
	for round := range 6 {
		s := tritontest.Start(t, config)
		f.set(stays.Addr(), s.Addr())
		eventually(t, "the replica is used", func() bool { return s.Served() > 3 })
		switch round % 3 {
		case 0: // drained while the service still names it
			s.Drain()
		case 1: // drained after the service has dropped it
			f.set(stays.Addr())
			eventually(t, "it is not used", func() bool { return c.Ready() == 1 })
			s.Drain()
		case 2: // killed, its requests cut off
			s.Close()
		}
		f.set(stays.Addr())
		eventually(t, "one replica", func() bool { return c.Ready() == 1 })
	}
	close(stop)
	all.Wait()
	t.Logf("%d requests, %d lost", asked.Load(), lost.Load())
}

// An address whose pod is another version's by now is not asked.
func TestAnAddressThatChangedHands(t *testing.T) {
	config := synthetic(t, 1)
	first := tritontest.Start(t, config)
	address := first.Addr()
	c := dial(t, &fleet{addresses: []string{address}}, config.Bundle.Digest, triton.Options{Timeout: 500 * time.Millisecond})
	eventually(t, "the first answers", func() bool {
		_, err := infer(t.Context(), c, 1)
		return err == nil
	})
	first.Close()
	config = synthetic(t, 2)
	config.GRPC = address
	second := tritontest.Start(t, config)
	eventually(t, "it connects", func() bool {
		_, err := infer(t.Context(), c, 1)
		return errors.Is(err, model.DigestMismatch)
	})
	if second.Served() != 0 {
		t.Errorf("another version answered %d requests", second.Served())
	}
}

func TestDeadlines(t *testing.T) {
	config := synthetic(t, 1)
	s := tritontest.Start(t, config)
	c := dial(t, &fleet{addresses: []string{s.Addr()}}, config.Bundle.Digest, triton.Options{Timeout: 50 * time.Millisecond})
	s.Set(tritontest.Faults{Delay: time.Minute})
	began := time.Now()
	if _, err := infer(t.Context(), c, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow server: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := infer(ctx, c, 1); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that went: %v", err)
	}
	s.Close()
	if _, err := infer(t.Context(), c, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that is gone: %v", err)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestOneWindowThatIsNoNumberCostsNoOther(t *testing.T) {
	config := synthetic(t, 1)
	config.MaxBatch = 2
	s := tritontest.Start(t, config)
	c := dial(t, &fleet{addresses: []string{s.Addr()}}, config.Bundle.Digest, triton.Options{})
	s.Set(tritontest.Faults{NaN: true})
	got, err := infer(t.Context(), c, 1)
	if err != nil || !errors.Is(got[0].Refused, model.NotFinite) || len(got[0].Values) != 0 {
		t.Errorf("refused %v, %v", got[0].Refused, err)
	}
	s.Set(tritontest.Faults{})
	if got, err = infer(t.Context(), c, 1, 2, 3, 4, 5); err != nil || got[4].Refused != nil {
		t.Errorf("five windows in batches of two: %v", err)
	}
	if s.Served() != 4 {
		t.Errorf("%d requests, want 1 and 3", s.Served())
	}
}

func TestAServersErrorIsToldShortly(t *testing.T) {
	config := synthetic(t, 1)
	s := tritontest.Start(t, config)
	c := dial(t, &fleet{addresses: []string{s.Addr()}}, config.Bundle.Digest, triton.Options{
		Dialer: func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}})
	s.Set(tritontest.Faults{Rate: 1, Code: codes.InvalidArgument})
	_, err := infer(t.Context(), c, 1)
	if want := `infer 1 windows with model "pat": the server says InvalidArgument: "a fault that was switched on"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func BenchmarkInfer(b *testing.B) {
	config := synthetic(b, 1)
	s := tritontest.Start(b, config)
	c := dial(b, &fleet{addresses: []string{s.Addr()}}, config.Bundle.Digest, triton.Options{})
	for _, n := range []int{1, 64} {
		windows, into := make([]model.Window, n), make([]model.Inference, n)
		for i := range windows {
			windows[i] = modeltest.Week(i)
		}
		b.Run(fmt.Sprintf("windows=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Infer(b.Context(), windows, into); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/window")
		})
	}
}
