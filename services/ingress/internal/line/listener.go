// Package line is the ingress's connections: how many there are, of whom, and for
// how long one may say nothing. It knows no request.
package line

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// What is not worth a setting.
const (
	discardAtMost = 64 << 20 // of what is unread
	discardFor    = 2 * time.Second
)

// A Bound is how many connections there are at a time, and for how long one may
// say nothing.
type Bound struct {
	Most       int           // open at a time
	PerAddress int           // of them from one address (IPv6: one /64); trusted proxies aside
	FirstByte  time.Duration // from a connection's opening to its first byte
	Unacked    time.Duration // how long what was sent may go unacknowledged until the peer counts as gone
	Proxies    Proxies       // whose connections are many people's
	// ProxyProtocol says that the proxies say for whom a connection is in its first
	// bytes (the PROXY protocol, versions 1 and 2). Of nobody else is that believed.
	ProxyProtocol bool
}

// A Listener holds as many connections as its Bound says. Where it is full, the
// one that has been idle for longest goes; where none is idle, who comes is told
// to come again.
type Listener struct {
	net.Listener
	bound Bound
	full  []byte
	close func() error

	mu        sync.Mutex
	open      int
	byAddress map[netip.Addr]int
	idle      list.List // of *Conn, the one that has been idle for longest first
}

// Bounded is the listener within the bound.
func Bounded(l net.Listener, b Bound) *Listener {
	body := problem.New(problem.Unavailable, "too many connections are open").JSON()
	full := "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: " + problem.ContentType +
		"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + string(body)
	return &Listener{Listener: l, bound: b, full: []byte(full), close: sync.OnceValue(l.Close), byAddress: map[netip.Addr]int{}}
}

// Close closes the listener; a second Close has the same outcome.
func (l *Listener) Close() error { return l.close() }

// Accept waits for the next connection that there is room for.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		one, loser := l.admit(c)
		if loser != nil {
			_ = loser.Conn.Close()
		}
		if one != nil {
			giveUpAfter(c, l.bound.Unacked)
			if l.bound.ProxyProtocol && l.bound.Proxies.Trust(c.RemoteAddr()) {
				one.Conn = proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.USE), proxyproto.SetReadHeaderTimeout(l.bound.FirstByte))
			}
			return one, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // an empty send buffer takes it at once
		_, _ = c.Write(l.full)
		_ = c.Close()
	}
}

// The time between two tries where the system has nothing left for a connection.
const (
	leastPause = 5 * time.Millisecond
	mostPause  = time.Second
)

// accept waits for the next connection. Where the system has none to give, for want of
// files or memory, the one that has been idle for longest goes, and it tries again: that
// is no end of the listener.
func (l *Listener) accept() (net.Conn, error) {
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		c, err := l.Listener.Accept()
		if err == nil || !passing(err) {
			return c, err
		}
		l.mu.Lock()
		loser := l.longestIdle(func(*Conn) bool { return true })
		if loser != nil {
			l.leave(loser)
		}
		l.mu.Unlock()
		if loser != nil {
			_ = loser.Conn.Close()
		}
		time.Sleep(pause)
	}
}

func passing(err error) bool {
	for _, is := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// admit makes room for the connection, if need be by the loss of an idle one;
// nil where there is none.
func (l *Listener) admit(c net.Conn) (one, loser *Conn) {
	one = &Conn{Conn: c, of: l, opened: time.Now(), address: addressOf(c.RemoteAddr())}
	one.counted = one.address.IsValid() && !l.bound.Proxies.Trust(c.RemoteAddr())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case one.counted && l.byAddress[one.address] >= l.bound.PerAddress:
		loser = l.longestIdle(func(other *Conn) bool { return other.counted && other.address == one.address })
	case l.open >= l.bound.Most:
		loser = l.longestIdle(func(*Conn) bool { return true })
	default:
		l.enter(one)
		return one, nil
	}
	if loser == nil {
		return nil, nil
	}
	l.leave(loser)
	l.enter(one)
	return one, loser
}

func (l *Listener) longestIdle(of func(*Conn) bool) *Conn {
	for e := l.idle.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*Conn); of(c) {
			return c
		}
	}
	return nil
}

// enter counts the connection, which is idle until it says something. The caller
// holds mu; so for leave.
func (l *Listener) enter(c *Conn) {
	l.open++
	if c.counted {
		l.byAddress[c.address]++
	}
	c.place = l.idle.PushBack(c)
	c.quiet.Store(true)
}

func (l *Listener) leave(c *Conn) {
	if c.left {
		return
	}
	c.left = true
	l.busy(c)
	l.open--
	if c.counted {
		if l.byAddress[c.address]--; l.byAddress[c.address] == 0 {
			delete(l.byAddress, c.address)
		}
	}
}

func (l *Listener) busy(c *Conn) {
	c.quiet.Store(false)
	if c.place != nil {
		l.idle.Remove(c.place)
		c.place = nil
	}
}

// State is told by the server of each change of a connection's: one between two
// requests is idle.
func (l *Listener) State(c net.Conn, s fasthttp.ConnState) {
	one, ours := c.(*Conn)
	if !ours || s != fasthttp.StateIdle {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !one.left && one.place == nil {
		one.place = l.idle.PushBack(one)
		one.quiet.Store(true)
	}
}

// A Conn is a connection that is counted.
type Conn struct {
	net.Conn
	of      *Listener
	opened  time.Time
	address netip.Addr
	counted bool // at its address

	quiet  atomic.Bool // it is among the idle
	heard  bool        // it has said something. With wrote, of the server's goroutine alone
	wrote  bool        // something was sent since the last reply was made
	until  time.Time   // the deadline of its reads, as the server set it
	unread atomic.Bool // it is closed before its request was read to the end

	place *list.Element // among the idle; nil while it is not. With left, under of.mu
	left  bool
}

// SetReadDeadline sets it, but for the first byte, which has a bound of its own.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.until = t
	if first := c.opened.Add(c.of.bound.FirstByte); !c.heard && (t.IsZero() || first.Before(t)) {
		t = first
	}
	return c.Conn.SetReadDeadline(t)
}

// Read reads, and takes the connection from the idle ones once something came.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.quiet.Load() {
		c.of.mu.Lock()
		c.of.busy(c)
		c.of.mu.Unlock()
		if !c.heard {
			c.heard = true
			_ = c.Conn.SetReadDeadline(c.until) // where it fails, so does the next read
		}
	}
	return n, err
}

// Unread says that the connection is closed before its request was read to the
// end. What the peer still sends of it is then taken in before, within bounds, lest
// the refusal is lost in a reset.
func (c *Conn) Unread() { c.unread.Store(true) }

// Replying says that a reply was made, and is not sent yet.
func (c *Conn) Replying() { c.wrote = false }

// Replied says whether that reply is on its way.
func (c *Conn) Replied() bool { return c.wrote }

// Write writes.
func (c *Conn) Write(p []byte) (int, error) {
	c.wrote = true
	return c.Conn.Write(p)
}

// Close closes the connection.
func (c *Conn) Close() error {
	if c.unread.CompareAndSwap(true, false) {
		c.discard()
	}
	c.of.mu.Lock()
	c.of.leave(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (c *Conn) discard() {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		_ = half.CloseWrite()
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(discardFor))
	var scrap [4096]byte
	for taken := 0; taken < discardAtMost; {
		n, err := c.Conn.Read(scrap[:])
		taken += n
		if err != nil {
			return
		}
	}
}
