package platform_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A diary is what was opened and closed, in order.
type diary struct{ entries []string }

func (d *diary) write(entry string) { d.entries = append(d.entries, entry) }

// A page closes into the diary.
type page struct {
	*diary
	what string
	err  error
}

func (p page) Close() error { p.write("close " + p.what); return p.err }

// opener is a driver that only says that it was opened.
func opener[T any](d *diary, name string, err error) platform.Opener[T] {
	return func(_ context.Context, at string, e platform.Env) (v T, _ error) {
		d.write("open " + name + " at " + at)
		if err == nil {
			e.Closing(name, page{d, name, nil})
		}
		return v, err
	}
}

func list[T any](o platform.Opener[T]) map[string]platform.Opener[T] {
	return map[string]platform.Opener[T]{"fake": o, "other": o}
}

// drivers have one kind a capability, "fake"; the audit log's fails with err.
func drivers(d *diary, err error) platform.Drivers {
	return platform.Drivers{
		Store:    list(opener[store.Driver](d, "store", nil)),
		Blobs:    list(opener[blob.Store](d, "blobs", nil)),
		Queue:    list(opener[queue.Driver](d, "queue", nil)),
		Keys:     list(opener[platform.Keyring](d, "keys", nil)),
		Identity: list(opener[identity.Verifier](d, "identity", nil)),
		Audit:    list(opener[audit.Log](d, "audit", err)),
		Writer: map[string]platform.Opener[narrative.Writer]{
			"fake": opener[narrative.Writer](d, "writer", nil), "template": opener[narrative.Writer](d, "template", nil),
		},
		Plans: list(opener[platform.Plan](d, "plan", nil)),
	}
}

func config(stages ...string) platform.Config {
	return platform.Config{Stages: stages, Listen: platform.Listen{API: "127.0.0.1:0"}, Backends: platform.Backends{
		Store: "fake:a", Blobs: "fake:b:c", Queue: "fake", Keys: "fake:", Identity: "fake:i", Audit: "fake:l", Writer: "fake:w", Feed: "fake:f", Push: "fake:s", Model: "traffic:fake:p"}}
}

func env() platform.Env {
	return platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test"}
}

// stage is one that runs until its context is done, or fails.
func stage(d *diary, name string, needs capability.Set, fails error) platform.Stage {
	return platform.Stage{Name: name, Needs: needs, Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		d.write("build " + name)
		p.Closing(name, page{d, name, nil})
		return []platform.Runner{{Name: name, Run: func(ctx context.Context) error {
			if fails != nil {
				return fails
			}
			<-ctx.Done()
			return ctx.Err()
		}}}, nil
	}}
}

func TestWhatNoStageNeedsIsNotOpened(t *testing.T) {
	const all = capability.Store | capability.Blobs | capability.Queue | capability.Keys | capability.Erasure | capability.Identity | capability.Audit | capability.Writer | capability.Model
	tests := map[string]struct {
		needs capability.Set
		want  []string
	}{
		"nothing":  {0, []string{"build s", "close s"}},
		"blobs":    {capability.Blobs, []string{"open blobs at b:c", "build s", "close s", "close blobs"}},
		"a writer": {capability.Writer, []string{"open writer at w", "open template at ", "build s", "close s", "close template", "close writer"}},
		"a plan":   {capability.Model, []string{"open plan at p", "build s", "close s", "close plan"}},
		"all": {all, []string{"open keys at ", "open store at a", "open blobs at b:c", "open audit at l", "open queue at ", "open identity at i",
			"open writer at w", "open template at ", "open plan at p", "build s", "close s", "close plan", "close template", "close writer", "close identity",
			"close queue", "close audit", "close blobs", "close store", "close keys"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			table := []platform.Stage{stage(d, "s", tt.needs, nil), stage(d, "off", all|capability.Listener, nil)}
			p, err := platform.Open(t.Context(), config("s"), drivers(d, nil), table, env())
			if err != nil {
				t.Fatal(err)
			}
			if p.URL() != "" {
				t.Errorf("it listens on %s, which nobody needs", p.URL())
			}
			if err := errors.Join(p.Close(), p.Close()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, d.entries); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAModelThatIsNoPlanOpensNoPlan(t *testing.T) {
	d, c := &diary{}, config("s")
	c.Backends.Model = "preview"
	p, err := platform.Open(t.Context(), c, drivers(d, nil), []platform.Stage{stage(d, "s", capability.Model, nil)}, env())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"build s", "close s"}, d.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A driver that cannot be opened leaves nothing open, the listener included.
func TestWhatWasOpenedIsClosedWhereTheRestFails(t *testing.T) {
	d, broken := &diary{}, errors.New("the disk is gone")
	needs := capability.Blobs | capability.Audit | capability.Queue | capability.Listener
	c := config("s")
	_, err := platform.Open(t.Context(), c, drivers(d, broken), []platform.Stage{stage(d, "s", needs, nil)}, env())
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "open the audit fake") {
		t.Errorf("error %v, want one that says what could not be opened", err)
	}
	if diff := cmp.Diff([]string{"open blobs at b:c", "open audit at l", "close blobs"}, d.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d = &diary{}
	bad := platform.Stage{Name: "bad", Build: func(context.Context, platform.Parts) ([]platform.Runner, error) { return nil, broken }}
	_, err = platform.Open(t.Context(), config("s", "bad"), drivers(d, nil), []platform.Stage{stage(d, "s", capability.Blobs, nil), bad}, env())
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "build the stage bad") {
		t.Errorf("error %v, want one that says which stage", err)
	}
	if diff := cmp.Diff([]string{"open blobs at b:c", "build s", "close s", "close blobs"}, d.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryFaultOfAConfigIsToldAtOnce(t *testing.T) {
	d := &diary{}
	c := config("s", "nobody")
	c.Listen = platform.Listen{API: "0.0.0.0:80", Profile: "x"}
	c.Worker.Debounce, c.Insights.WriterTimeout = -1, -1
	c.Backends.Store, c.Backends.Blobs, c.Backends.Keys, c.Backends.Model = "firestore:p", "gs:b", "", "traffic:pigeon:x"
	needs := capability.Store | capability.Blobs | capability.Writer | capability.Model | capability.Listener
	few := drivers(d, nil)
	delete(few.Writer, "template")
	_, err := platform.Open(t.Context(), c, few, []platform.Stage{stage(d, "s", needs, nil)}, env())
	var wrong *platform.ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v, want a ConfigError", err)
	}
	for _, want := range []string{
		`there is no stage "nobody"; the stages are s`, "0.0.0.0:80 is not a loopback address", `"x" is not an address and port`, "debounce", "timeout",
		`store: no driver "firestore" in this binary; it has fake, other`, `blobs: no driver "gs" in this binary; it has fake, other`,
		`writer: no driver "template" in this binary; it has fake`, `model: traffic: no driver "pigeon" in this binary; it has fake, other`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "keys") || len(d.entries) > 0 {
		t.Errorf("not one line, or of what nobody needs, or something was opened (%v): %v", d.entries, err)
	}
}

func TestAStageThatCannotHealStopsTheOthers(t *testing.T) {
	d, broken := &diary{}, errors.New("it broke")
	table := []platform.Stage{stage(d, "steady", 0, nil), stage(d, "weak", 0, fmt.Errorf("%w: %w", broken, queue.ErrClosed))}
	p, err := platform.Open(t.Context(), config("steady", "weak"), drivers(d, nil), table, env())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, broken) || err.Error() != "weak: it broke: queue: closed" {
		t.Errorf("error %v, want the stage's with its name", err)
	}
	if diff := cmp.Diff([]string{"build steady", "build weak", "close weak", "close steady"}, d.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACloserThatFailsIsNamedAndTheOthersAreClosed(t *testing.T) {
	d := &diary{}
	p, err := platform.Open(t.Context(), config("s"), drivers(d, nil), []platform.Stage{stage(d, "s", 0, nil)}, env())
	if err != nil {
		t.Fatal(err)
	}
	stuck := errors.New("stuck")
	p.Closing("the door", page{d, "door", stuck})
	if err := p.Close(); !errors.Is(err, stuck) || !strings.Contains(err.Error(), "close the door") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"build s", "close door", "close s"}, d.entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An ended context is a clean stop; until then the listener and the profiles are there.
func TestRunUntilToldToStop(t *testing.T) {
	c := config("s")
	c.Listen.Profile = freeAddress(t)
	d := &diary{}
	p, err := platform.Open(t.Context(), c, drivers(d, nil), []platform.Stage{stage(d, "s", capability.Listener, nil)}, env())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.URL(), "http://127.0.0.1:") {
		t.Errorf("it answers on %q", p.URL())
	}
	if _, err := platform.Open(t.Context(), c, drivers(d, nil), []platform.Stage{stage(d, "s", 0, nil)}, env()); err == nil ||
		!strings.Contains(err.Error(), c.Listen.Profile+" is taken by another process: choose another") {
		t.Errorf("a second one on the address: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + c.Listen.Profile + "/debug/pprof/")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), "goroutine") {
		t.Errorf("the profiles are %q, %v", text, err)
	}
	_ = res.Body.Close()
	stop()
	if err := <-ran; err != nil {
		t.Errorf("a clean stop is %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://")); err == nil {
		_ = conn.Close()
		t.Error("a stopped platform still listens")
	}
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

func TestLogger(t *testing.T) {
	tests := map[string]struct {
		log  platform.Log
		want string // what a warning begins with; "" is an error
	}{
		"text":               {platform.Log{Format: "text", Level: "info"}, "time="},
		"json":               {platform.Log{Format: "json", Level: "WARN"}, `{"time"`},
		"google":             {platform.Log{Format: "google:demo-clarity", Level: "info"}, `{"time"`},
		"google, of nobody":  {platform.Log{Format: "google", Level: "info"}, ""},
		"google, of no name": {platform.Log{Format: "google:A B", Level: "info"}, ""},
		"another form":       {platform.Log{Format: "xml", Level: "info"}, ""},
		"another level":      {platform.Log{Format: "text", Level: "loud"}, ""},
		"nothing was chosen": {platform.Log{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			l, err := tt.log.Logger(&out, "thing", "v7")
			if err != nil {
				var wrong *platform.ConfigError
				if tt.want != "" || !errors.As(err, &wrong) {
					t.Errorf("error %v", err)
				}
				return
			}
			l.Debug("quiet")
			l.Warn("loud")
			if tt.want == "" || !strings.HasPrefix(out.String(), tt.want) || strings.Contains(out.String(), "quiet") {
				t.Errorf("the log is %q", out.String())
			}
		})
	}
}

func TestCapabilitiesAreNamed(t *testing.T) {
	if got := (capability.Store | capability.Queue | capability.Listener).String(); got != "store queue listener" {
		t.Errorf("%q", got)
	}
	if s := capability.Store | capability.Keys; !s.Has(capability.Keys) || s.Has(capability.Keys|capability.Queue) || !s.Has(0) {
		t.Errorf("%v has what it has not, or lacks what it has", s)
	}
}
