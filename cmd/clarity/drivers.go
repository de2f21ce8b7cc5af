package main

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// drivers is what the laptop needs and nothing more: no cloud, no Kubernetes.
func drivers() platform.Drivers {
	return platform.Drivers{
		Store:    map[string]platform.Opener[store.Driver]{"sqlite": embedded.Store},
		Blobs:    map[string]platform.Opener[blob.Store]{"files": embedded.Blobs},
		Queue:    map[string]platform.Opener[queue.Driver]{"sqlite": embedded.Queue},
		Keys:     map[string]platform.Opener[platform.Keyring]{"tink": embedded.Keys},
		Identity: map[string]platform.Opener[identity.Verifier]{"local": issuer.Open},
		Audit:    map[string]platform.Opener[audit.Log]{"file": embedded.Audit},
		Writer: map[string]platform.Opener[narrative.Writer]{
			"template": func(context.Context, string, platform.Env) (narrative.Writer, error) { return template.New(), nil },
		},
		Plans: map[string]platform.Opener[platform.Plan]{"file": plans.File, "fixed": plans.Fixed},
	}
}
