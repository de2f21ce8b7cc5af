package edge

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/exports"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
)

// exportConcurrency is how many people's exports are written at a time: each holds a
// few megabytes, and a day.
const exportConcurrency = 2

func buildExports(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	objects := vault.New(p.Blobs, p.Keys)
	chunks := timeline.NewReader(objects)
	held := ingress.Held{Store: p.Store, Objects: objects, Samples: chunks.Samples, Deleted: chunks.Deleted, Series: chunks.Series}
	needs := exports.Needs{Store: p.Store, Objects: objects, Queue: p.Queue, Now: p.Now, Log: p.Log}
	for _, section := range held.Sections() {
		needs.Held = append(needs.Held, exports.Section(section))
	}
	return []platform.Runner{stage.Consume(p, exporting.Topic, exporting.Consumer, exportConcurrency, stage.Sparing(p, exports.New(needs).Handle))}, nil
}
