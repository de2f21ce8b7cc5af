package line

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"
)

// scarce gives no connection for want of files a few times, and then what there is.
type scarce struct {
	net.Listener
	left int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.left--; s.left >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

// A listener that has no more files goes on, at the cost of who has been idle for longest;
// one that is closed is at its end.
func TestAListenerGoesOnWithoutFiles(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	few := &scarce{Listener: inner}
	l := Bounded(few, Bound{Most: 8, PerAddress: 8, FirstByte: time.Minute})
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	idle := dial()
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	few.left = 3
	dial()
	if _, err := l.Accept(); err != nil {
		t.Fatalf("without files: %v", err)
	}
	_ = idle.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		t.Errorf("who was idle is still there: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func isTimeout(err error) bool {
	var is net.Error
	return errors.As(err, &is) && is.Timeout()
}

func TestConnectionsAreWithinTheFiles(t *testing.T) {
	for files, want := range map[int][2]int{20_000: {4096, 512}, 1024: {768, 384}, 400: {272, 136}, 100: {16, 8}} {
		if b := (Bound{Most: 4096, PerAddress: 512}).Within(files, slog.New(slog.DiscardHandler)); b.Most != want[0] || b.PerAddress != want[1] {
			t.Errorf("%d files: %d connections, %d of one address; want %v", files, b.Most, b.PerAddress, want)
		}
	}
	if n := Files(); n < 16 {
		t.Errorf("%d files", n)
	}
}
