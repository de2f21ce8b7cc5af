package line

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

func TestWhatAConnectionCountsBy(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		a := netip.MustParseAddr(text)
		if got := addressOf(&net.TCPAddr{IP: a.WithZone("").AsSlice(), Zone: a.Zone()}); got.String() != want {
			t.Errorf("%s counts as %s, want %s", text, got, want)
		}
	}
	if got := addressOf(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("a socket counts as %s", got)
	}
}

// Only a trusted proxy says for whom it speaks, and what stands before its own
// word is believed as far as trusted ones wrote it.
func TestForWhomAProxySpeaks(t *testing.T) {
	trusted := Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	tests := map[string]struct {
		peer  string
		lines []string
		want  string
	}{
		"nobody's proxy":             {"192.0.2.1", []string{"198.51.100.7"}, "192.0.2.1"},
		"a proxy for a client":       {"10.0.0.1", []string{"198.51.100.7"}, "198.51.100.7"},
		"a client that made one up":  {"10.0.0.1", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		"a proxy behind a proxy":     {"10.0.0.1", []string{"198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"in two lines":               {"10.0.0.1", []string{"203.0.113.9", "198.51.100.7,10.0.0.2"}, "198.51.100.7"},
		"a proxy that says nothing":  {"10.0.0.1", nil, "10.0.0.1"},
		"a word that is no address":  {"10.0.0.1", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		"a client of a longer kind":  {"10.0.0.1", []string{"2a00:1:2:3:4:5:6:7"}, "2a00:1:2:3::"},
		"proxies and nobody else":    {"10.0.0.1", []string{"10.0.0.3"}, "10.0.0.3"},
		"a proxy of the longer kind": {"2001:db8::1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rc := &fasthttp.RequestCtx{}
			rc.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(tt.peer), Port: 1}, nil)
			for _, l := range tt.lines {
				rc.Request.Header.Add("X-Forwarded-For", l)
			}
			if got := trusted.Client(rc); got.String() != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// a world of connections to a bounded listener.
type world struct {
	*testing.T
	*Listener
	accepted chan net.Conn
}

func newWorld(t *testing.T, b Bound) *world {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, Bounded(inner, b), make(chan net.Conn, 10)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := w.Accept()
			if err != nil {
				return
			}
			w.accepted <- c
		}
	})
	t.Cleanup(func() {
		if err := errors.Join(w.Close(), w.Close()); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		group.Wait()
	})
	return w
}

// dial is a new connection, and what the listener was given of it.
func (w *world) dial() (client net.Conn, served *Conn) {
	w.Helper()
	c := w.dialAlone()
	return c, (<-w.accepted).(*Conn)
}

func (w *world) dialAlone() net.Conn {
	w.Helper()
	c, err := net.Dial("tcp", w.Addr().String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// speak has the client say something, which the server reads.
func speak(t *testing.T, client net.Conn, served *Conn) {
	t.Helper()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := served.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, errTimeout(err))
}

func errTimeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return err
	}
	return nil
}

func TestWhoIsServedStaysAndWhoComesIsTold(t *testing.T) {
	w := newWorld(t, Bound{Most: 1, PerAddress: 9, FirstByte: time.Minute})
	client, served := w.dial()
	speak(t, client, served)
	told, err := io.ReadAll(w.dialAlone())
	if err != nil || !strings.HasPrefix(string(told), "HTTP/1.1 503 ") || !strings.Contains(string(told), "Retry-After: 1\r\n") || !strings.HasSuffix(string(told), string(problem.New(problem.Unavailable, "too many connections are open").JSON())) {
		t.Errorf("%q %v", told, err)
	}
	_ = served.Close()
	_ = served.Close() // gives one place back, not two
	client, served = w.dial()
	speak(t, client, served)
	if told, _ := io.ReadAll(w.dialAlone()); !strings.Contains(string(told), "503") {
		t.Errorf("a place too many: %q", told)
	}
}

func TestWhoHasBeenIdleForLongestGoes(t *testing.T) {
	w := newWorld(t, Bound{Most: 3, PerAddress: 9, FirstByte: time.Minute})
	first, firstServed := w.dial()
	second, secondServed := w.dial()
	third, thirdServed := w.dial()
	speak(t, first, firstServed)
	speak(t, third, thirdServed)
	w.State(thirdServed, fasthttp.StateIdle) // between two requests: behind the second, which never spoke
	w.dial()
	if !closed(second) || secondServed.quiet.Load() {
		t.Error("the one that never spoke is there still")
	}
	w.dial()
	if !closed(third) {
		t.Error("the one between two requests is there still")
	}
	speak(t, first, firstServed)
	w.State(secondServed, fasthttp.StateIdle) // too late
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle.Len() != 2 || w.open != 3 {
		t.Errorf("%d of %d are idle", w.idle.Len(), w.open)
	}
}

func TestTheBoundOfAnAddress(t *testing.T) {
	w := newWorld(t, Bound{Most: 9, PerAddress: 1, FirstByte: time.Minute})
	client, served := w.dial()
	speak(t, client, served)
	if told, _ := io.ReadAll(w.dialAlone()); !strings.Contains(string(told), "503") {
		t.Errorf("an address' second: %q", told)
	}
	_ = served.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byAddress) != 0 {
		t.Errorf("%v are counted", w.byAddress)
	}
}

// A trusted proxy's connections are many people's.
func TestAProxyHasNoBound(t *testing.T) {
	w := newWorld(t, Bound{Most: 9, PerAddress: 1, FirstByte: time.Minute, Proxies: Proxies{netip.MustParsePrefix("127.0.0.0/8")}})
	for range 3 {
		client, served := w.dial()
		speak(t, client, served)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byAddress) != 0 || w.open != 3 {
		t.Errorf("%v are counted, %d open", w.byAddress, w.open)
	}
}

func TestTheFirstByteHasABoundOfItsOwn(t *testing.T) {
	w := newWorld(t, Bound{Most: 9, PerAddress: 9, FirstByte: 50 * time.Millisecond})
	_, silent := w.dial()
	if err := silent.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil || errTimeout(err) == nil {
		t.Errorf("a silent one: %v", err)
	}
	client, heard := w.dial()
	_ = heard.SetReadDeadline(time.Now().Add(time.Hour))
	speak(t, client, heard)
	go func() {
		time.Sleep(100 * time.Millisecond)
		_, _ = client.Write([]byte("y"))
	}()
	if _, err := heard.Read(make([]byte, 1)); err != nil {
		t.Errorf("once it was heard: %v", err)
	}
}

// What a refused client still sends is taken in, so that it reads why.
func TestWhatIsUnreadIsTakenIn(t *testing.T) {
	w := newWorld(t, Bound{Most: 9, PerAddress: 9, FirstByte: time.Minute})
	client, served := w.dial()
	speak(t, client, served)
	served.Unread()
	served.Replying()
	if served.Replied() {
		t.Error("replied before it did")
	}
	if _, err := served.Write([]byte("no")); err != nil || !served.Replied() {
		t.Errorf("%v, replied %v", err, served.Replied())
	}
	go served.Close()
	if _, err := client.Write(make([]byte, 1<<20)); err != nil {
		t.Errorf("what it sends after: %v", err)
	}
	_ = client.(*net.TCPConn).CloseWrite()
	if told, err := io.ReadAll(client); err != nil || string(told) != "no" {
		t.Errorf("%q %v", told, err)
	}
}
