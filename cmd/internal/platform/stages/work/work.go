// Package work has the stages that compute, and the one that erases.
package work

import (
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
)

// Stages are worker and erasure.
func Stages() []platform.Stage {
	const documents = capability.Store | capability.Keys
	return []platform.Stage{
		{Name: stage.Worker, Needs: documents | capability.Blobs | capability.Queue | capability.Audit | capability.Model | capability.Feed, Build: buildWorker},
		{Name: stage.Erasure, Needs: documents | capability.Blobs | capability.Queue | capability.Erasure | capability.Audit | capability.Feed, Build: buildErasure},
	}
}
