// Package ingress is the platform's front door: its REST API, as docs/api tells it.
//
// A request walks four steps, a room each: internal/edge (framing, address limit,
// log line, counts, panics), internal/access (who asks, whether they may, their
// rate, their account), the handler of one of seven rooms (internal/uploads,
// synced, results, events, account, devices, webhooks), and internal/reply, the one place that makes a
// reply of an error. Each room says what it needs and returns its routes; this
// package lists the rooms and writes the OpenAPI document. The rooms lie under
// internal because nobody else may call them. Handlers are typed and described
// by huma; the upload, the one hot route, reads its body itself.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/allowance"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/access"
	"github.com/clarity-loop/clarity/services/ingress/internal/account"
	"github.com/clarity-loop/clarity/services/ingress/internal/devices"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/events"
	"github.com/clarity-loop/clarity/services/ingress/internal/line"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/results"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/ingress/internal/streams"
	"github.com/clarity-loop/clarity/services/ingress/internal/synced"
	"github.com/clarity-loop/clarity/services/ingress/internal/uploads"
	"github.com/clarity-loop/clarity/services/ingress/internal/webhooks"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/webhook"
)

// Needs is everything the ingress needs. Every field is required but for those
// that say otherwise.
type Needs struct {
	Store *store.Store
	Blobs blob.Store
	Queue queue.Queue
	Keys  interface { // they destroy nothing
		keyring.Sealer
		keyring.Renewer
		keyring.Pseudonymizer
	}
	Verifier identity.Verifier // asked on every request: let it remember what it verified
	App      access.App        // says which apps are ours. Optional: without it every app is
	Audit    audit.Log

	// Writer puts facts into words on demand; Template does where the Writer's
	// text says more than the facts. They may be the same.
	Writer, Template narrative.Writer
	// Series reads the JSON of one series from the object that a day's record names.
	Series func(ctx context.Context, uid, object string, of health.UUID) ([]byte, error)
	// Plan is how the people are divided among a model's versions; false where
	// there is none yet. Optional: without it no model is asked.
	Plan func() (traffic.Plan, bool)
	// Ready says why the platform cannot serve now; nil always can. Optional.
	Ready func(ctx context.Context) error

	Registry *prometheus.Registry
	Traces   trace.Recorder // records what requests bring about. Optional: without it nothing is
	Logger   *slog.Logger
	Now      func() time.Time
	Limits   Limits
	// Space says why no upload can be taken in, where the disk is nearly full; reads
	// and erasures go on. Optional: without it there is always room.
	Space func() error
	// Grace is how long an erasure can be taken back; 0 begins it at once.
	Grace time.Duration
	// Proxies are the networks whose X-Forwarded-For is believed; Origins the web
	// origins whose pages may call. Both are empty where nobody is.
	Proxies []netip.Prefix
	Origins []string
	// ProxyProtocol says that those proxies tell with the PROXY protocol for whom each
	// connection is.
	ProxyProtocol bool
	// Woken says that somebody wakes devices that sleep: without, none is registered.
	Woken bool
	// MetricsApart says that somebody else serves the Registry: the API does not.
	MetricsApart bool
}

// validate tells every missing need at once.
func (n *Needs) validate() error {
	var missing []error
	need := func(name string, there bool) {
		if !there {
			missing = append(missing, fmt.Errorf("ingress needs %s", name))
		}
	}
	need("a Store", n.Store != nil)
	need("Blobs", n.Blobs != nil)
	need("a Queue", n.Queue != nil)
	need("Keys", n.Keys != nil)
	need("a Verifier", n.Verifier != nil)
	need("an Audit log", n.Audit != nil)
	need("a Writer", n.Writer != nil)
	need("a Template", n.Template != nil)
	need("Series", n.Series != nil)
	need("a Registry", n.Registry != nil)
	need("a Logger", n.Logger != nil)
	need("a clock (Now)", n.Now != nil)
	return errors.Join(append(missing, n.Limits.validate())...)
}

// A Server answers the API.
type Server struct {
	Needs
	table   []route.Route
	app     *fiber.App
	api     huma.API
	inner   fasthttp.RequestHandler
	openAPI []byte
	streams *streams.Streams

	base context.Context // ends when Shutdown begins
	stop context.CancelFunc
}

// New builds the server; Serve runs it.
func New(n Needs) (*Server, error) {
	if err := n.validate(); err != nil {
		return nil, err
	}
	s := &Server{Needs: n}
	s.base, s.stop = context.WithCancel(context.Background())
	if err := s.build(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// build makes the rooms, mounts their routes and puts the edge around them.
func (s *Server) build() error {
	failures := reply.Failures{Log: s.Logger}
	accounts := access.NewAccountCache(s.Store, s.Now, s.Limits.PersonTTL)
	var err error
	if s.table, err = s.routes(failures, accounts); err != nil {
		return err
	}
	outermost, err := edge.New(edge.Needs{
		Log: s.Logger, Registry: s.Registry, Now: s.Now, AddressRate: s.Limits.AddressRate, BodyBytes: s.Limits.BodyBytes,
		Pace:    edge.Pace{Bytes: int(float64(s.Limits.BodyRate) * s.Limits.BodyWindow.Seconds()), Window: s.Limits.BodyWindow},
		Proxies: s.Proxies, Origins: s.Origins, Routes: templates(s.table), Traces: s.Traces, Problem: failures.Problem,
	})
	if err != nil {
		return err
	}
	s.app = fiber.New(s.config(outermost.Unrouted))
	s.api = humafiber.New(s.app, frame())
	guard := access.NewGuard(access.Needs{
		Verifier: s.Verifier, App: s.App, Audit: s.Audit, Accounts: accounts, Now: s.Now, UserRate: s.Limits.UserRate,
		Timeout: s.Limits.HandlerTimeout, Base: s.base, Problem: failures.Problem,
	})
	host := route.Host{App: s.app, API: s.api, Problem: failures.Problem}
	for i := range s.table {
		r := &s.table[i]
		s.app.Add(r.Method, r.FiberPath(), guard.Handler(r))
		r.Mount(host, r, s.operation(r))
	}
	if s.openAPI, err = s.document(s.table); err != nil {
		return err
	}
	s.inner = s.app.Server().Handler
	s.app.Server().Handler = outermost.Around(s.inner)
	s.app.Server().HeaderReceived = edge.Unhurried
	return nil
}

// routes is every route of the API, a room after the other, in the order of
// the documentation.
func (s *Server) routes(failures reply.Failures, accounts *access.AccountCache) ([]route.Route, error) {
	st, l := s.Store, s.Limits
	var err error
	if s.streams, err = streams.New(l.WriteTimeout, s.Registry); err != nil {
		return nil, err
	}
	objects := vault.New(s.Blobs, s.Keys)
	up, err := uploads.New(uploads.Needs{
		Store: st, Uploads: st.Uploads, Objects: objects, Queue: s.Queue, Audit: s.Audit,
		Accounts: accounts, Registry: s.Registry, Now: s.Now, BodyBytes: l.BodyBytes, RecordBytes: l.RecordBytes, Timeout: l.HandlerTimeout, Space: s.Space, NoRoom: failures.NoRoom, Problem: failures.Problem,
	})
	if err != nil {
		return nil, err
	}
	res := results.New(results.Needs{
		Days: st.Days, Results: st.Results, Insights: st.Insights, Series: s.Series, Accounts: accounts,
		Words:          grounded.New(s.Writer, s.Template, nil, l.HandlerTimeout/2),
		InsightsPerDay: l.InsightsPerDay, OnDemand: allowance.New(st.Spent, allowance.OnDemand, l.InsightsPerDay, s.Now),
	})
	ev := events.New(events.Needs{
		Events: st.Events, Accounts: accounts, Streams: s.streams, Places: streams.NewPlaces(l.StreamsPerUser), Now: s.Now, Lifetime: l.StreamLifetime, Heartbeat: l.Heartbeat,
	})
	acc := account.New(account.Needs{
		Profiles: st.Profiles, Consents: st.Consents, Exports: st.Exports, Accounts: st.Accounts, Agenda: st.Agenda, Standing: st,
		Objects: objects, Keys: s.Keys, Grace: s.Grace, Audit: s.Audit, Cache: accounts,
		Streams: s.streams, Places: streams.NewPlaces(l.DownloadsPerUser), StreamLifetime: l.StreamLifetime, Failures: failures, Now: s.Now,
	})
	return slices.Concat(up.Routes(), synced.New(synced.Needs{Days: st.Days, Store: st}).Routes(), res.Routes(), ev.Routes(), acc.Routes(),
		devices.New(devices.Needs{Devices: st.Devices, Store: st, Accounts: accounts, Woken: s.Woken, Now: s.Now}).Routes(),
		webhooks.New(webhooks.Needs{Book: webhook.NewBook(st, s.Queue, s.Now), Audit: s.Audit, Now: s.Now}).Routes(), s.systemRoutes()), nil
}

// templates are the routes as the edge counts them.
func templates(table []route.Route) []edge.Route {
	all := make([]edge.Route, len(table))
	for i, r := range table {
		all[i] = edge.Route{Method: r.Method, Path: r.Path}
	}
	return all
}

// closing is how many connections may still be at their end when others have
// taken their places.
const closing = 64 << 10

func (s *Server) config(unrouted fiber.ErrorHandler) fiber.Config {
	return fiber.Config{
		Immutable:                    true,
		CaseSensitive:                true,
		StrictRouting:                true,
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true,
		StreamRequestBody:            true, // nobody's body is read before they are known
		BodyLimit:                    s.Limits.BodyBytes,
		Concurrency:                  s.Limits.Connections + closing, // bounded, with an answer, by the listener
		ReadTimeout:                  s.Limits.ReadTimeout,
		WriteTimeout:                 s.Limits.WriteTimeout,
		IdleTimeout:                  s.Limits.IdleTimeout,
		ErrorHandler:                 unrouted,
	}
}

// Handler answers one request as Serve does, for who has no listener.
func (s *Server) Handler() fasthttp.RequestHandler {
	_ = s.app.Handler() // for what it does on the way: the routes are put in order
	return s.app.Server().Handler
}

// OpenAPI is the description of the API, as /openapi.json serves it.
func (s *Server) OpenAPI() []byte { return s.openAPI }

// Serve answers on the listener until Shutdown. Connections beyond the limit
// are told so and closed.
func (s *Server) Serve(l net.Listener) error {
	// A Shutdown that comes before the server knows its listener closes it, too.
	own := line.Bounded(l, line.Bound{
		Most: s.Limits.Connections, PerAddress: s.Limits.PerAddress, FirstByte: s.Limits.FirstByte, Unacked: s.Limits.Unacked, Proxies: s.Proxies, ProxyProtocol: s.ProxyProtocol,
	}.Within(line.Files(), s.Logger))
	s.app.Server().ConnState = own.State
	defer context.AfterFunc(s.base, func() { _ = own.Close() })()
	if err := s.app.Listener(own); err != nil && s.base.Err() == nil {
		return fmt.Errorf("serve the API on %s: %w", l.Addr(), err)
	}
	return nil
}

// Shutdown ends the streams, stops accepting and waits for running requests, at
// most until ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	err := s.app.ShutdownWithContext(ctx)
	done := make(chan struct{})
	go func() { s.streams.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("shut the ingress down: %w", err)
	}
	return nil
}
