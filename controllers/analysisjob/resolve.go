package analysisjob

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
)

// lookAgain is when to look at something again that no watch tells of.
const lookAgain = time.Minute

// modelIndex is the cache's index of ModelVersions by their model's name.
const modelIndex = "clarityloop.dev/model"

// resolve chooses the model's version once, at the Job's creation: the named
// version, or the active one. A version that failed validation is never chosen.
func (r *Reconciler) resolve(ctx context.Context, p *jobPass) (outcome.Outcome, error) {
	want := p.job.Spec.Model
	if want == nil || p.child != nil {
		return outcome.Continue{}, nil
	}
	var list v1alpha1.ModelVersionList
	if err := r.Client.List(ctx, &list, client.InNamespace(p.job.Namespace)); err != nil {
		return nil, fmt.Errorf("list versions of model %q: %w", want.Name, err)
	}
	chosen, why, final := chooseVersion(list.Items, want)
	if chosen == nil {
		p.pending = why
		if final {
			return outcome.Stalled{Reason: why.Reason, Message: why.Message}, nil
		}
		return outcome.Waiting{Reason: why.Reason, Message: why.Message}, nil
	}
	p.model = chosen
	p.job.Status.Model = &v1alpha1.ResolvedModel{
		Name: chosen.Spec.Model, Version: chosen.Spec.Version, Digest: chosen.Spec.Artifact.Digest,
	}
	return outcome.Continue{}, nil
}

// chooseVersion picks the version, or says why there is none, and whether that is final.
func chooseVersion(versions []v1alpha1.ModelVersion, want *v1alpha1.ModelReference) (*v1alpha1.ModelVersion, *pass.Reason, bool) {
	var known bool
	for i := range versions {
		v := &versions[i]
		if v.Spec.Model != want.Name || !v.DeletionTimestamp.IsZero() {
			continue
		}
		known = true
		if want.Version == "" {
			if v.Status.Stage == v1alpha1.StageActive {
				return v, nil, false
			}
			continue
		}
		if v.Spec.Version == want.Version {
			return chooseNamed(v)
		}
	}
	switch {
	case want.Version != "":
		return nil, &pass.Reason{Reason: v1alpha1.ReasonModelNotFound, Message: fmt.Sprintf("no ModelVersion of model %q has version %q yet", want.Name, want.Version)}, false
	case known:
		return nil, &pass.Reason{Reason: v1alpha1.ReasonModelNotActive, Message: fmt.Sprintf("no version of model %q is active yet", want.Name)}, false
	}
	return nil, &pass.Reason{Reason: v1alpha1.ReasonModelNotFound, Message: fmt.Sprintf("there is no model %q yet", want.Name)}, false
}

func chooseNamed(v *v1alpha1.ModelVersion) (*v1alpha1.ModelVersion, *pass.Reason, bool) {
	switch v.Status.Stage {
	case v1alpha1.StageRejected, v1alpha1.StageRolledBack, v1alpha1.StageRetired:
		return nil, &pass.Reason{Reason: v1alpha1.ReasonModelNotActive, Message: fmt.Sprintf("version %q of model %q is %s: create a new AnalysisJob with another", v.Spec.Version, v.Spec.Model, v.Status.Stage)}, true
	default: // on its way or in service: its validation decides
	}
	if !meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionValidated) {
		return nil, &pass.Reason{Reason: v1alpha1.ReasonModelNotActive, Message: fmt.Sprintf("version %q of model %q is not validated yet", v.Spec.Version, v.Spec.Model)}, false
	}
	return v, nil, false
}
