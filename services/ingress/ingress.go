// Package ingress is the platform's front door: the REST API under /v1.
//
// One file lists every route (routes.go). A request walks four steps: the edge
// (edge.go: framing, address limit, log line, metrics, panics), the guard
// (guard.go: who asks, whether they may, their rate, their account), the
// handler, and the one place that renders a failure (failure.go). Handlers are
// typed and described by huma, which also writes the OpenAPI document; the
// upload, the one hot route, reads its body itself.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// Deps is everything the ingress needs. Every field is required but for those
// that say otherwise.
type Deps struct {
	Store    *store.Store
	Blobs    blob.Store
	Queue    queue.Queue
	Keys     keyring.Keyring
	Verifier identity.Verifier // asked on every request: let it remember what it verified
	Audit    audit.Log

	// Writer puts facts into words on demand; Template does where the Writer's
	// text fails Grounded. They may be the same.
	Writer, Template narrative.Writer
	// Grounded says why a text says more than its facts, or nil.
	Grounded func(facts []analysis.Fact, claims []analysis.Claim) error
	// Samples reads the samples of one day, for an export.
	Samples func(ctx context.Context, uid string, day record.Day) ([]health.Sample, error)
	// Ready says why the platform cannot serve now; nil always can. Optional.
	Ready func(ctx context.Context) error

	Registry *prometheus.Registry
	Logger   *slog.Logger
	Now      func() time.Time
	Limits   Limits
	Version  string // of the build, for the OpenAPI document
	// AdminElsewhere keeps /metrics off this listener: serve Admin on another.
	AdminElsewhere bool
}

// validate tells every missing need at once.
func (d *Deps) validate() error {
	var missing []error
	need := func(name string, there bool) {
		if !there {
			missing = append(missing, fmt.Errorf("ingress needs %s", name))
		}
	}
	need("a Store", d.Store != nil)
	need("Blobs", d.Blobs != nil)
	need("a Queue", d.Queue != nil)
	need("Keys", d.Keys != nil)
	need("a Verifier", d.Verifier != nil)
	need("an Audit log", d.Audit != nil)
	need("a Writer", d.Writer != nil)
	need("a Template", d.Template != nil)
	need("Grounded", d.Grounded != nil)
	need("Samples", d.Samples != nil)
	need("a Registry", d.Registry != nil)
	need("a Logger", d.Logger != nil)
	need("a clock (Now)", d.Now != nil)
	return errors.Join(append(missing, d.Limits.validate())...)
}

// A Server answers the API.
type Server struct {
	Deps
	app     *fiber.App
	api     huma.API
	inner   fasthttp.RequestHandler
	openAPI []byte
	metrics *metrics
	people  *people

	byAddress              *limit.Limiter[addressKey]
	byUser                 *limit.Limiter[string]
	insights               *budget
	streams                *streams
	bodies                 *semaphore.Weighted // bytes of large bodies being read
	inflating              *semaphore.Weighted // bytes that bodies may inflate to, together
	bodyPool, inflatedPool *pool

	base context.Context // ends when Shutdown begins
	stop context.CancelFunc
	busy sync.WaitGroup // streams and background work
}

// New builds the server; Serve runs it.
func New(d Deps) (*Server, error) {
	if err := d.validate(); err != nil {
		return nil, err
	}
	base, stop := context.WithCancel(context.Background())
	s := &Server{
		Deps:      d,
		people:    newPeople(d.Store, d.Now, d.Limits.PersonTTL),
		byAddress: limit.New[addressKey](d.Limits.AddressRate, rememberedAddresses, d.Now),
		byUser:    limit.New[string](d.Limits.UserRate, rememberedUsers, d.Now),
		insights:  newBudget(d.Limits.InsightsPerDay, d.Now),
		streams:   newStreams(d.Limits.StreamsPerUser),
		bodies:    semaphore.NewWeighted(2 * int64(d.Limits.BodyBytes)),
		inflating: semaphore.NewWeighted(inflatingAtOnce),
		bodyPool:  newPool(pooledBody), inflatedPool: newPool(2 * pooledBody),
		base: base,
		stop: stop,
	}
	table := s.routes()
	var err error
	if s.metrics, err = newMetrics(d.Registry, table); err != nil {
		stop()
		return nil, err
	}
	s.app = fiber.New(fiber.Config{
		Immutable:                    true,
		CaseSensitive:                true,
		StrictRouting:                true,
		DisableStartupMessage:        true,
		DisablePreParseMultipartForm: true,
		StreamRequestBody:            true, // nobody's body is read before they are known
		BodyLimit:                    d.Limits.BodyBytes,
		Concurrency:                  2 * d.Limits.Connections, // bounded, with an answer, by the listener
		ReadTimeout:                  d.Limits.ReadTimeout,
		WriteTimeout:                 d.Limits.WriteTimeout,
		IdleTimeout:                  d.Limits.IdleTimeout,
		ErrorHandler:                 s.unrouted,
	})
	s.api = humafiber.New(s.app, describe(d.Version))
	for i := range table {
		s.mount(&table[i])
	}
	if s.openAPI, err = s.document(table); err != nil {
		stop()
		return nil, err
	}
	s.inner = s.app.Server().Handler
	s.app.Server().Handler = s.edge
	return s, nil
}

// OpenAPI is the description of the API, as /openapi.json serves it.
func (s *Server) OpenAPI() []byte { return s.openAPI }

// Serve answers on the listener until Shutdown. Connections beyond the limit
// are told so and closed.
func (s *Server) Serve(l net.Listener) error {
	// A Shutdown that comes before the server knows its listener closes it, too.
	own := bounded(l, s.Limits.Connections)
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
	go func() { s.busy.Wait(); close(done) }()
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

// Admin serves /metrics, /healthz and /readyz for a listener of their own.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if s.ready(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return mux
}
