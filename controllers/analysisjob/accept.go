package analysisjob

import (
	"context"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// accept takes the object in and resolves its window once. The schema has
// checked everything else; of lastDays only the object's creation decides, so
// that any pass, at any time, by any operator, comes to the same days.
func (r *Reconciler) accept(_ context.Context, p *jobPass) (outcome.Outcome, error) {
	if p.job.Namespace != r.config.Namespace {
		return outcome.Stalled{
			Reason:  v1alpha1.ReasonNamespaceNotServed,
			Message: fmt.Sprintf("analyses run in namespace %q: create it there", r.config.Namespace),
		}, nil
	}
	if p.job.Status.Window == nil {
		p.job.Status.Window = resolveWindow(p.job.Spec.Window, p.job.CreationTimestamp.Time)
	}
	return outcome.Continue{}, nil
}

// resolveWindow names the first and the last day. The last n days are the n
// days that were over in UTC at the time.
func resolveWindow(w v1alpha1.AnalysisWindow, created time.Time) *v1alpha1.ResolvedWindow {
	if w.LastDays == nil {
		return &v1alpha1.ResolvedWindow{Start: w.Start, End: w.End}
	}
	last := created.UTC().AddDate(0, 0, -1)
	first := last.AddDate(0, 0, 1-int(*w.LastDays))
	return &v1alpha1.ResolvedWindow{Start: first.Format(time.DateOnly), End: last.Format(time.DateOnly)}
}
