package platform

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// serveProfiles serves /debug/pprof on a listener of its own.
func serveProfiles(l net.Listener) Runner {
	s := &http.Server{Handler: profiles(), ReadHeaderTimeout: 5 * time.Second}
	return serve("pprof", l, s)
}

// serve runs a server on a listener of its own until it is told to stop.
func serve(name string, l net.Listener, s *http.Server) Runner {
	return Runner{Name: name, Once: true, Run: func(ctx context.Context) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return errors.Join(s.Close(), ignoreServerClosed(<-served))
		}
	}}
}

func ignoreServerClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}
