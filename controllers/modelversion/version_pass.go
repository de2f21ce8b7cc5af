package modelversion

import (
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
	"github.com/clarity-loop/clarity/controllers/internal/pass"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
)

// versionPass is one version in the pass.
type versionPass struct {
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

	excluded   bool // it may not be served here, as things are
	want       want
	confirmed  bool             // the API server itself has confirmed that before is what there is
	loaded     int32            // how many servers say that the model is ready
	unanswered bool             // one of them did not answer, which may be a hiccup
	broken     *rollout.Outcome // why it will not be available by itself
	ended      *rollout.Outcome // how it ended, found in this pass
	stalled    *pass.Reason     // what a person has to change
	waiting    *pass.Reason     // what it waits for
	conditions []foundCondition // what its conditions are to say
}

// foundCondition is a condition that a phase found.
type foundCondition struct {
	kind   string
	status metav1.ConditionStatus
	reason pass.Reason
}

// want is whether a version's servers should run.
type want int

const (
	wantNone want = iota // stopped, and nothing is left
	wantCold             // stopped, ready to be started again
	wantHeld             // as they are: workers may still follow an older plan
	wantWarm             // running
)

// setCondition says what one of the conditions is to be.
func (m *versionPass) setCondition(kind string, status metav1.ConditionStatus, reason, message string) {
	m.conditions = append(m.conditions, foundCondition{kind, status, pass.Reason{Reason: reason, Message: message}})
}

// stall says what a person has to change. The first to say so is heard.
func (m *versionPass) stall(reason, message string) {
	if m.stalled == nil {
		m.stalled = &pass.Reason{Reason: reason, Message: message}
	}
}

// exclude keeps the version from being served until a person changes something.
func (m *versionPass) exclude(reason, message string) {
	m.excluded = true
	m.stall(reason, message)
}

// wait says what the version waits for. The first to say so is heard.
func (m *versionPass) wait(reason, message string) {
	if m.waiting == nil {
		m.waiting = &pass.Reason{Reason: reason, Message: message}
	}
}

// end ends the version, unless it has ended before.
func (m *versionPass) end(e rollout.Outcome) {
	if m.ended == nil && !m.over() {
		m.ended = &e
	}
}

// over says whether the version's end is on record.
func (m *versionPass) over() bool {
	c := conditionOf(m.before, v1alpha1.ConditionPromoted)
	return c != nil && c.Status == metav1.ConditionFalse && rollout.IsFinal(c.Reason)
}

// verified and validated are facts on record.
func (m *versionPass) verified() bool { return isTrue(m.before, v1alpha1.ConditionArtifactVerified) }

func (m *versionPass) validated() bool { return isTrue(m.before, v1alpha1.ConditionValidated) }

// available is a fact on record that was seen again in this pass: what is given
// traffic has said so twice.
func (m *versionPass) available() bool {
	return m.loaded > 0 && isTrue(m.before, v1alpha1.ConditionAvailable)
}

// leaving says whether the version is on its way out for good, whoever said so.
func (m *versionPass) leaving() bool {
	return !m.mv.DeletionTimestamp.IsZero() || m.over() || m.ended != nil || m.mv.Spec.Retire || m.mv.Spec.Rollout.Abort
}

// rollout is the version's rollout status, to be written to.
func (m *versionPass) rollout() *v1alpha1.RolloutStatus {
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
