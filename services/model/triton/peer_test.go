package triton_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// A peer is a real Triton that serves the preview model from the repository
// that Repository writes.
type peer struct {
	*testing.T
	bundle     *bundle.Bundle
	grpc, http string
	process    *os.Process
	log        *bytes.Buffer
	ended      chan struct{}
}

// startPeer starts Triton as the operator does.
func startPeer(t *testing.T, s triton.Serving) *peer {
	t.Helper()
	if os.Getenv("CLARITY_TRITON") == "" {
		t.Skip("no Triton to test on: set CLARITY_TRITON=1, or run make test-triton")
	}
	peers, err := filepath.Abs("../../../hack/peers")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(peers, "triton.sh")).Output()
	if err != nil {
		t.Fatalf("install Triton: %v", err)
	}
	env := strings.TrimSpace(string(out))
	libraries, err := os.ReadFile(filepath.Join(env, "libdir"))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{T: t, log: new(bytes.Buffer), ended: make(chan struct{})}
	if p.bundle, err = bundle.Read(preview.Bundle(), preview.Digest); err != nil {
		t.Fatal(err)
	}
	repository := p.repository(s, filepath.Join(peers, "triton", "model.py"))
	packages := filepath.Join(env, "lib/python3.11/site-packages")
	p.grpc, p.http = freeAddress(t), freeAddress(t)
	_, grpcPort, _ := net.SplitHostPort(p.grpc)
	_, httpPort, _ := net.SplitHostPort(p.http)
	cmd := exec.Command(filepath.Join(packages, "pytriton/tritonserver/bin/tritonserver"), //nolint:gosec // of the cache
		"--model-repository="+repository, "--backend-directory="+filepath.Join(packages, "pytriton/tritonserver/backends"),
		"--model-control-mode=none", "--exit-on-error=true", "--strict-readiness=true", "--allow-metrics=false",
		"--http-address=127.0.0.1", "--http-port="+httpPort, "--grpc-address=127.0.0.1", "--grpc-port="+grpcPort)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.TrimSpace(string(libraries)), "PYTHONPATH="+packages)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process = cmd.Process
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(40 * time.Second):
			_ = p.process.Kill()
			<-p.ended
		}
		if t.Failed() {
			t.Logf("Triton says:\n%s", p.log)
		}
	})
	return p
}

// repository writes the model repository; the wheel has no ONNX backend, so a
// Python backend runs the model.
func (p *peer) repository(s triton.Serving, backend string) string {
	p.Helper()
	onnx, err := pat.ONNX(p.bundle)
	if err != nil {
		p.Fatal(err)
	}
	dir := p.TempDir()
	files := triton.Repository(p.bundle, onnx, s)
	config := s.Model + "/config.pbtxt"
	files[config] = bytes.Replace(files[config], []byte(`platform: "onnxruntime_onnx"`), []byte(`backend: "python"`), 1)
	if files[s.Model+"/1/model.py"], err = os.ReadFile(backend); err != nil {
		p.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			p.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			p.Fatal(err)
		}
	}
	return dir
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func serving() triton.Serving {
	s := triton.DefaultServing()
	s.Model, s.GPU, s.MaxBatch = "pat", false, 8
	return s
}

func (p *peer) dial(o triton.Options, more ...string) *triton.Client {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 2*time.Minute)
	defer cancel()
	o.Lookup = func(context.Context, string) ([]string, error) { return append([]string{p.grpc}, more...), nil }
	for {
		c, err := triton.Dial(ctx, p.grpc, triton.Version{Model: "pat", Digest: preview.Digest}, o)
		if err == nil {
			p.Cleanup(c.Close)
			return c
		}
		select {
		case <-p.ended:
			p.Fatalf("Triton ended: %v", err)
		case <-time.After(time.Second):
		}
		if ctx.Err() != nil {
			p.Fatal(err)
		}
	}
}

// The contract, the golden vectors and the probes, on the real server.
func TestRealTriton(t *testing.T) {
	p := startPeer(t, serving())
	c := p.dial(triton.Options{Timeout: time.Minute})
	for path, want := range map[string]int{
		"/v2/health/live": 200, "/v2/health/ready": 200, "/v2/models/pat/versions/1/ready": 200, "/v2/models/pat/versions/2/ready": 400,
	} {
		response, err := http.Get("http://" + p.http + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, response.StatusCode, want)
		}
	}
	for _, g := range p.bundle.Golden.Cases {
		into := make([]model.Inference, 1)
		if err := c.Infer(t.Context(), []model.Window{g.Window()}, into); err != nil {
			t.Fatal(err)
		}
		if err := p.bundle.Golden.Compare(g, c.Identity(), &into[0]); err != nil {
			t.Error(err)
		}
	}
	modeltest.Run(t, func(*testing.T) model.Model { return c })
	if _, err := triton.Dial(t.Context(), p.grpc, triton.Version{Model: "pat", Digest: "sha256:other"}, triton.Options{}); !errors.Is(err, model.DigestMismatch) {
		t.Errorf("another digest: %v", err)
	}
	for _, n := range []int{1, 8} {
		seeds := make([]int, n)
		began, rounds := time.Now(), 0
		for ; time.Since(began) < 3*time.Second; rounds++ {
			if _, err := infer(t.Context(), c, seeds...); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d windows a request: %.1f ms a request, %.0f windows/s", n,
			time.Since(began).Seconds()*1e3/float64(rounds), float64(rounds*n)/time.Since(began).Seconds())
	}
}

// A full queue is UNAVAILABLE, and costs a client nothing that has more patience.
func TestRealTritonWithAFullQueue(t *testing.T) {
	s := serving()
	s.QueueSize, s.MaxBatch, s.QueueDelay = 1, 1, 0
	p := startPeer(t, s)
	hasty, patient := p.dial(triton.Options{Attempts: 1}), p.dial(triton.Options{Attempts: 100, Timeout: time.Minute})
	flood := func(c *triton.Client) (answered int64, last error) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for i := range 16 {
			all.Go(func() {
				_, err := infer(t.Context(), c, i)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					last = err
					return
				}
				answered++
			})
		}
		all.Wait()
		return answered, last
	}
	answered, err := flood(hasty)
	t.Logf("asked once: %d of 16 answered; %v", answered, err)
	if err == nil || !strings.Contains(err.Error(), "Exceeds maximum queue size") {
		t.Errorf("a full queue: %v", err)
	}
	if answered, err = flood(patient); answered != 16 {
		t.Errorf("asked again: %d of 16 answered; %v", answered, err)
	}
}

// Triton stops under load beside another replica: nothing is lost.
func TestRealTritonStopsUnderLoad(t *testing.T) {
	p := startPeer(t, serving())
	local, err := pat.Open(t.Context(), p.bundle, pat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	other := tritontest.Start(t, tritontest.Config{Bundle: p.bundle, Model: "pat", Backend: local})
	c := p.dial(triton.Options{Refresh: 50 * time.Millisecond, Timeout: time.Minute}, other.Addr())
	eventually(t, "two replicas", func() bool { return c.Ready() == 2 })
	var all sync.WaitGroup
	var asked atomic.Int64
	stop := make(chan struct{})
	for i := range 6 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := infer(context.Background(), c, i); err != nil {
					t.Error(err)
				}
				asked.Add(1)
			}
		})
	}
	eventually(t, "some requests", func() bool { return asked.Load() > 20 })
	before := other.Served()
	if err := p.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	after := asked.Load()
	eventually(t, "more requests", func() bool { return asked.Load() > after+20 })
	close(stop)
	all.Wait()
	t.Logf("%s", fmt.Sprintf("%d requests, %d of them by the replica that stayed", asked.Load(), other.Served()-before))
}
