// Package fixed is a traffic plan that stays as it is: a file that is read once.
package fixed

import (
	"context"
	"fmt"
	"os"

	"github.com/clarity-loop/clarity/api/traffic"
)

// A Source is a plan that was read.
type Source struct {
	text  []byte
	model string
}

// Open reads the plan in the file at path. A plan that is none is refused here:
// no better one will come.
func Open(path string) (*Source, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the file that the configuration names
	if err != nil {
		return nil, fmt.Errorf("read the traffic plan: %w", err)
	}
	p, err := traffic.ParsePlan(text)
	if err != nil {
		return nil, fmt.Errorf("read the traffic plan %s: %w", path, err)
	}
	return &Source{text, p.Model}, nil
}

// Model is the model whose plan it is.
func (s *Source) Model() string { return s.model }

// Watch tells the plan; nothing else ever comes.
func (s *Source) Watch(ctx context.Context, tell func(text []byte, err error)) {
	tell(s.text, nil)
	<-ctx.Done()
}
