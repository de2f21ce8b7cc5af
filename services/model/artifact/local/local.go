// Package local opens artifacts of this machine's own files: file:///path. In a
// cluster that is a volume which is mounted into the pod.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/model/artifact"
)

// A Source opens file:// URIs.
type Source struct{}

// Open opens the file, which must be a plain one. The host must be empty or localhost.
func (Source) Open(_ context.Context, r artifact.Ref) (io.ReadCloser, error) {
	u, err := url.Parse(r.URI)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != filepath.Clean(u.Path) || !filepath.IsAbs(u.Path) {
		return nil, fmt.Errorf("%w: want file:///PATH, an absolute path as it is", artifact.ErrURI)
	}
	info, err := os.Stat(u.Path) // before opening: a pipe would wait for its writer
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a plain file", artifact.ErrMalformed)
	}
	if err != nil {
		return nil, notFound(err)
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return nil, notFound(err)
	}
	return f, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return artifact.ErrNotFound
	}
	return err
}
