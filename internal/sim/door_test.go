package sim_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/veil"
)

// A door is the API of one process. To build it takes sixteen milliseconds, so it
// is built once for many runs, over drivers that each run puts behind it. What it
// remembers, of people by their uids, is of nobody of the next run.
type door struct {
	behind struct {
		store    *struct{ store.Driver }
		blobs    *struct{ blob.Store }
		queue    *struct{ queue.Queue }
		keys     *struct{ keyring.Keyring }
		audit    *struct{ audit.Log }
		identity *struct{ identity.Verifier }
	}
	now    atomic.Pointer[func() time.Time]
	handle fasthttp.RequestHandler
}

// newDoors are those of all processes.
func newDoors(t testing.TB) []*door {
	t.Helper()
	doors := make([]*door, replicas)
	for i := range doors {
		d := &door{}
		b := &d.behind
		b.store, b.blobs, b.queue = &struct{ store.Driver }{}, &struct{ blob.Store }{}, &struct{ queue.Queue }{}
		b.keys, b.audit, b.identity = &struct{ keyring.Keyring }{}, &struct{ audit.Log }{}, &struct{ identity.Verifier }{}
		clock := time.Now
		d.now.Store(&clock)
		limits := ingress.DefaultLimits()
		limits.UserRate, limits.AddressRate = ingress.Rate{}, ingress.Rate{}
		server, err := ingress.New(ingress.Needs{
			Store: store.New(veil.NewDocuments(b.store, b.keys), b.keys), Blobs: b.blobs, Queue: b.queue, Keys: b.keys, Verifier: b.identity, Audit: b.audit,
			Writer: template.New(), Template: template.New(), Series: timeline.NewReader(vault.New(b.blobs, b.keys)).Series,
			Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return (*d.now.Load())() }, Limits: limits,
		})
		if err != nil {
			t.Fatal(err)
		}
		d.handle = server.Handler()
		b.identity.Verifier = strangers{}
		d.do("GET", "/v1/profile", "nobody", nil, nil) // what is made once is not made within a run
		doors[i] = d
	}
	return doors
}

// strangers know nobody.
type strangers struct{}

func (strangers) Verify(context.Context, string) (identity.Subject, error) {
	return identity.Subject{}, identity.ErrInvalid
}

func (s strangers) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	return s.Verify(ctx, token)
}

// open puts a process's drivers behind the door.
func (d *door) open(r *replica, keys ring, q messages) {
	b := &d.behind
	b.store.Driver, b.blobs.Store, b.queue.Queue = documents{r}, objects{r}, q
	b.keys.Keyring, b.audit.Log, b.identity.Verifier = keys, ledger{r}, passport{r}
	clock := r.now
	d.now.Store(&clock)
}

// An answer is what a request came to.
type answer struct {
	status int
	body   []byte
	etag   string
}

// A wire is a connection over which nothing goes.
type wire struct{ net.Conn }

func (wire) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (wire) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (wire) SetReadDeadline(time.Time) error  { return nil }
func (wire) SetWriteDeadline(time.Time) error { return nil }

// do asks as the person, over no network.
func (d *door) do(method, path, uid string, body []byte, header map[string]string) answer {
	rc, err := d.ask(method, path, uid, body, header)
	if err != nil {
		return answer{body: []byte(err.Error())}
	}
	return answer{rc.Response.StatusCode(), bytes.Clone(rc.Response.Body()), string(rc.Response.Header.Peek("ETag"))}
}

// follow opens the person's stream of events behind the last, and hands its lines over
// until it ends or one is the last that is wanted.
func (d *door) follow(uid, last string, wanted func(line string) bool) (status int, err error) {
	rc, err := d.ask("GET", "/v1/events", uid, nil, map[string]string{"Last-Event-ID": last})
	if err != nil {
		return 0, err
	}
	if status = rc.Response.StatusCode(); status == 200 {
		lines := bufio.NewScanner(rc.Response.BodyStream())
		for lines.Scan() && wanted(lines.Text()) {
		}
	}
	return status, rc.Response.CloseBodyStream()
}

// ask is a request that was answered, up to the body.
func (d *door) ask(method, path, uid string, body []byte, header map[string]string) (*fasthttp.RequestCtx, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer %s\r\n", method, path, uid)
	if body != nil {
		fmt.Fprintf(&text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	for name, value := range header {
		fmt.Fprintf(&text, "%s: %s\r\n", name, value)
	}
	var req fasthttp.Request
	if err := req.Header.Read(bufio.NewReader(strings.NewReader(text.String() + "\r\n"))); err != nil {
		return nil, err
	}
	rc := &fasthttp.RequestCtx{}
	rc.Init2(wire{}, nil, false)
	req.CopyTo(&rc.Request)
	if body != nil {
		rc.Request.SetBodyStream(bytes.NewReader(body), len(body))
	}
	d.handle(rc)
	return rc, nil
}
