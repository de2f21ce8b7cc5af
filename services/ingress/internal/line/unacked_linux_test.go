package line

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A peer that acknowledges nothing is given up on.
func TestThePatienceWithWhatIsNotAcknowledged(t *testing.T) {
	w := newWorld(t, Bound{Most: 9, PerAddress: 9, FirstByte: time.Minute, Unacked: 30 * time.Second})
	_, served := w.dial()
	raw, err := served.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if err := raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || got != 30_000 {
		t.Errorf("%d ms, %v", got, err)
	}
}
