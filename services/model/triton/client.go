package triton

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/clarity-loop/clarity/services/model"
)

// The defaults of Options.
const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 4
	defaultRefresh  = 5 * time.Second
	// dialTimeout bounds Dial where its context does not.
	dialTimeout = 30 * time.Second
)

// A Version is what a Client insists on.
type Version struct {
	// Model is the model's name at the server.
	Model string
	// Digest is the version's identity, "sha256:…".
	Digest string
}

// Options choose how a Client works; the zero value is right inside a cluster.
type Options struct {
	// Timeout bounds a call of Infer, all its attempts together; 0 is ten
	// seconds. A context that ends sooner does.
	Timeout time.Duration
	// Attempts is how many replicas are asked where they answer that they are
	// unavailable, a full queue for one; 0 is four. A replica whose connection
	// broke does not count: another one is asked until the time is over.
	Attempts int
	// Lookup returns the addresses, host:port, of the replicas behind an
	// endpoint; nil asks the system's resolver for the endpoint's host, which a
	// headless service answers with every ready pod.
	Lookup func(ctx context.Context, endpoint string) ([]string, error)
	// Refresh is how often Lookup is asked; 0 is five seconds.
	Refresh time.Duration
	// Dialer opens a connection to an address; nil is TCP.
	Dialer func(ctx context.Context, address string) (net.Conn, error)
	// Credentials secure the connections; nil leaves them plain, as inside a
	// namespace whose network policies let only workers in.
	Credentials credentials.TransportCredentials
	// Log is told of replicas that are refused; nil is nobody.
	Log *slog.Logger
}

// A Client is one version behind one endpoint. It keeps the model contract.
//
// Each replica has one connection. On it the server has to show the version's
// papers before any request goes there, and again on every new connection: an
// address may belong to another version's pod by then. Requests go to the
// replicas in turn.
type Client struct {
	want     Version
	options  Options
	version  served
	replicas *replicas
	buffers  sync.Pool
}

// Dial connects to the replicas behind the endpoint, host:port with or without
// "dns:///" before it, and returns when one of them has shown that it serves the
// version. It refuses, with a *model.Refusal, where every one that answers
// serves something else.
func Dial(ctx context.Context, endpoint string, want Version, o Options) (*Client, error) {
	endpoint = strings.TrimPrefix(endpoint, "dns:///")
	if _, _, err := net.SplitHostPort(endpoint); err != nil {
		return nil, fmt.Errorf("dial model %q: %w", want.Model, err)
	}
	if want.Model == "" || want.Digest == "" {
		return nil, fmt.Errorf("dial model %q at %s: say its name and its digest", want.Model, endpoint)
	}
	o.Timeout, o.Attempts, o.Refresh = cmp.Or(o.Timeout, defaultTimeout), cmp.Or(o.Attempts, defaultAttempts), cmp.Or(o.Refresh, defaultRefresh)
	if o.Lookup == nil {
		o.Lookup = lookup
	}
	if o.Dialer == nil {
		o.Dialer = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	if o.Credentials == nil {
		o.Credentials = insecure.NewCredentials()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{want: want, options: o, replicas: watch(endpoint, want, o)}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	version, err := c.replicas.first(ctx)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("dial model %q at %s: %w", want.Model, endpoint, err)
	}
	c.version = version
	return c, nil
}

// Identity says which version this is.
func (c *Client) Identity() model.Identity { return c.version.identity }

// Ready is how many replicas may be asked now.
func (c *Client) Ready() int { return len(*c.replicas.ready.Load()) }

// Close waits for the calls that run and ends the connections; no call may follow.
func (c *Client) Close() { c.replicas.close() }

// lookup is a headless service's pods, as the system's resolver tells them.
func lookup(ctx context.Context, endpoint string) ([]string, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{endpoint}, nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	for i := range found {
		found[i] = net.JoinHostPort(found[i], port)
	}
	return found, nil
}

// refusal is the model's refusal in err, if there is one.
func refusal(err error) bool {
	var r *model.Refusal
	return errors.As(err, &r)
}
