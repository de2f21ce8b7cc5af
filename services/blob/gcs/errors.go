package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
)

const (
	notFound           = http.StatusNotFound
	preconditionFailed = http.StatusPreconditionFailed
)

// status is that of the service's answer, 0 where there was none.
func status(err error) int {
	var answer *googleapi.Error
	switch {
	case errors.As(err, &answer):
		return answer.Code
	case errors.Is(err, storage.ErrObjectNotExist), errors.Is(err, storage.ErrBucketNotExist):
		return notFound
	}
	return 0
}

// failed is the fault of what the client met. Its cause is one of ours or that of the
// caller's context: the client's own names the object.
func failed(caller context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := caller.Err(); ended != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return blob.Fault(op, ended)
	}
	f := &fault.Error{Room: "blob", Op: op, Class: fault.Unavailable, Code: "no answer", Cause: blob.ErrUnavailable}
	switch code := status(err); {
	case code == notFound && noBucket(err):
		f.Code = "no bucket"
	case code == notFound:
		return blob.ErrNotFound
	case code == http.StatusTooManyRequests:
		f.Class, f.Code = fault.Limit, fmt.Sprint(code)
	case code != 0:
		f.Code = fmt.Sprint(code)
	}
	return f
}

// noBucket says whether it is the bucket that is not there: all its objects would
// seem to be gone.
func noBucket(err error) bool {
	var answer *googleapi.Error
	return errors.Is(err, storage.ErrBucketNotExist) ||
		errors.As(err, &answer) && (strings.Contains(answer.Message, "specified bucket") || strings.Contains(answer.Body, "specified bucket"))
}
