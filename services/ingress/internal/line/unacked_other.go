//go:build !linux

package line

import (
	"net"
	"time"
)

// giveUpAfter is Linux's alone: elsewhere the system's own patience decides.
func giveUpAfter(net.Conn, time.Duration) {}
