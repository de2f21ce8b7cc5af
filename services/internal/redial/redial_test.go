package redial_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/clarity-loop/clarity/services/internal/redial"
)

// Whoever has been away for a while is dialled again soon: five times in five seconds,
// where gRPC by itself dials four times, and ever more rarely from then on.
func TestWhoWasAwayIsDialledAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var dialled atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			conn.Close()
		}
	}()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), redial.Soon())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for began := time.Now(); dialled.Load() < 5; time.Sleep(10 * time.Millisecond) {
		conn.Connect()
		if time.Since(began) > 5*time.Second {
			t.Fatalf("dialled %d times", dialled.Load())
		}
	}
}
