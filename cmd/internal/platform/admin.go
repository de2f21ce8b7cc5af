package platform

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// probed is how long a probe waits for what it asks.
const probed = 5 * time.Second

// serveAdmin serves probes and metrics on a listener of their own: what crowds the
// API crowds no probe, and who reaches the API reads no metrics.
func (p *Platform) serveAdmin(l net.Listener, r *prometheus.Registry) Runner {
	s := &http.Server{Handler: p.admin(r), ReadHeaderTimeout: probed, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	return serve("admin", l, s)
}

func (p *Platform) admin(r *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	alive := func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, "ok") }
	mux.HandleFunc("GET /livez", alive)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), probed)
		defer cancel()
		without, err := p.look(ctx)
		switch {
		case err != nil:
			w.Header().Set("Retry-After", "1")
			tell(w, http.StatusServiceUnavailable, "unavailable")
		case without:
			tell(w, http.StatusOK, "degraded")
		default:
			tell(w, http.StatusOK, "ok")
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

// tell says how it is, and not why: that is in the log.
func tell(w http.ResponseWriter, status int, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"status":"`+what+`"}`+"\n") // a peer that is gone asks no more
}

// look asks whether there is something useful that the process can do now, and whether it
// does so without something. A process that is stopping has nothing to do.
func (p *Platform) look(ctx context.Context) (without bool, err error) {
	if err := p.stopping.err(); err != nil {
		return false, err
	}
	if p.env.Writing != nil {
		if err := p.env.Writing(); err != nil {
			return false, err
		}
	}
	without, err = p.readiness.look(ctx)
	return without || p.env.Space != nil && p.env.Space() != nil, err
}

// ready is look for who asks only whether there is.
func (p *Platform) ready(ctx context.Context) error {
	_, err := p.look(ctx)
	return err
}
