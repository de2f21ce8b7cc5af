package firestore

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clarity-loop/clarity/services/fault"
)

// An answer is the service's refusal, or its silence: the code and nothing of its
// words, which name documents.
type answer struct{ code codes.Code }

func (a answer) Error() string { return "firestore answered " + a.code.String() }

// FaultClass is what can be done about it.
func (a answer) FaultClass() (fault.Class, string) {
	switch a.code {
	case codes.ResourceExhausted:
		return fault.Limit, a.code.String()
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Broken, a.code.String()
	default:
		return fault.Unavailable, a.code.String()
	}
}

// answered is what a call came to, without the words; the context's own error where
// that has ended.
func answered(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return answer{status.Code(err)}
}

// errDamaged is of a document that this driver did not write so.
var errDamaged = &fault.Error{Room: "store", Op: "read", Class: fault.Broken, Code: "fields"}
