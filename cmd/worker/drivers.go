package main

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/artifact/gcs"
	"github.com/clarity-loop/clarity/services/model/artifact/local"
	"github.com/clarity-loop/clarity/services/model/artifact/oci"
	"github.com/clarity-loop/clarity/services/model/traffic/configmap"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/relay"
	"github.com/clarity-loop/clarity/services/store"
)

// modelForms are what a model can be.
const modelForms = "none, preview (trained on simulated data), a bundle's file, traffic:configmap:NAMESPACE/MODEL, traffic:file:DIR or traffic:fixed:FILE"

// drivers is what a worker that serves needs: data, and the plans of models. It
// answers nobody and writes no words.
func drivers(getenv func(string) string) platform.Drivers {
	cloud := google.New(getenv)
	return platform.Drivers{
		Store:  map[string]platform.Opener[store.Driver]{"firestore": cloud.Store},
		Blobs:  map[string]platform.Opener[blob.Store]{"gcs": cloud.Blobs},
		Queue:  map[string]platform.Opener[queue.Driver]{"pubsub": cloud.Queue},
		Keys:   map[string]platform.Opener[platform.Keyring]{"kms": cloud.Keys},
		Audit:  map[string]platform.Opener[audit.Log]{"gcs": cloud.Audit},
		Plans:  map[string]platform.Opener[platform.Plan]{"configmap": configMap, "file": plans.File, "fixed": plans.Fixed},
		Feed:   map[string]platform.Opener[relay.Feed]{"firestore": cloud.Feed},
		Traces: google.Traces, Places: google.Check, LongestCall: google.LongestCall,
	}
}

// ofDirectory is what a shard on a data directory needs.
func ofDirectory() platform.Drivers {
	return platform.Drivers{
		Store: map[string]platform.Opener[store.Driver]{"sqlite": embedded.Store},
		Blobs: map[string]platform.Opener[blob.Store]{"files": embedded.Blobs},
		Queue: map[string]platform.Opener[queue.Driver]{"sqlite": embedded.Queue},
		Keys:  map[string]platform.Opener[platform.Keyring]{"tink": embedded.Keys},
		Audit: map[string]platform.Opener[audit.Log]{"file": embedded.Audit},
	}
}

// artifacts fetches from files, Cloud Storage and registries.
func artifacts(development bool) *artifact.Fetcher {
	return artifact.New(map[string]artifact.Source{"file": local.Source{}, "gs": gcs.New(), "oci": oci.New(development)})
}

// configMap follows the plan that the operator keeps for a model; at is
// NAMESPACE/MODEL.
func configMap(_ context.Context, at string, _ platform.Env) (platform.Plan, error) {
	namespace, model, both := strings.Cut(at, "/")
	if !both || namespace == "" || model == "" {
		return platform.Plan{}, &platform.ConfigError{Text: fmt.Sprintf("%q names no traffic plan: write traffic:configmap:NAMESPACE/MODEL", at)}
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return platform.Plan{}, fmt.Errorf("find the cluster of %s: %w", at, err)
	}
	s, err := configmap.New(config, namespace, model)
	if err != nil {
		return platform.Plan{}, err
	}
	return platform.Plan{Model: model, Source: s}, nil
}
