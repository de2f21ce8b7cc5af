// Package words has the stage that puts Results into words.
package words

import (
	"cmp"
	"context"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/stage"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/insights"
)

// writerTimeout is how long a writer may take where the configuration does not say.
const writerTimeout = 10 * time.Second

// Stages are insights.
func Stages() []platform.Stage {
	return []platform.Stage{
		{Name: stage.Insights, Needs: capability.Store | capability.Keys | capability.Queue | capability.Audit | capability.Writer, Build: build},
	}
}

func build(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
	s := insights.New(insights.Needs{Store: p.Store, Queue: p.Queue, Audit: p.Audit,
		Words: grounded.New(p.Writer, p.Template, cmp.Or(p.Config.Insights.WriterTimeout, writerTimeout)), Drain: p.Config.Stop.Drain(), Now: p.Now, Log: p.Log})
	return []platform.Runner{{Name: stage.Insights, Run: s.Run}}, nil
}
