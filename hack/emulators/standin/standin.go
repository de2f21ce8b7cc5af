// Package standin is what every program that stands in for a service of Google's has
// around what it serves: it listens, prints the address, and serves until it is told to
// stop.
package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main runs the program until it ends, or is told to by a signal; an error is printed under
// its name.
func Main(name string, run func(ctx context.Context, stdout io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// A Server serves a listener until it is stopped, which is no error; a grpc.Server is one.
type Server interface {
	Serve(l net.Listener) error
	Stop()
}

// Serve listens, prints the address as the first line, and serves until ctx is done.
func Serve(ctx context.Context, listen string, stdout io.Writer, s Server) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(stdout, l.Addr())
	go func() {
		<-ctx.Done()
		s.Stop()
	}()
	return s.Serve(l)
}

// HTTP is a Server that answers by the handler.
func HTTP(handler http.Handler) Server {
	return web{&http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}}
}

type web struct{ server *http.Server }

func (w web) Stop() { _ = w.server.Close() }

func (w web) Serve(l net.Listener) error {
	if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
