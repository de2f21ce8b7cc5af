// Package plans has the traffic plans that need no cluster.
package plans

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/model/traffic/file"
	"github.com/clarity-loop/clarity/services/model/traffic/fixed"
)

// pollInterval is the time between two looks at a plan in a file.
const pollInterval = time.Second

// Find says whether the plan of a model's reference is there, where Fixed would
// open it. It opens nothing.
func Find(ref string) error {
	at, ok := strings.CutPrefix(ref, "traffic:fixed:")
	if !ok || at == "" {
		return nil
	}
	switch info, err := os.Stat(at); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("model: there is no traffic plan at %s", at)
	case err != nil:
		return fmt.Errorf("model: look for the traffic plan: %w", err)
	case info.IsDir():
		return fmt.Errorf("model: %s is a directory, not a traffic plan's file", at)
	}
	return nil
}

// FindModel says whether what a model's reference names is there: a bundle, or a plan.
// It opens nothing.
func FindModel(ref string) error {
	if strings.HasPrefix(ref, "traffic:") {
		return Find(ref)
	}
	return models.Find(ref)
}

// File follows the plan in the directory at, such as a mounted ConfigMap.
func File(_ context.Context, at string, _ platform.Env) (platform.Plan, error) {
	if at == "" {
		return platform.Plan{}, &platform.ConfigError{Text: "traffic:file names no traffic plan: write traffic:file:DIR"}
	}
	return platform.Plan{Source: file.New(at, pollInterval)}, nil
}

// Fixed reads the plan in the file at, once.
func Fixed(_ context.Context, at string, _ platform.Env) (platform.Plan, error) {
	if at == "" {
		return platform.Plan{}, &platform.ConfigError{Text: "traffic:fixed names no traffic plan: write traffic:fixed:FILE"}
	}
	s, err := fixed.Open(at)
	if err != nil {
		return platform.Plan{}, err
	}
	return platform.Plan{Model: s.Model(), Source: s}, nil
}
