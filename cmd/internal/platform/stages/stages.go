// Package stages is the table of what a process of the platform can do: each
// stage with the capabilities it needs, and how it is built of them. The stages of
// each of the cloud's binaries are a room of their own, so that none links what
// another does.
package stages

import (
	"slices"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/edge"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/words"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/work"
)

// A stage's name in Config.Stages.
const (
	Ingress  = stage.Ingress
	Worker   = stage.Worker
	Insights = stage.Insights
	Delivery = stage.Delivery
	Exports  = stage.Exports
	Erasure  = stage.Erasure
)

// Names lists every stage, in the order of the flow.
func Names() []string { return []string{Ingress, Worker, Insights, Delivery, Exports, Erasure} }

// All is the table, in the order of the flow.
func All() []platform.Stage {
	all := slices.Concat(edge.Stages(), work.Stages(), words.Stages())
	place := func(s platform.Stage) int { return slices.Index(Names(), s.Name) }
	slices.SortFunc(all, func(a, b platform.Stage) int { return place(a) - place(b) })
	return all
}
