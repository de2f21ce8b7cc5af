// Package gcs keeps objects in one bucket of Cloud Storage, each under its own name
// with nothing before it, as application/octet-stream. A generation is the bucket's.
//
// # What a call costs
//
//	Put           1 class A    the whole object in one request, only if there is none, its CRC32C with it
//	Renew         1 class B and 1 class A: it is looked at, then copied onto itself as what was seen
//	Get           1 class B    the whole object in one request, its CRC32C checked
//	Stat, Delete  1 class B, 1 that costs nothing
//	List          1 class A    a thousand names
//	DeletePrefix  1 class A a thousand names, and a delete each, 32 at a time
//	Ready         1 class B, at most every ten seconds in which nothing was put or got
//
// The client's own retries are off, but for the rest of a Get whose connection
// breaks: it is asked for at the same generation. A call ends within CallTimeout;
// a DeletePrefix, of any number of objects, asks that for each of them.
//
// # The bucket
//
// A bucket that keeps what is deleted (soft delete, versions, a retention policy, holds) cannot keep
// the contract's word, and Open refuses it. What has served its time goes by the bucket's lifecycle,
// which is in config/gcs with the rest of how the bucket is to be. Objects are at most 5 TiB,
// far more than anybody puts, and one name changes at most once a second for long.
//
// # Errors
//
// A fault has the status of the answer for its code and none of its text, which names
// objects. 404 is ErrNotFound, unless the bucket is not there; 412 of a Put is
// ErrExists; 429 is a limit; bytes that do not match their CRC32C are ErrCorrupt, and
// all else is ErrUnavailable: a right that is missing, too, may be given.
//
// Never run on Google's own service, where the emulator differs: preconditions of a copy,
// the time a soft delete or a lifecycle takes, what a busy name is answered.
package gcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/internal/peer"
)

// Config is where the objects are.
type Config struct {
	Bucket string
	// Endpoint is that of an emulator, "http://HOST:PORT"; "" is Google's, with the
	// credentials of where it runs.
	Endpoint string
}

// A Store is a blob.Store over a bucket.
type Store struct {
	client *storage.Client
	bucket *storage.BucketHandle
	within time.Duration // a call ends
	there  *peer.Peer
}

var _ blob.Store = (*Store)(nil)

// CallTimeout ends a request that nobody answers, and a Get whose answer does not end.
const CallTimeout = 30 * time.Second

const (
	atOnce = 32 // deletes of DeletePrefix
	page   = 1000
	ready  = 10 * time.Second // an answer tells that the bucket is there
)

// emulatorVariable leads the client to an emulator.
const emulatorVariable = "STORAGE_EMULATOR_HOST"

// Open connects to the bucket and looks at how it is. The options are the
// client's, besides what the configuration says.
func Open(ctx context.Context, c Config, now func() time.Time, options ...option.ClientOption) (*Store, error) {
	if c.Endpoint == "" && os.Getenv(emulatorVariable) != "" {
		return nil, fmt.Errorf("open bucket: %s leads to an emulator that the configuration does not name", emulatorVariable)
	}
	chosen := []option.ClientOption{storage.WithJSONReads(), option.WithScopes(storage.ScopeReadWrite)}
	if c.Endpoint != "" {
		chosen = append(chosen, option.WithEndpoint(strings.TrimSuffix(c.Endpoint, "/")+"/storage/v1/"), option.WithoutAuthentication())
	}
	client, err := storage.NewClient(ctx, append(chosen, options...)...)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", failed(ctx, "connect", err))
	}
	client.SetRetry(storage.WithPolicy(storage.RetryNever))
	s := &Store{client: client, bucket: client.Bucket(c.Bucket), within: CallTimeout, there: peer.New(now, ready)}
	if err := s.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open bucket: %w", err), client.Close())
	}
	return s, nil
}

// Close ends the client.
func (s *Store) Close() error { return s.client.Close() }

// Ready says why no object can be reached now.
func (s *Store) Ready(ctx context.Context) error { return s.there.Ready(ctx, s.look) }

// saw takes note of how a call ended, unless it was the caller that ended it.
func (s *Store) saw(caller context.Context, err error) {
	switch {
	case !errors.Is(err, blob.ErrUnavailable):
		s.there.Saw(nil)
	case caller.Err() == nil:
		s.there.Saw(err)
	}
}

// look is at the bucket: whether what is deleted there is gone.
func (s *Store) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	is, err := s.bucket.Attrs(asking)
	if err != nil {
		return failed(ctx, "look at the bucket", err)
	}
	for _, keeps := range []struct {
		what string
		so   bool
	}{
		{"soft delete", is.SoftDeletePolicy != nil && is.SoftDeletePolicy.RetentionDuration > 0},
		{"versions", is.VersioningEnabled},
		{"a retention policy", is.RetentionPolicy != nil},
		{"holds", is.DefaultEventBasedHold},
	} {
		if keeps.so {
			return fmt.Errorf("the bucket has %s: what is deleted would be kept", keeps.what)
		}
	}
	return nil
}

// sum is the checksum that Cloud Storage has of objects.
func sum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// Put keeps an object of a new name, in one request.
func (s *Store) Put(ctx context.Context, name string, data []byte) (generation int64, err error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return 0, blob.Fault("put", err)
	}
	generation, err = s.put(ctx, name, data)
	s.saw(ctx, err)
	return generation, err
}

func (s *Store) put(ctx context.Context, name string, data []byte) (int64, error) {
	const op = "put"
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel() // the writer ends with it, however it ends
	w := s.bucket.Object(name).If(storage.Conditions{DoesNotExist: true}).NewWriter(ctx)
	w.ChunkSize, w.ContentType = 0, "application/octet-stream"
	w.CRC32C, w.SendCRC32C = sum(data), true
	_, err := w.Write(data)
	if closed := w.Close(); err == nil || status(closed) != 0 { // what the service says is why the write broke
		err = closed
	}
	if status(err) == preconditionFailed {
		return 0, blob.Fault(op, blob.ErrExists)
	}
	if err != nil {
		return 0, failed(caller, op, err)
	}
	kept := w.Attrs()
	if kept.CRC32C != w.CRC32C || kept.Size != int64(len(data)) {
		return 0, blob.Fault(op, blob.ErrCorrupt)
	}
	return kept.Generation, nil
}

// Renew copies the object onto itself, as often as another renews it meanwhile.
func (s *Store) Renew(ctx context.Context, name string) (int64, error) {
	const op = "renew"
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return 0, blob.Fault(op, err)
	}
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	object := s.bucket.Object(name)
	for {
		is, err := object.Attrs(asking)
		if err != nil {
			return 0, failed(ctx, op, err)
		}
		to := object.If(storage.Conditions{GenerationMatch: is.Generation})
		renewed, err := to.CopierFrom(object.Generation(is.Generation)).Run(asking)
		switch {
		case err == nil:
			return renewed.Generation, nil
		case status(err) != preconditionFailed && status(err) != notFound:
			return 0, failed(ctx, op, err)
		}
	}
}

// Get returns what was put.
func (s *Store) Get(ctx context.Context, name string) (data []byte, err error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return nil, blob.Fault("get", err)
	}
	data, err = s.get(ctx, name)
	s.saw(ctx, err)
	return data, err
}

func (s *Store) get(ctx context.Context, name string) ([]byte, error) {
	const op = "get"
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	r, err := s.bucket.Object(name).NewReader(asking)
	if err != nil {
		return nil, failed(ctx, op, err)
	}
	data, err := io.ReadAll(r)
	err = errors.Join(err, r.Close())
	switch {
	case err != nil && !strings.Contains(err.Error(), "bad CRC"): // the client's word for it
		return nil, failed(ctx, op, err)
	case err != nil, r.Attrs.Size >= 0 && int64(len(data)) != r.Attrs.Size, sum(data) != r.Attrs.CRC32C:
		return nil, blob.Fault(op, blob.ErrCorrupt)
	}
	return data, nil
}

// Stat tells of an object.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	const op = "stat"
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Info{}, blob.Fault(op, err)
	}
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	is, err := s.bucket.Object(name).Attrs(asking)
	if err != nil {
		return blob.Info{}, failed(ctx, op, err)
	}
	return info(is), nil
}

func info(is *storage.ObjectAttrs) blob.Info {
	return blob.Info{Name: is.Name, Size: is.Size, Created: is.Created.UTC(), Generation: is.Generation}
}

// Delete removes the object of the generation.
func (s *Store) Delete(ctx context.Context, name string, generation int64) error {
	const op = "delete"
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Fault(op, err)
	}
	if generation <= 0 {
		return nil // no object has it
	}
	return s.remove(ctx, op, s.bucket.Object(name).Generation(generation))
}

// remove is nil where the object is not there, but its bucket is.
func (s *Store) remove(ctx context.Context, op string, object *storage.ObjectHandle) error {
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	err := object.Delete(asking)
	if err == nil {
		return nil
	}
	if err = failed(ctx, op, err); errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// DeletePrefix removes all whose names begin so.
func (s *Store) DeletePrefix(ctx context.Context, prefix string) error {
	const op = "delete prefix"
	if err := ctx.Err(); err != nil {
		return blob.Fault(op, err)
	}
	var deletes errgroup.Group
	deletes.SetLimit(atOnce)
	after, whole := "", false
	var err error
	for err == nil && !whole {
		var infos []blob.Info
		infos, err = s.list(ctx, op, prefix, after, page-1)
		for _, is := range infos {
			after = is.Name
			deletes.Go(func() error { return s.remove(ctx, op, s.bucket.Object(is.Name)) })
		}
		whole = len(infos) < page-1
	}
	return cmp.Or(deletes.Wait(), err)
}

// List is in byte order of names.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	const op = "list"
	if limit < 1 {
		return nil, blob.Fault(op, fmt.Errorf("limit %d", limit))
	}
	if err := ctx.Err(); err != nil {
		return nil, blob.Fault(op, err)
	}
	return s.list(ctx, op, prefix, after, limit)
}

// list is at most limit objects behind the name, in one request where that is less
// than a page.
func (s *Store) list(ctx context.Context, op, prefix, after string, limit int) ([]blob.Info, error) {
	asking, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	q := &storage.Query{Prefix: prefix, StartOffset: after, Projection: storage.ProjectionNoACL}
	_ = q.SetAttrSelection([]string{"Name", "Size", "Created", "Generation"}) // which it has
	it := s.bucket.Objects(asking, q)
	it.PageInfo().MaxSize = min(limit, page-1) + 1 // the one after which it begins may be the first
	var infos []blob.Info
	for len(infos) < limit {
		is, err := it.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, failed(ctx, op, err)
		}
		if is.Name > after {
			infos = append(infos, info(is))
		}
	}
	return infos, nil
}
