package firestore_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/firestore"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// database is one to test in: Google's where the environment names it, else that of
// an emulator which this test starts.
func database(t testing.TB) firestore.Config {
	t.Helper()
	if project := os.Getenv("CLARITY_CLOUD_PROJECT"); project != "" {
		return firestore.Config{Project: project, Database: os.Getenv("CLARITY_CLOUD_DATABASE")}
	}
	return begin(t).config()
}

// emulator starts one as a process of its own and returns its address.
func emulator(t testing.TB) string {
	t.Helper()
	return begin(t).address
}

// A stand is an emulator of this test's.
type stand struct {
	program, address string
	process          *exec.Cmd
}

func begin(t testing.TB) *stand {
	t.Helper()
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs an emulator that takes minutes to build: make test-cloud")
	}
	built, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "hack", "emulators", "emulator"), "--built", "hidane").Output()
	if err != nil {
		t.Fatalf("hidane is not built: make test-cloud: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &stand{program: strings.TrimSpace(string(built)), address: l.Addr().String()}
	l.Close()
	p.start(t)
	t.Cleanup(p.kill)
	return p
}

func (p *stand) config() firestore.Config {
	return firestore.Config{Project: "demo-clarity", Database: "clarity", Endpoint: p.address, Emulator: true}
}

func (p *stand) start(t testing.TB) {
	t.Helper()
	host, port, _ := net.SplitHostPort(p.address)
	p.process = exec.Command(p.program, "--host", host, "--port", port)
	p.process.Dir = t.TempDir()
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("hidane does not answer")
		}
	}
}

func (p *stand) kill() {
	_ = p.process.Process.Kill()
	_ = p.process.Wait()
}

func (p *stand) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); s == syscall.SIGSTOP && !p.stopped(t); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it does not stop")
		}
	}
}

// stopped says whether every thread has stopped, which takes a moment where there is
// much to do. Where there is no /proc nobody knows better.
func (p *stand) stopped(t testing.TB) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread) //nolint:gosec // of a process of ours
		if err == nil && !bytes.Contains(text, []byte(") T ")) {
			return false
		}
	}
	return true
}

var places struct {
	sync.Mutex
	n int
}

// place is a part of the database that nobody has used.
func place() string {
	places.Lock()
	defer places.Unlock()
	places.n++
	return fmt.Sprintf("tests/%d-%d", time.Now().UnixNano(), places.n)
}

// open opens a place that is empty.
func open(t testing.TB, c firestore.Config, options ...option.ClientOption) *firestore.Store {
	t.Helper()
	c.Under = place()
	s, err := firestore.Open(context.Background(), c, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// opener opens one place again and again.
func opener(t *testing.T, c firestore.Config, as func(store.Driver) store.Driver, options ...option.ClientOption) storetest.Opener {
	where := place()
	var s *firestore.Store
	shut := func() {
		if s != nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(shut)
	return func() store.Driver {
		shut()
		var err error
		c.Under = where
		if s, err = firestore.Open(context.Background(), c, options...); err != nil {
			t.Fatal(err)
		}
		return as(s)
	}
}

// A record is what a client sent.
type record struct {
	mu    sync.Mutex
	calls []string // methods
	sent  []any    // headers and requests
}

// begin notes a call, with its headers.
func (r *record) begin(ctx context.Context, method string) {
	headers, _ := metadata.FromOutgoingContext(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, method[strings.LastIndex(method, "/")+1:])
	r.sent = append(r.sent, headers)
}

func (r *record) add(request any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, request)
}

// take is what was called since it was taken last.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

// options have a client keep the record.
func (r *record) options() []option.ClientOption {
	return []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, res any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			r.begin(ctx, method)
			r.add(req)
			return invoke(ctx, method, req, res, conn, o...)
		})),
		option.WithGRPCDialOption(grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, begin grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			r.begin(ctx, method)
			stream, err := begin(ctx, d, conn, method, o...)
			return recorded{stream, r}, err
		})),
	}
}

type recorded struct {
	grpc.ClientStream
	to *record
}

func (s recorded) SendMsg(m any) error {
	s.to.add(m)
	return s.ClientStream.SendMsg(m)
}
