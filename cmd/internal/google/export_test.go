package google

import (
	"context"

	"github.com/clarity-loop/clarity/services/identity/appcheck"
	"github.com/clarity-loop/clarity/services/identity/firebase"
)

// Ready is that of who verifies people and apps by these.
func Ready(ctx context.Context, people *firebase.Verifier, apps *appcheck.Checker) error {
	return (&verifier{Verifier: people, apps: apps}).Ready(ctx)
}
