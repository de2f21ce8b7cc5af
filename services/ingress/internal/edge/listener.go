package edge

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// Bounded holds no more than most connections at a time and tells the others to
// come again.
func Bounded(l net.Listener, most int) net.Listener {
	body := problem.New(problem.Unavailable, "too many connections are open").JSON()
	full := "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: " + problem.ContentType +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + string(body)
	return &boundedListener{Listener: l, slots: make(chan struct{}, most), full: []byte(full), close: sync.OnceValue(l.Close)}
}

type boundedListener struct {
	net.Listener
	slots chan struct{}
	full  []byte
	close func() error
}

// Close closes the listener; a second Close has the same outcome.
func (l *boundedListener) Close() error { return l.close() }

// Accept waits for the next connection that has a slot.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &slottedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
		}
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // an empty send buffer takes it at once
		_, _ = c.Write(l.full)
		_ = c.Close()
	}
}

// slottedConn gives its slot back when it is closed.
type slottedConn struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *slottedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
