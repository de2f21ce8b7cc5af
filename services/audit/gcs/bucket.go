package gcs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/clarity-loop/clarity/services/audit/internal/chain"
	"github.com/clarity-loop/clarity/services/fault"
)

const (
	attempt = 2 * time.Second // one request to write takes at most
	page    = 1000
	// longest is how much of an object is read: as much as a writer may make.
	longest = flushLimit*chain.MaxLine + 1<<16
)

// What becomes of a request besides what it is for. None says which object.
var (
	errNone  = errors.New("there is no such object")
	errTaken = errors.New("another object has the name")
)

// bucket is a bucket whose objects come and stay.
type bucket struct{ handle *storage.BucketHandle }

// create has the object be there as it is. The context bounds how often it is tried:
// of an attempt that nobody knows the outcome of, the next learns it. errTaken says
// that another is there.
func (b bucket) create(ctx context.Context, name string, data []byte) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := b.insert(ctx, name, data)
		if status(err) == http.StatusPreconditionFailed {
			err = b.own(ctx, name, data)
		}
		switch {
		case err == nil, errors.Is(err, errTaken):
			return err
		case refused(err):
			return failed(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return failed(err)
		}
	}
}

// insert is one attempt.
func (b bucket) insert(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel() // the writer ends with it, however it ends
	w := b.handle.Object(name).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ChunkSize, w.ContentType = 0, "application/octet-stream"
	w.CRC32C, w.SendCRC32C = sum(data), true
	_, err := w.Write(data)
	if closed := w.Close(); err == nil || status(closed) != 0 { // what the service says is why the write broke
		err = closed
	}
	if err == nil && (w.Attrs().CRC32C != w.CRC32C || w.Attrs().Size != int64(len(data))) {
		return errTaken // it is not what was sent
	}
	return err
}

// own is nil where the object that has the name is this one: an attempt before, whose
// outcome nobody knew, has made it.
func (b bucket) own(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	there, err := b.get(ctx, name)
	if err == nil && !bytes.Equal(there, data) {
		return errTaken
	}
	return err
}

// get is one attempt to read what the object holds.
func (b bucket) get(ctx context.Context, name string) ([]byte, error) {
	r, err := b.handle.Object(name).NewReader(ctx)
	if err != nil {
		if status(err) == http.StatusNotFound && !noBucket(err) {
			return nil, errNone
		}
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, longest))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if sum(data) != r.Attrs.CRC32C {
		return nil, &fault.Error{Room: room, Op: "read", Class: fault.Broken, Code: "another checksum"}
	}
	return data, nil
}

// sum is the checksum that Cloud Storage has of objects.
func sum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// status is that of the service's answer, 0 where there was none.
func status(err error) int {
	var answer *googleapi.Error
	switch {
	case errors.As(err, &answer):
		return answer.Code
	case errors.Is(err, storage.ErrObjectNotExist), errors.Is(err, storage.ErrBucketNotExist):
		return http.StatusNotFound
	}
	return 0
}

// noBucket says whether it is the bucket that is not there.
func noBucket(err error) bool {
	var answer *googleapi.Error
	return errors.Is(err, storage.ErrBucketNotExist) ||
		errors.As(err, &answer) && (strings.Contains(answer.Message, "specified bucket") || strings.Contains(answer.Body, "specified bucket"))
}

// refused says whether the service has answered that it will not, now or later.
func refused(err error) bool {
	switch status(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return true
	}
	return false
}

// failed is a fault without the client's words, which name objects.
func failed(err error) error {
	var is *fault.Error
	if err == nil || errors.As(err, &is) {
		return err
	}
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return ended
		}
	}
	a := answer{class: fault.Unavailable, code: "no answer"}
	switch code := status(err); {
	case code == http.StatusNotFound && noBucket(err):
		a.code = "no bucket"
	case code == http.StatusTooManyRequests:
		a.class, a.code = fault.Limit, fmt.Sprint(code)
	case code != 0:
		a.code = fmt.Sprint(code)
	}
	return a
}

// An answer is the service's, without its text.
type answer struct {
	class fault.Class
	code  string
}

// Error says the code.
func (a answer) Error() string { return "Cloud Storage: " + a.code }

// FaultClass is for package fault.
func (a answer) FaultClass() (fault.Class, string) { return a.class, a.code }
