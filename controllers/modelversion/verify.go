package modelversion

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/internal/outcome"
)

// A check is a Job whose result becomes a condition.
type check struct {
	component string
	kind      string // of the condition
	running   string // what a person is told while it runs
	undecided string // the reason where it ended without a verdict
	late      string // the reason where it ran out of time; undecided if empty
	timeout   time.Duration
	args      []string
	passed    func(*termination.Result) bool
}

// verify has a Job look whether the bundle and the golden set are what the
// version says. Nothing else is made for it before.
func (r *Reconciler) verify(ctx context.Context, p *pass) (outcome.Outcome, error) {
	m := p.candidate
	if m == nil || m.ended != nil || m.verified() {
		return outcome.Continue{}, nil
	}
	args, err := verifyArgs(m.mv)
	if err != nil {
		return nil, err
	}
	p.trouble(r.check(ctx, p, m, m.verifying, check{
		component: ComponentVerify, kind: v1alpha1.ConditionArtifactVerified, running: "checking the bundle's digest and contract",
		undecided: v1alpha1.ReasonVerificationFailed, timeout: r.config.VerifyTimeout.Duration, args: args,
		passed: func(said *termination.Result) bool { return said.Verified && said.Reason == "" },
	}))
	return outcome.Continue{}, nil
}

// validate has a Job hold the candidate's servers against its golden vectors.
func (r *Reconciler) validate(ctx context.Context, p *pass) (outcome.Outcome, error) {
	m := p.candidate
	if m == nil || m.ended != nil || !m.verified() || m.validated() || !m.available() {
		return outcome.Continue{}, nil
	}
	const grace = time.Minute // to start, and to say that it ran out of time
	p.trouble(r.check(ctx, p, m, m.validating, check{
		component: ComponentValidate, kind: v1alpha1.ConditionValidated, running: "holding the model against its golden vectors",
		undecided: v1alpha1.ReasonValidationIncomplete, late: v1alpha1.ReasonValidationTimeout,
		timeout: validationTimeout(m.mv) + grace, args: validateArgs(m.mv),
		passed: func(said *termination.Result) bool {
			n := said.Counts()
			return n.Cases > 0 && n.Passed == n.Cases && said.Reason == ""
		},
	}))
	return outcome.Continue{}, nil
}

// check runs the Job and reads its end. One that ends without a verdict is
// run again after a while: what is down comes back.
func (r *Reconciler) check(ctx context.Context, p *pass, m *member, job *batchv1.Job, c check) error {
	again, recorded := time.Time{}, conditionOf(m.before, c.kind)
	if recorded != nil && recorded.Status == metav1.ConditionFalse {
		if again = recorded.LastTransitionTime.Add(r.config.RetryAfter.Duration); p.now.Before(again) {
			m.stick(recorded.Reason, recorded.Message)
			p.wakeIn(again.Sub(p.now))
			return nil
		}
	}
	if job == nil {
		if err := r.createJob(ctx, m, r.newJob(m, c.component, c.timeout, c.args)); err != nil {
			return err
		}
		m.find(c.kind, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, c.running)
		m.wait(v1alpha1.ReasonProgressing, c.running)
		return nil
	}
	if !job.DeletionTimestamp.IsZero() {
		p.wakeIn(time.Second)
		m.wait(v1alpha1.ReasonProgressing, c.running)
		return nil
	}
	end, err := r.endOf(ctx, job, c.component)
	if err != nil {
		return err
	}
	if end == nil {
		m.find(c.kind, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, c.running)
		m.wait(v1alpha1.ReasonProgressing, c.running+m.jobTrouble(c.component))
		return nil
	}
	m.conclude(p.now, c, end)
	return nil
}

// conclude turns a Job's end into the condition, and into the version's end
// where its input can never do.
func (m *member) conclude(now time.Time, c check, end *checkEnd) {
	reason, message := c.undecided, fmt.Sprintf("the %s Job ended without a verdict: it is run again", c.component)
	final := end.final
	if end.deadline && c.late != "" {
		reason, message, final = c.late, fmt.Sprintf("the %s Job ran out of time", c.component), true
	}
	if said := end.result; said != nil {
		if c.component == ComponentValidate {
			m.mv.Status.Validation = new(v1alpha1.ValidationStatus(said.Counts()))
		}
		if end.succeeded && c.passed(said) {
			m.find(c.kind, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "")
			return
		}
		switch {
		case said.Reason != "":
			reason, message = reasonOf(said.Reason, reason), orElse(said.Message, string(said.Reason))
		case end.succeeded: // it did what it had to, and the version did not pass
			message = fmt.Sprintf("the %s Job ended well, and does not say that the version passed", c.component)
		}
		final = final || end.succeeded
	}
	if end.final && end.result == nil { // exit 65 without a word
		message = fmt.Sprintf("the %s Job says that its input can never do, and not why", c.component)
	}
	message = condition.Bound(message, condition.MaxMessage)
	m.find(c.kind, metav1.ConditionFalse, reason, message)
	if final {
		m.end(ending{
			UID: m.mv.UID, Version: m.mv.Spec.Version, Stage: m.before.Status.Stage, Reason: reason, Message: message,
			Pod: end.pod, ExitCode: end.exitCode, At: now,
		})
		return
	}
	m.stick(reason, message)
}

// jobTrouble says why the Job's pod does not start, where that can be seen.
func (m *member) jobTrouble(component string) string {
	for i := range m.workers {
		pod := &m.workers[i]
		if pod.Labels[ComponentLabel] != component || pod.Status.Phase != corev1.PodPending {
			continue
		}
		if v := startTrouble(pod); v != nil {
			return ": " + v.message
		}
	}
	return ""
}
