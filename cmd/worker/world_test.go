package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/internal/logtest"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/veil"
)

// built is this package as it is shipped: attempts of shards are processes of it.
var built struct {
	sync.Once
	dir, binary string
	err         error
}

// binary builds it once and returns its path.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "clarity-worker-"); built.err != nil {
			return
		}
		built.binary = filepath.Join(built.dir, "worker")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", built.binary, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = errors.New(string(out))
		}
	})
	if built.err != nil {
		t.Fatalf("build the binary: %v", built.err)
	}
	return built.binary
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range []string{made.dir, made.dir + ".keys", built.dir} {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// A running platform is in this process over a directory, until it is stopped.
type running struct {
	t     *testing.T
	dir   string
	url   string
	store store.Driver
	stop  func()
}

// quiet is how long a person of these tests sends nothing before they are
// analysed: a history is sent in less, so that each window is computed once.
const quiet = time.Second

func startPlatform(t *testing.T, dir, model string) *running {
	t.Helper()
	r := &running{t: t, dir: dir}
	list := ofDirectory()
	list.Store = map[string]platform.Opener[store.Driver]{"sqlite": func(ctx context.Context, at string, e platform.Env) (_ store.Driver, err error) {
		r.store, err = embedded.Store(ctx, at, e)
		return r.store, err
	}}
	list.Identity = map[string]platform.Opener[identity.Verifier]{"local": issuer.Open}
	list.Writer = map[string]platform.Opener[narrative.Writer]{
		"template": func(context.Context, string, platform.Env) (narrative.Writer, error) { return template.New(), nil },
	}
	config := platform.Config{Stages: stages.Names(), Listen: platform.Listen{API: "127.0.0.1:0"}, Ingress: platform.Ingress{Unlimited: true},
		Backends: platform.Backends{Model: model}, Worker: platform.Worker{Debounce: quiet}}
	p, err := datadir.Open(t.Context(), dir, config, list, stages.All(), platform.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	r.url = p.URL()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the platform ends with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (p *running) phone(user string) *phone.Client {
	p.t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: p.dir, User: user, TTL: time.Hour, Now: time.Now})
	if err != nil {
		p.t.Fatal(err)
	}
	c := phone.New(p.url, token, time.Minute, nil)
	p.t.Cleanup(c.Close)
	return c
}

func (p *running) consent(c *phone.Client, granted bool) {
	p.t.Helper()
	document := map[string]any{"granted": granted, "version": "2026-11"}
	if err := c.Send(p.t.Context(), http.MethodPut, "/v1/consents/"+record.PurposeProcessing, document, nil); err != nil {
		p.t.Fatal(err)
	}
}

func (p *running) put(c *phone.Client, body []byte, samples, deleted int) {
	p.t.Helper()
	u, err := phone.Pack(body, samples, deleted)
	if err == nil {
		_, err = c.Put(p.t.Context(), u)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// settle waits until nothing is unfinished, and no message is dead.
func (p *running) settle() {
	p.t.Helper()
	for began := time.Now(); p.unfinished(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 3*time.Minute {
			p.t.Fatal("something is unfinished after three minutes")
		}
	}
	if _, dead := p.depth(); dead > 0 {
		p.t.Fatalf("%d dead letters", dead)
	}
}

// unfinished says that a message waits, or that something on the agenda falls due
// within the hour: what waits for consent does not. What is on neither now may
// have been published meanwhile, so that the messages are counted before and after.
func (p *running) unfinished() bool {
	p.t.Helper()
	if waiting, _ := p.depth(); waiting > 0 {
		return true
	}
	for shard := range store.Shards {
		due, err := p.store.Due(p.t.Context(), []string{"agenda", "uploads", "accounts"}, shard, time.Now().Add(time.Hour), 1)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(due) > 0 {
			return true
		}
	}
	waiting, _ := p.depth()
	return waiting > 0
}

func (p *running) depth() (waiting, dead int) {
	p.t.Helper()
	res, err := http.Get(p.url + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if !strings.HasPrefix(name, "clarity_queue_messages{") {
			continue
		}
		n := 0
		if _, err := fmt.Sscan(value, &n); err != nil {
			p.t.Fatal(err)
		}
		if strings.Contains(name, `"dead"`) {
			dead += n
		} else {
			waiting += n
		}
	}
	return waiting, dead
}

// littleUpload is a day or two of heart rate and steps of one person.
func littleUpload(t *testing.T, person int) (body []byte, samples int) {
	t.Helper()
	var all []map[string]any
	for i := range 60 {
		id := health.Sample{Type: "little", Start: health.Instant(person), End: health.Instant(i)}
		at := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i*37+person) * time.Minute)
		s := map[string]any{"uuid": health.DeriveUUID(&id).String(), "type": "HKQuantityTypeIdentifierHeartRate", "start": at.Format(time.RFC3339),
			"end": at.Format(time.RFC3339), "value": 50 + (i+person)%50, "unit": "count/min", "source": map[string]any{"bundleId": "com.apple.health.x", "productType": "Watch7,5"}}
		if i%2 == 1 {
			s["type"], s["unit"], s["end"] = "HKQuantityTypeIdentifierStepCount", "count", at.Add(time.Minute).Format(time.RFC3339)
		}
		all = append(all, s)
	}
	body, err := json.Marshal(map[string]any{"schema": "clarity.upload/1", "installationId": "x", "timeZone": "UTC", "samples": all, "deleted": []any{}, "stage": "daily"})
	if err != nil {
		t.Fatal(err)
	}
	return body, len(all)
}

// withStore opens the documents of a directory that nobody serves.
func withStore(t *testing.T, dir string, use func(s *store.Store)) {
	t.Helper()
	e := platform.Env{Now: time.Now}
	keys, err := embedded.Keys(t.Context(), dir+".keys", e)
	if err != nil {
		t.Fatal(err)
	}
	var opened io.Closer
	e.Closing = func(_ string, c io.Closer) { opened = c }
	driver, err := embedded.Store(t.Context(), dir, e)
	if err != nil {
		t.Fatal(err)
	}
	use(store.New(veil.NewDocuments(driver, keys), keys))
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
}

// documents are everyone's Results and embeddings, as JSON, by person, kind and day.
func documents(t *testing.T, dir string, people []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	note := func(key string, v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all[key] = string(raw)
	}
	withStore(t, dir, func(s *store.Store) {
		for _, uid := range people {
			results, err := s.Results.List(t.Context(), uid, store.Query{Limit: store.MaxLimit})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				note(uid+"/result/"+r.Key, r.Value.Result)
			}
			embeddings, err := s.Embeddings.List(t.Context(), uid, store.Query{Limit: store.MaxLimit})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range embeddings {
				note(uid+"/embedding/"+e.Key, e.Value)
			}
		}
	})
	return all
}

// forget deletes everyone's Results and embeddings.
func forget(t *testing.T, dir string, people []string) {
	t.Helper()
	withStore(t, dir, func(s *store.Store) {
		for _, uid := range people {
			results, err := s.Results.List(t.Context(), uid, store.Query{Limit: store.MaxLimit})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if err := errors.Join(s.Results.Delete(t.Context(), uid, r.Key, store.Any), s.Embeddings.Delete(t.Context(), uid, r.Key, store.Any)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// A run is one AnalysisJob: what all its pods share.
type testRun struct {
	t    *testing.T
	dir  string
	args []string
	env  []string
}

// A shardPod is one attempt of a shard, a process of its own.
type shardPod struct {
	cmd        *exec.Cmd
	out, log   *logtest.Log
	terminated string // the file
	exited     chan struct{}
}

// start runs an attempt of a shard as its Job would.
func (r testRun) start(index, failures int) *shardPod {
	r.t.Helper()
	p := &shardPod{out: &logtest.Log{}, log: &logtest.Log{}, terminated: filepath.Join(r.t.TempDir(), "termination-log"), exited: make(chan struct{})}
	p.cmd = exec.Command(binary(r.t), append([]string{"shard"}, r.args...)...)
	p.cmd.Env = append(os.Environ(), "CLARITY_DATA="+r.dir, "CLARITY_TERMINATION_LOG="+p.terminated,
		fmt.Sprintf("JOB_COMPLETION_INDEX=%d", index), fmt.Sprintf("CLARITY_SHARD_FAILURES=%d", failures), "CLARITY_SHARD_IGNORED_FAILURES=")
	p.cmd.Env = append(p.cmd.Env, r.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code tells
		close(p.exited)
	}()
	r.t.Cleanup(p.kill)
	return p
}

// kill is SIGKILL: the process has no say in it.
func (p *shardPod) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *shardPod) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// says waits until the pod's log holds the expression, or the pod has ended.
func (p *shardPod) says(t *testing.T, text string) {
	t.Helper()
	sought := regexp.MustCompile(text)
	for began := time.Now(); !sought.MatchString(p.log.String()); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.exited:
			return
		default:
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the pod does not say %q: %s", text, p.log.String())
		}
	}
}

// end waits for the pod and returns its exit code and its report, which is read
// as the operator reads it.
func (p *shardPod) end(t *testing.T) (code int, report termination.Report) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(3 * time.Minute):
		p.kill()
		t.Fatalf("the pod does not end: %s", p.log.String())
	}
	raw, err := os.ReadFile(p.terminated)
	if err != nil {
		t.Fatalf("%v; log: %s", err, p.log.String())
	}
	if report, err = termination.ParseReport(string(raw)); err != nil {
		t.Fatalf("the operator cannot read %q: %v", raw, err)
	}
	return p.cmd.ProcessState.ExitCode(), report
}
