package webhook

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/internal/logtest"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is whose events these are: it is to be in bodies alone.
const canary = "clinic:anna-canary"

// A world is the stage over a laptop's drivers, with a clock that the test moves and a
// server that stands for every tenant's.
type world struct {
	t      *testing.T
	laptop *stagetest.Laptop
	book   *Book
	stage  *Stage
	server *receiver
	said   []queue.Message // what the book published, where nothing carries it
	log    *logtest.Log

	mu  sync.Mutex
	now time.Time
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

// Publish keeps what is said.
func (w *world) Publish(_ context.Context, msgs ...queue.Message) error {
	w.said = append(w.said, msgs...)
	return nil
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC), log: &logtest.Log{}}
	w.laptop = stagetest.Open(t, stagetest.Options{Now: w.clock})
	w.server = newReceiver(t)
	w.book = NewBook(w.laptop.Store, w, w.clock)
	w.stage = w.over(w.book)
	return w
}

// over is a stage whose requests end at the world's server, wherever they go.
func (w *world) over(b *Book) *Stage {
	s := New(Needs{Book: b, Now: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	w.server.reached(w.t, s, w.clock)
	return s
}

// register has the tenant be told, and returns the endpoint's id.
func (w *world) register(tenant, url string, kinds ...flow.EventKind) string {
	w.t.Helper()
	id, _, err := w.book.Create(w.t.Context(), tenant, url, kinds)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// told are events of these refs, of this moment.
func (w *world) told(refs ...string) (all []notice.Event) {
	for _, ref := range refs {
		all = append(all, notice.Event{Kind: flow.ResultStored, Ref: ref, Version: "v", At: w.clock()})
	}
	return all
}

// tell has what waits be handled, each once, and returns what became of each.
func (w *world) tell() (words []string) {
	w.t.Helper()
	waiting := w.said
	w.said = nil
	for _, m := range waiting {
		words = append(words, stagetest.Word(w.stage.Handle(w.t.Context(), queue.Delivery{Message: m, Attempt: 1, Published: w.clock()})))
	}
	return words
}

// spread has the person's events be on their way to each endpoint.
func (w *world) spread(uid string, first uint64, refs ...string) {
	w.t.Helper()
	if err := w.book.Tell(w.t.Context(), uid, first, w.told(refs...)); err != nil {
		w.t.Fatal(err)
	}
	if words := w.tell(); !slices.Equal(words, []string{"ack"}) {
		w.t.Fatal(words)
	}
}

// one handles a message that is of one endpoint, as its attempt so and so.
func (w *world) one(m queue.Message, attempt int) string {
	return stagetest.Word(w.stage.Handle(w.t.Context(), queue.Delivery{Message: m, Attempt: attempt, Failed: attempt - 1}))
}

func (w *world) missed(tenant, id string) []store.Record[hook.Missed] {
	w.t.Helper()
	all, err := w.book.Missed(w.t.Context(), tenant, id, "", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) endpoint(tenant, id string) hook.Endpoint {
	w.t.Helper()
	found, err := w.laptop.Store.Endpoints.Get(w.t.Context(), owner(tenant), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return found.Value
}

// A receiver is a server that checks what it is sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	asked  int
	got    []received
	answer func(n int) (status int, header http.Header) // of the nth request; nil takes everything
	// refuses says which are not taken; one asks at a time.
	refuses func(m message) bool
	hold    func(path string) // is waited for
}

// A received is one request.
type received struct {
	id, path, host, signature string
	at                        int64
	status                    int // what it was answered
	body                      []byte
	message                   message
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	one := received{id: req.Header.Get("webhook-id"), path: req.URL.Path, host: req.Host, signature: req.Header.Get("webhook-signature"), body: body}
	one.at, _ = strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
	_ = json.Unmarshal(body, &one.message)
	r.mu.Lock()
	r.asked++
	n, answer, hold := r.asked, r.answer, r.hold
	r.mu.Unlock()
	if hold != nil {
		hold(req.URL.Path)
	}
	var header http.Header
	one.status = http.StatusOK
	if answer != nil {
		one.status, header = answer(n)
	}
	r.mu.Lock()
	if r.refuses != nil && r.refuses(one.message) {
		one.status = http.StatusServiceUnavailable
	}
	r.got = append(r.got, one)
	r.mu.Unlock()
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(one.status)
}

// answers sets the answer.
func (r *receiver) answers(status int, header http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(int) (int, http.Header) { return status, header }
}

// take is what came since it was taken last.
func (r *receiver) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// reached has the stage's requests end here: every name resolves to this server, which
// the guard lets pass.
func (r *receiver) reached(t *testing.T, s *Stage, now func() time.Time) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	d := dialer{allowed: func(netip.Addr) bool { return true },
		look: func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
		dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var here net.Dialer
			return here.DialContext(ctx, network, r.Listener.Addr().String())
		}}
	s.sender = senderOver(d, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, now)
	t.Cleanup(s.sender.client.CloseIdleConnections)
}

// verified says whether a server with the secret takes the request for ours.
func (g received) verified(s hook.Secret) (v1, v1a bool) {
	signed := []byte(g.id + "." + strconv.FormatInt(g.at, 10) + "." + string(g.body))
	mac := hmac.New(sha256.New, s.HMAC)
	mac.Write(signed)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	public, _ := ed25519.NewKeyFromSeed(s.Seed).Public().(ed25519.PublicKey)
	for signature := range strings.SplitSeq(g.signature, " ") {
		v1 = v1 || signature == want
		if text, is := strings.CutPrefix(signature, "v1a,"); is {
			raw, err := base64.StdEncoding.DecodeString(text)
			v1a = v1a || err == nil && ed25519.Verify(public, signed, raw)
		}
	}
	return v1, v1a
}

func refs(got []received) (refs []string) {
	for _, g := range got {
		refs = append(refs, fmt.Sprintf("%s %s", g.message.Data.ID, g.message.Data.Ref))
	}
	return refs
}
