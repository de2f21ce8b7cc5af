// Package redial is how soon a client of a service that was away dials again: the longer
// an outage lasts the more rarely gRPC tries by itself, in the end every two minutes, and
// for so long every process goes on as if it still lasted.
package redial

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Most is between two attempts at the most, but for a fifth more by chance.
const Most = 4 * time.Second

// Soon has a connection be dialled again within Most.
func Soon() grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 250 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: Most},
		MinConnectTimeout: 10 * time.Second,
	})
}
