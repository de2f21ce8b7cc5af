// Package cluster is what a worker needs of a cluster and a laptop does not:
// where artifacts come from, and models that are served elsewhere. It is apart
// from platform so that the laptop's binary is without the clouds' clients.
package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/model/artifact"
	"github.com/clarity-loop/clarity/services/model/artifact/gcs"
	"github.com/clarity-loop/clarity/services/model/artifact/local"
	"github.com/clarity-loop/clarity/services/model/artifact/oci"
	"github.com/clarity-loop/clarity/services/model/triton"
)

// emulators are the switches by which the clouds' clients are led elsewhere,
// some of them without asking who is there.
func emulators() []string {
	return []string{"STORAGE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST_GRPC", "FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST",
		"FIREBASE_AUTH_EMULATOR_HOST", "DATASTORE_EMULATOR_HOST"}
}

// RefuseEmulators is an error where the environment leads a cloud's client to an
// emulator, and development is off.
func RefuseEmulators(getenv func(string) string, development bool) error {
	set := slices.DeleteFunc(emulators(), func(name string) bool { return getenv(name) == "" })
	if development || len(set) == 0 {
		return nil
	}
	return fmt.Errorf("%s leads to an emulator, which only CLARITY_DEV=true allows: nobody is asked who they are there", strings.Join(set, ", "))
}

// Artifacts fetches from files, Cloud Storage and registries.
func Artifacts(development bool) *artifact.Fetcher {
	return artifact.New(map[string]artifact.Source{"file": local.Source{}, "gs": gcs.New(), "oci": oci.New(development)})
}

// Dial connects to the servers of a model version behind an endpoint.
func Dial(ctx context.Context, endpoint, model, digest string, log *slog.Logger) (*triton.Client, error) {
	return triton.Dial(ctx, endpoint, triton.Version{Model: model, Digest: digest}, triton.Options{Log: log})
}
