package emulated

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// How often the balancer asks a process whether it is ready, and how long it waits.
const (
	looksEvery = 500 * time.Millisecond
	looksFor   = time.Second
)

// A door is the balancer in front of the ingress: each request goes to the next process
// that is ready.
type door struct {
	url    string
	server *http.Server
	stop   context.CancelFunc
	looks  sync.WaitGroup
	behind []*behind
	turn   atomic.Uint64
}

// behind is a process behind the door.
type behind struct {
	*Replica
	at     *url.URL
	opened atomic.Bool
}

func open(ctx context.Context, replicas []*Replica) (*door, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{url: "http://" + l.Addr().String()}
	looking, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	for _, r := range replicas {
		b := &behind{Replica: r}
		if b.at, err = url.Parse(r.url); err != nil {
			stop()
			return nil, errors.Join(err, l.Close())
		}
		b.opened.Store(true)
		d.behind = append(d.behind, b)
	}
	for _, b := range d.behind {
		d.looks.Go(func() { b.look(looking) })
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(d.next()) },
		ErrorLog:      log.New(io.Discard, "", 0), // of streams that end with a process
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	d.server = &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	d.looks.Go(func() { _ = d.server.Serve(l) }) // until it is closed
	return d, nil
}

// look asks the process again and again.
func (b *behind) look(ctx context.Context) {
	for {
		asking, cancel := context.WithTimeout(ctx, looksFor)
		b.opened.Store(b.ready(asking) == nil)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(looksEvery):
		}
	}
}

// next is where a request goes; where nobody is ready, to whose turn it is.
func (d *door) next() *url.URL {
	turn := int(d.turn.Add(1) % uint64(len(d.behind))) //nolint:gosec // less than their number
	for i := range d.behind {
		if b := d.behind[(turn+i)%len(d.behind)]; b.opened.Load() {
			return b.at
		}
	}
	return d.behind[turn].at
}

func (d *door) close() error {
	d.stop()
	err := d.server.Close()
	d.looks.Wait()
	return err
}
