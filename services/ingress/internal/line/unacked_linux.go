package line

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter has the kernel end the connection once what was sent on it was not
// acknowledged for so long: a heartbeat of a few bytes fills no buffer.
func giveUpAfter(c net.Conn, d time.Duration) {
	tcp, is := c.(*net.TCPConn)
	if !is || d <= 0 {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // it is closed already
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
