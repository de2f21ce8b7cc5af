package platform_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/edge"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/words"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/work"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// peers are who may be away, by capability, and how.
type peers struct {
	mu   sync.Mutex
	away map[string]error
}

func (p *peers) is(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = map[string]error{name: err}
}

// A known says how it is, as the driver of a capability.
type known struct {
	of   string
	from *peers
}

func (k known) Ready(context.Context) error {
	k.from.mu.Lock()
	defer k.from.mu.Unlock()
	return k.from.away[k.of]
}

// The drivers, of which nothing but that is asked.
type (
	documents struct {
		store.Driver
		known
	}
	kept struct {
		blob.Store
		known
	}
	messages struct {
		counted
		known
	}
	keys struct {
		platform.Keyring
		known
	}
	people struct {
		identity.Verifier
		known
	}
	entries struct {
		audit.Log
		known
	}
)

func (d documents) Ready(ctx context.Context) error { return d.known.Ready(ctx) }
func (o kept) Ready(ctx context.Context) error      { return o.known.Ready(ctx) }
func (m messages) Ready(ctx context.Context) error  { return m.known.Ready(ctx) }

func fixed[T any](v T) map[string]platform.Opener[T] {
	return map[string]platform.Opener[T]{"fake": func(context.Context, string, platform.Env) (T, error) { return v, nil }}
}

// process is one with the stages of a binary, whose drivers are these.
func (p *peers) process(t *testing.T, table []platform.Stage, log *slog.Logger) (ready func() (status int, body string), metrics func() string) {
	t.Helper()
	with := drivers(&diary{}, nil)
	with.Store = fixed[store.Driver](documents{known: known{"store", p}})
	with.Blobs = fixed[blob.Store](kept{known: known{"blobs", p}})
	with.Queue = fixed[queue.Driver](messages{known: known{"queue", p}})
	with.Keys = fixed[platform.Keyring](keys{known: known{"keys", p}})
	with.Identity = fixed[identity.Verifier](people{known: known{"identity", p}})
	with.Audit = fixed[audit.Log](entries{known: known{"audit", p}})
	var names []string
	table = slices.Clone(table)
	for i := range table {
		names = append(names, table[i].Name)
		table[i].Build = func(context.Context, platform.Parts) ([]platform.Runner, error) {
			return []platform.Runner{{Name: "s", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
		}
	}
	c := config(names...)
	c.Listen.Admin, c.Backends.Feed, c.Backends.Push, c.Backends.Model = "127.0.0.1:0", "", "", "none"
	e := env()
	e.Log = log
	opened, err := platform.Open(t.Context(), c, with, table, e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- opened.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		res, err := client.Get(opened.AdminURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	return func() (int, string) { return get("/readyz") }, func() string { _, text := get("/metrics"); return text }
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The table of docs/operations/binaries.md: which peer is away, and what each binary says.
func TestWhoIsReadyWithoutWhom(t *testing.T) {
	gone := errors.New("no answer")
	partly := fault.Partly(gone)
	const whole, less, not = "200 ok", "200 degraded", "503 unavailable"
	tests := map[string]struct {
		peer                      string
		is                        error
		ingress, worker, insights string
	}{
		"nobody":                {"store", nil, whole, whole, whole},
		"the store's reads":     {"store", gone, not, not, not},
		"the store's writes":    {"store", partly, less, not, not},
		"the bucket of objects": {"blobs", gone, less, not, whole},
		"the queue":             {"queue", gone, less, not, not},
		"the documents of keys, or the KMS for long":    {"keys", gone, not, not, not},
		"the KMS, within the hour":                      {"keys", partly, less, not, not},
		"certificates, or App Check's keys":             {"identity", gone, not, whole, whole},
		"lookups of accounts, within their two minutes": {"identity", partly, less, whole, whole},
		"the audit log":                                 {"audit", gone, not, not, not},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for binary, row := range map[string]struct {
				table []platform.Stage
				want  string
			}{"ingress": {edge.Stages(), tt.ingress}, "worker": {work.Stages(), tt.worker}, "insights": {words.Stages(), tt.insights}} {
				p := &peers{}
				ready, _ := p.process(t, row.table, silent())
				says := func(want string) {
					t.Helper()
					code, word, _ := strings.Cut(want, " ")
					if status, body := ready(); strconv.Itoa(status) != code || body != `{"status":"`+word+"\"}\n" {
						t.Errorf("%s: %d %s, want %s", binary, status, body, want)
					}
				}
				says(whole)
				p.is(tt.peer, tt.is)
				says(row.want)
				p.is(tt.peer, nil)
				says(whole)
			}
		})
	}
}

// A process that begins takes no other's place before it has met all its peers.
func TestWhoBeginsHasToMeetItsPeers(t *testing.T) {
	p := &peers{}
	p.is("queue", errors.New("no such topic"))
	ready, _ := p.process(t, edge.Stages(), silent())
	for _, step := range []struct {
		is   error
		want int
	}{{errors.New("no such topic"), 503}, {nil, 200}, {errors.New("no answer"), 200}} {
		p.is("queue", step.is)
		if status, body := ready(); status != step.want {
			t.Errorf("%v: %d %s", step.is, status, body)
		}
	}
}

// What is away is measured, and told once as it goes and once as it comes back.
func TestWhoIsAwayIsMeasuredAndTold(t *testing.T) {
	p, log := &peers{}, &syncedBuffer{}
	ready, metrics := p.process(t, edge.Stages(), slog.New(slog.NewTextHandler(log, nil)))
	measured := func(want string) {
		t.Helper()
		if text := metrics(); !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	ready()
	measured(`clarity_peer_away{peer="queue"} 0`)
	p.is("queue", queue.Fault("ready", errors.New("of somebody's topic")))
	for range 3 {
		ready()
	}
	measured(`clarity_peer_away{peer="queue"} 1`)
	measured(`clarity_peer_away{peer="store"} 0`)
	p.is("queue", nil)
	for range 3 {
		ready()
	}
	text := log.String()
	if strings.Count(text, "a peer is away") != 1 || strings.Count(text, "a peer is back") != 1 || !strings.Contains(text, "peer=queue") ||
		!strings.Contains(text, "class=unavailable") || strings.Contains(text, "somebody") {
		t.Errorf("the log:\n%s", text)
	}
}

// syncedBuffer is read while others may write to it.
type syncedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
