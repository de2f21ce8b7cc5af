package gcs

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/clarity-loop/clarity/services/fault"
)

// A read that may go well the next time is tried again.
const (
	tries     = 5
	readTime  = 30 * time.Second // one takes at most
	readPause = 200 * time.Millisecond
)

// patiently is what do comes to, tried again, ever later, where a try ended in what may
// pass: no answer, too many requests, a fault of the service's, bytes that are not those that
// were written. What it was refused, or is not there, is told at once.
func patiently[T any](ctx context.Context, do func(ctx context.Context) (T, error)) (v T, err error) {
	for try, pause := 1, readPause; ; try, pause = try+1, 2*pause {
		asking, cancel := context.WithTimeout(ctx, readTime)
		v, err = do(asking)
		cancel()
		if err == nil || try == tries || ctx.Err() != nil || !passes(err) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(pause):
		}
	}
}

// passes says whether a read that failed so may go well later.
func passes(err error) bool {
	var is *fault.Error
	switch code := status(err); {
	case errors.Is(err, errNone):
		return false
	case errors.As(err, &is):
		return true // another checksum
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		return true
	default:
		return code == 0 || code >= http.StatusInternalServerError
	}
}

// read is what the object holds.
func (b bucket) read(ctx context.Context, name string) ([]byte, error) {
	data, err := patiently(ctx, func(ctx context.Context) ([]byte, error) { return b.get(ctx, name) })
	if errors.Is(err, errNone) {
		return nil, err
	}
	return data, failed(err)
}

// names are those of objects from one on, in byte order: a page of them at most.
func (b bucket) names(ctx context.Context, prefix, from string, most int) ([]string, error) {
	return b.list(ctx, &storage.Query{Prefix: prefix, StartOffset: from}, most, most)
}

// folders are what stands before the next slash, of all objects from one on.
func (b bucket) folders(ctx context.Context, prefix, from string) ([]string, error) {
	return b.list(ctx, &storage.Query{Prefix: prefix, StartOffset: from, Delimiter: "/"}, page, 0)
}

// list is of most names, 0 being all.
func (b bucket) list(ctx context.Context, q *storage.Query, size, most int) (names []string, err error) {
	q.Projection = storage.ProjectionNoACL
	_ = q.SetAttrSelection([]string{"Name", "Prefix"}) // which it has
	type part struct {
		objects []*storage.ObjectAttrs
		next    string
	}
	from := ""
	for {
		got, err := patiently(ctx, func(ctx context.Context) (p part, err error) {
			p.next, err = iterator.NewPager(b.handle.Objects(ctx, q), size, from).NextPage(&p.objects)
			return p, err
		})
		if err != nil {
			return nil, failed(err)
		}
		for _, is := range got.objects {
			names = append(names, is.Name+is.Prefix) // one of them is empty
		}
		if from = got.next; from == "" || most > 0 && len(names) >= most {
			return names, nil
		}
	}
}
