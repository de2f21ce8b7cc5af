package triton

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"

	"github.com/clarity-loop/clarity/services/model/triton/oip"
)

// The bounds of a connection. A request of mostWindows is 2.6 MB; papers with a
// scaler of a pair a minute are 0.5 MB.
const (
	maxMessage     = 8 << 20
	connectTimeout = 5 * time.Second
	// keepaliveTime is how long a call hears nothing before it asks whether the
	// server is there. Servers take it amiss if they are asked more often, or
	// without a call.
	keepaliveTime    = 20 * time.Second
	keepaliveTimeout = 5 * time.Second
)

// A link is one connection to one replica: verified once, and never another
// connection. It closes when the last that holds it lets go.
type link struct {
	conn    *grpc.ClientConn
	server  oip.GRPCInferenceServiceClient
	holders atomic.Int64
	closed  chan struct{}
}

var errOnce = errors.New("the connection is over")

// connect opens a connection and has the server show that it serves the version.
func connect(ctx context.Context, endpoint, address string, want Version, o Options) (*link, served, error) {
	var used atomic.Bool
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(o.Credentials), grpc.WithAuthority(endpoint),
		// gRPC would reconnect behind our back, to whoever has the address then.
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errOnce
			}
			return o.Dialer(ctx, address)
		}),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	)
	if err != nil {
		return nil, served{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	l := &link{conn: conn, server: oip.NewGRPCInferenceServiceClient(conn), closed: make(chan struct{})}
	l.holders.Store(1)
	version, err := inspect(ctx, l.server, want)
	if err != nil {
		l.release()
		return nil, served{}, err
	}
	return l, version, nil
}

// lasts returns when the connection has broken, the server drains it, or ctx ends.
func (l *link) lasts(ctx context.Context) {
	for state := l.conn.GetState(); state == connectivity.Ready; state = l.conn.GetState() {
		if !l.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

// broken says whether the connection takes no more calls.
func (l *link) broken() bool { return l.conn.GetState() != connectivity.Ready }

// acquire holds the connection; it is false where that is closed.
func (l *link) acquire() bool {
	for {
		n := l.holders.Load()
		if n == 0 {
			return false
		}
		if l.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *link) release() {
	if l.holders.Add(-1) == 0 {
		_ = l.conn.Close() // it ends, whatever it says
		close(l.closed)
	}
}
