// Package file reads a traffic plan from a directory, such as one that a
// ConfigMap is mounted to: the file traffic.PlanKey in it.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/api/traffic"
)

// maxSize is what a ConfigMap can hold.
const maxSize = 1 << 20

// A Source is a directory.
type Source struct {
	path  string
	every time.Duration
}

// New is the directory, looked at as often as every says. A mounted ConfigMap's
// files are symbolic links that are swapped, and are replaced whole; so the
// file is read, not watched.
func New(dir string, every time.Duration) *Source {
	return &Source{filepath.Join(dir, traffic.PlanKey), every}
}

// Watch tells the file's text when it is another one than before, and an error
// when it is another error.
func (s *Source) Watch(ctx context.Context, tell func(text []byte, err error)) {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	var last []byte
	var failing string
	for first := true; ; first = false {
		text, err := s.read()
		switch {
		case err != nil && err.Error() != failing:
			failing = err.Error()
			tell(nil, err)
		case err == nil && (first || failing != "" || !bytes.Equal(text, last)):
			last, failing = text, ""
			tell(text, nil)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Source) read() ([]byte, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("read traffic plan: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read traffic plan: %w", err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("read traffic plan: %s has more than %d bytes", s.path, maxSize)
	}
	return text, nil
}
