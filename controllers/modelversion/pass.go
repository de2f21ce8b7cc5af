package modelversion

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// pass is one look at all versions of a model: what was read, and what the phases found.
type pass struct {
	now              time.Time
	namespace, model string
	members          []*member // newest first
	ledger           ledger
	orphans          []*appsv1.Deployment // servers of versions that are not in the list

	candidate *member // the newest that may still earn its place
	gates     judgement
	told      []told        // for the observers
	troubles  []error       // of one version or child: the rest goes on
	wake      time.Duration // when to look again without being told; 0 is never
}

// member is one version in the pass.
type member struct {
	before *v1alpha1.ModelVersion // as read; never written to
	mv     *v1alpha1.ModelVersion // a copy; only its status is written to
	name   string                 // of its children

	deployment *appsv1.Deployment
	service    *corev1.Service
	scaler     *autoscalingv2.HorizontalPodAutoscaler
	budget     *policyv1.PodDisruptionBudget
	policy     *networkingv1.NetworkPolicy
	monitoring *unstructured.Unstructured
	verifying  *batchv1.Job
	validating *batchv1.Job
	servers    []corev1.Pod
	workers    []corev1.Pod // of its Jobs

	barred  bool // it may not be served here, as things are
	want    want
	fresh   bool      // the API server itself has confirmed that before is what there is
	loaded  int32     // how many servers say that the model is ready
	unheard bool      // one of them did not answer, which may be a hiccup
	broken  *ending   // why it will not be available by itself
	ended   *ending   // how it ended, found in this pass
	stuck   *verdict  // what a person has to change
	waits   *verdict  // what it waits for
	facts   []finding // what its conditions are to say
}

// finding is a condition that a phase found.
type finding struct {
	kind    string
	status  metav1.ConditionStatus
	verdict verdict
}

// want is whether a version's servers should run.
type want int

const (
	wantNone want = iota // stopped, and nothing is left
	wantCold             // stopped, ready to be started again
	wantHeld             // as they are: workers may still follow an older plan
	wantWarm             // running
)

func (m *member) find(kind string, status metav1.ConditionStatus, reason, message string) {
	m.facts = append(m.facts, finding{kind, status, verdict{reason, message}})
}

// stick says what a person has to change. The first to say so is heard.
func (m *member) stick(reason, message string) {
	if m.stuck == nil {
		m.stuck = &verdict{reason, message}
	}
}

// bar keeps the version from being served until a person changes something.
func (m *member) bar(reason, message string) {
	m.barred = true
	m.stick(reason, message)
}

// wait says what the version waits for. The first to say so is heard.
func (m *member) wait(reason, message string) {
	if m.waits == nil {
		m.waits = &verdict{reason, message}
	}
}

// end ends the version, unless it has ended before.
func (m *member) end(e ending) {
	if m.ended == nil && !m.over() {
		m.ended = &e
	}
}

// over says whether the version's end is on record.
func (m *member) over() bool {
	c := conditionOf(m.before, v1alpha1.ConditionPromoted)
	return c != nil && c.Status == metav1.ConditionFalse && endsWith(c.Reason)
}

// verified and validated are facts on record.
func (m *member) verified() bool  { return isTrue(m.before, v1alpha1.ConditionArtifactVerified) }
func (m *member) validated() bool { return isTrue(m.before, v1alpha1.ConditionValidated) }

// available is a fact on record that was seen again in this pass: what is given
// traffic has said so twice.
func (m *member) available() bool {
	return m.loaded > 0 && isTrue(m.before, v1alpha1.ConditionAvailable)
}

// leaving says whether the version is on its way out for good, whoever said so.
func (m *member) leaving() bool {
	return !m.mv.DeletionTimestamp.IsZero() || m.over() || m.ended != nil || m.mv.Spec.Retire || m.mv.Spec.Rollout.Abort
}

// rollout is the version's rollout status, to be written to.
func (m *member) rollout() *v1alpha1.RolloutStatus {
	if m.mv.Status.Rollout == nil {
		m.mv.Status.Rollout = &v1alpha1.RolloutStatus{}
	}
	return m.mv.Status.Rollout
}

func conditionOf(mv *v1alpha1.ModelVersion, kind string) *metav1.Condition {
	return meta.FindStatusCondition(mv.Status.Conditions, kind)
}

func isTrue(mv *v1alpha1.ModelVersion, kind string) bool {
	return meta.IsStatusConditionTrue(mv.Status.Conditions, kind)
}

// newPass sorts the versions: the newest first, and of those of one second the
// higher version first.
func newPass(namespace, model string, versions []v1alpha1.ModelVersion, now time.Time) *pass {
	p := &pass{now: now.UTC().Truncate(time.Second), namespace: namespace, model: model}
	for i := range versions {
		mv := &versions[i]
		p.members = append(p.members, &member{before: mv, mv: mv.DeepCopy(), name: childName(mv)})
	}
	slices.SortFunc(p.members, func(a, b *member) int { return newerFirst(a.mv, b.mv) })
	return p
}

func newerFirst(a, b *v1alpha1.ModelVersion) int {
	if c := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); c != 0 {
		return c
	}
	if c := naturally(b.Spec.Version, a.Spec.Version); c != 0 {
		return c
	}
	return strings.Compare(b.Name, a.Name)
}

// naturally compares as people count: 2026.11.10 is after 2026.11.9.
func naturally(a, b string) int {
	for a != "" && b != "" {
		x, restA := chunk(a)
		y, restB := chunk(b)
		numeric := isDigit(x[0]) && isDigit(y[0])
		if numeric {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}

// chunk cuts the leading run of digits, or of anything else.
func chunk(s string) (first, rest string) {
	end := 1
	for end < len(s) && isDigit(s[end]) == isDigit(s[0]) {
		end++
	}
	return s[:end], s[end:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// wakeIn asks for another look after d, if nothing sooner is asked for.
func (p *pass) wakeIn(d time.Duration) {
	if d > 0 && (p.wake == 0 || d < p.wake) {
		p.wake = d
	}
}

// trouble remembers what went wrong with one version or child; the rest goes on.
func (p *pass) trouble(err error) {
	if err != nil {
		p.troubles = append(p.troubles, err)
	}
}
