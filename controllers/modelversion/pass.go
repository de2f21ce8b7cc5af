package modelversion

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// modelPass is one look at all versions of a model: what was read, and what the phases found.
type modelPass struct {
	pass.Alarm
	now              time.Time
	namespace, model string
	versions         []*versionPass // newest first
	record           planRecord
	orphans          []*appsv1.Deployment // servers of versions that are not in the list

	candidate *versionPass // the newest that may still earn its place
	gates     rollout.GateResult
	answers   []gateAnswer // for the observers
	errs      []error      // of one version or child: the rest goes on
}

// newPass sorts the versions: the newest first, and of those of one second the
// higher version first.
func newPass(namespace, model string, versions []v1alpha1.ModelVersion, now time.Time) *modelPass {
	p := &modelPass{now: now.UTC().Truncate(time.Second), namespace: namespace, model: model}
	for i := range versions {
		mv := &versions[i]
		p.versions = append(p.versions, &versionPass{before: mv, mv: mv.DeepCopy(), name: serving.Name(mv)})
	}
	slices.SortFunc(p.versions, func(a, b *versionPass) int { return rollout.NewerFirst(a.mv, b.mv) })
	return p
}

// addError remembers what went wrong with one version or child; the rest goes on.
func (p *modelPass) addError(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}
