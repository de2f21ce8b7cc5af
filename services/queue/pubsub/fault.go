package pubsub

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
)

// faulted is queue.Fault, with the class that the gRPC code says.
func faulted(op string, err error) error {
	if err == nil || errors.Is(err, queue.ErrNoLetter) || errors.Is(err, queue.ErrNoSubscription) {
		return err
	}
	return queue.Fault(op, coded{err})
}

// coded is an error of the client's, in no words but its code: the client's own
// name topics, subscriptions and keys.
type coded struct{ cause error }

func (c coded) Error() string { return status.Code(c.cause).String() }

func (c coded) Unwrap() error { return c.cause }

// FaultClass is the class and the code's name.
func (c coded) FaultClass() (fault.Class, string) {
	code := status.Code(c.cause)
	switch code {
	case codes.ResourceExhausted:
		return fault.Limit, code.String()
	case codes.InvalidArgument, codes.OutOfRange, codes.DataLoss:
		return fault.Broken, code.String()
	}
	return fault.Unavailable, code.String()
}
