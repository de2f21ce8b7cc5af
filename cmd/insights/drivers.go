package main

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/template"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// drivers are Google's, of what insights works with: documents alone, nobody's
// samples and no token.
func drivers(getenv func(string) string) platform.Drivers {
	cloud := google.New(getenv)
	return platform.Drivers{
		Store: map[string]platform.Opener[store.Driver]{"firestore": cloud.Store},
		Queue: map[string]platform.Opener[queue.Driver]{"pubsub": cloud.Queue},
		Keys:  map[string]platform.Opener[platform.Keyring]{"kms": cloud.Keys},
		Audit: map[string]platform.Opener[audit.Log]{"gcs": cloud.Audit},
		Writer: map[string]platform.Opener[narrative.Writer]{
			"gemini":   cloud.Writer,
			"template": func(context.Context, string, platform.Env) (narrative.Writer, error) { return template.New(), nil },
		},
		Traces: google.Traces, Places: google.Check, LongestCall: google.LongestCall,
	}
}
