package main

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/store"
)

// models are what a model can be.
const models = "none, preview (trained on simulated data), a bundle's file, traffic:file:DIR or traffic:fixed:FILE"

// drivers are Google's.
func drivers(getenv func(string) string) platform.Drivers {
	cloud := google.New(getenv)
	return platform.Drivers{
		Store:    map[string]platform.Opener[store.Driver]{"firestore": cloud.Store},
		Blobs:    map[string]platform.Opener[blob.Store]{"gcs": cloud.Blobs},
		Queue:    map[string]platform.Opener[queue.Driver]{"pubsub": cloud.Queue},
		Keys:     map[string]platform.Opener[platform.Keyring]{"kms": cloud.Keys},
		Identity: map[string]platform.Opener[identity.Verifier]{"firebase": cloud.Identity},
		Audit:    map[string]platform.Opener[audit.Log]{"gcs": cloud.Audit},
		Writer: map[string]platform.Opener[narrative.Writer]{
			"gemini":   cloud.Writer,
			"template": func(context.Context, string, platform.Env) (narrative.Writer, error) { return template.New(), nil },
		},
		Plans:  map[string]platform.Opener[platform.Plan]{"file": plans.File, "fixed": plans.Fixed},
		Feed:   map[string]platform.Opener[relay.Feed]{"firestore": cloud.Feed},
		Push:   map[string]platform.Opener[push.Sender]{"fcm": cloud.Push},
		Traces: google.Traces, Places: google.Check, LongestCall: google.LongestCall,
	}
}
