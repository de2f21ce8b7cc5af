// Package gcs opens artifacts that are objects of Cloud Storage: gs://bucket/object.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/model/artifact"
)

// A Source opens gs:// URIs with the credentials of where it runs (Workload
// Identity in a cluster). It asks for them when it first opens something.
type Source struct{ options []option.ClientOption }

// New is a Source; the options are the client's, for tests.
func New(options ...option.ClientOption) *Source { return &Source{options} }

var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// parse takes a URI apart. An object's name is what stands behind the bucket,
// byte for byte: nothing in it is an escape.
func parse(uri string) (bucket, object string, err error) {
	scheme, rest, err := artifact.Scheme(uri)
	if err != nil {
		return "", "", err
	}
	bucket, object, _ = strings.Cut(rest, "/")
	if scheme != "gs" || !bucketForm.MatchString(bucket) || object == "" || strings.ContainsAny(object, "#?") {
		return "", "", fmt.Errorf("%w: want gs://BUCKET/OBJECT", artifact.ErrURI)
	}
	return bucket, object, nil
}

// Open reads the object's live generation. The client resumes a transfer that
// breaks and checks the CRC that the service tells.
func (s *Source) Open(ctx context.Context, r artifact.Ref) (io.ReadCloser, error) {
	bucket, object, err := parse(r.URI)
	if err != nil {
		return nil, err
	}
	client, err := storage.NewClient(ctx, append([]option.ClientOption{option.WithScopes(storage.ScopeReadOnly), storage.WithJSONReads()}, s.options...)...)
	if err != nil {
		return nil, fmt.Errorf("open Cloud Storage: %w", err)
	}
	content, err := client.Bucket(bucket).Object(object).NewReader(ctx)
	if err != nil {
		if errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist) {
			err = artifact.ErrNotFound
		}
		return nil, errors.Join(err, client.Close())
	}
	return &reader{content, client}, nil
}

// A reader closes its client with it.
type reader struct {
	*storage.Reader
	client *storage.Client
}

func (r *reader) Close() error { return errors.Join(r.Reader.Close(), r.client.Close()) }
