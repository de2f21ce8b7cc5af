package modelversion

import (
	"cmp"
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/condition"
	"github.com/clarity-loop/clarity/controllers/modelversion/rollout"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving/probe"
)

// A check is a Job whose result becomes a condition.
type check struct {
	component string
	kind      string       // of the condition
	running   string       // what a person is told while it runs
	undecided string       // the reason where it ended without a result
	late      string       // the reason where it ran out of time; undecided if empty
	job       *batchv1.Job // as it is made where there is none
	passed    func(*termination.Result) bool
}

// check runs the Job and reads its end. One that ends without a result is
// run again after a while: what is down comes back.
func (r *Reconciler) check(ctx context.Context, p *modelPass, m *versionPass, job *batchv1.Job, c check) error {
	again, recorded := time.Time{}, conditionOf(m.before, c.kind)
	if recorded != nil && recorded.Status == metav1.ConditionFalse {
		if again = recorded.LastTransitionTime.Add(r.config.RetryAfter.Duration); p.now.Before(again) {
			m.stall(recorded.Reason, recorded.Message)
			p.WakeIn(again.Sub(p.now))
			return nil
		}
	}
	if job == nil {
		if err := r.createJob(ctx, m, c.job); err != nil {
			return err
		}
		m.setCondition(c.kind, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, c.running)
		m.wait(v1alpha1.ReasonProgressing, c.running)
		return nil
	}
	if !job.DeletionTimestamp.IsZero() {
		p.WakeIn(time.Second)
		m.wait(v1alpha1.ReasonProgressing, c.running)
		return nil
	}
	end, err := r.endOf(ctx, job, c.component)
	if err != nil {
		return err
	}
	if end == nil {
		m.setCondition(c.kind, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, c.running)
		m.wait(v1alpha1.ReasonProgressing, c.running+m.startBlocked(c.component))
		return nil
	}
	m.finish(p.now, c, end)
	return nil
}

// finish turns a Job's end into the condition, and into the version's end
// where its input is rejected for good.
func (m *versionPass) finish(now time.Time, c check, end *checkEnd) {
	reason, message := c.undecided, fmt.Sprintf("the %s Job ended without a result: it is run again", c.component)
	final := end.final
	if end.deadline && c.late != "" {
		reason, message, final = c.late, fmt.Sprintf("the %s Job ran out of time", c.component), true
	}
	if said := end.result; said != nil {
		if c.component == label.Validate {
			m.mv.Status.Validation = new(v1alpha1.ValidationStatus(said.Counts()))
		}
		if end.succeeded && c.passed(said) {
			m.setCondition(c.kind, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "")
			return
		}
		switch {
		case said.Reason != "":
			reason, message = serving.ReasonOf(said.Reason, reason), cmp.Or(said.Message, string(said.Reason))
		case end.succeeded: // it did what it had to, and the version did not pass
			message = fmt.Sprintf("the %s Job succeeded but did not report that the version passed", c.component)
		}
		final = final || end.succeeded
	}
	if end.misconfigured() { // the version may be good: the check is made again as after every end without a result
		reason = v1alpha1.ReasonWorkerMisconfigured
		message = fmt.Sprintf("the %s Job's worker exited with %d: it is configured wrongly; the Job is run again", c.component, worker.ExitConfiguration)
	}
	if end.final && end.result == nil { // exit 65 without a word
		message = fmt.Sprintf("the %s Job rejected its input and gave no reason", c.component)
	}
	message = condition.Bound(message, condition.MaxMessage)
	m.setCondition(c.kind, metav1.ConditionFalse, reason, message)
	if final {
		m.end(rollout.Outcome{
			UID: m.mv.UID, Version: m.mv.Spec.Version, Stage: m.before.Status.Stage, Reason: reason, Message: message,
			Pod: end.pod, ExitCode: end.exitCode, At: now,
		})
		return
	}
	m.stall(reason, message)
}

// startBlocked says why the Job's pod does not start, where that can be seen.
func (m *versionPass) startBlocked(component string) string {
	for i := range m.workers {
		pod := &m.workers[i]
		if pod.Labels[label.Component] != component || pod.Status.Phase != corev1.PodPending {
			continue
		}
		if v := probe.StartBlocked(pod); v != nil {
			return ": " + v.Message
		}
	}
	return ""
}

// A checkEnd is how a Job ended.
type checkEnd struct {
	succeeded bool
	deadline  bool // it ran out of time
	final     bool // the worker rejects its input for good
	exitCode  *int32
	pod       string
	result    *termination.Result // nil where there is none to be read
}

// misconfigured says whether the worker says of itself that it is configured wrongly.
func (e *checkEnd) misconfigured() bool {
	return e.exitCode != nil && *e.exitCode == worker.ExitConfiguration
}

// endOf reads how the Job ended; nil while it has not. The pods are asked of
// the API server itself: the cache may have heard of the Job's end alone.
func (r *Reconciler) endOf(ctx context.Context, job *batchv1.Job, component string) (*checkEnd, error) {
	var last *batchv1.JobCondition
	for i := range job.Status.Conditions {
		if c := &job.Status.Conditions[i]; (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			last = c
		}
	}
	if last == nil {
		return nil, nil
	}
	end := &checkEnd{succeeded: last.Type == batchv1.JobComplete, deadline: last.Reason == batchv1.JobReasonDeadlineExceeded}
	var pods corev1.PodList
	err := r.Live.List(ctx, &pods, client.InNamespace(job.Namespace), client.MatchingLabels{batchv1.ControllerUidLabel: string(job.UID)})
	if err != nil {
		return nil, fmt.Errorf("list pods of job %q: %w", job.Name, err)
	}
	var at metav1.Time
	for i := range pods.Items {
		for _, c := range pods.Items[i].Status.ContainerStatuses {
			t := c.State.Terminated
			if c.Name != component || t == nil || (t.ExitCode == 0) != end.succeeded || end.pod != "" && t.FinishedAt.Before(&at) {
				continue
			}
			at, end.pod, end.exitCode = t.FinishedAt, pods.Items[i].Name, &t.ExitCode
			end.final, end.result = t.ExitCode == worker.ExitInvalidInput, nil
			if said, err := termination.ParseResult(t.Message); err == nil {
				end.result = &said
			}
		}
	}
	return end, nil
}

// createJob brings a check into the world. A second create finds the first one's Job.
func (r *Reconciler) createJob(ctx context.Context, m *versionPass, job *batchv1.Job) error {
	if err := r.confirm(ctx, m); err != nil {
		return err
	}
	err := r.Client.Create(ctx, job, client.FieldOwner(manager))
	switch {
	case apierrors.IsAlreadyExists(err):
		var there batchv1.Job
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(job), &there); err != nil {
			return fmt.Errorf("get job %q: %w", job.Name, err)
		}
		if !metav1.IsControlledBy(&there, m.mv) {
			m.stall(v1alpha1.ReasonChildNameTaken, fmt.Sprintf("Job %q exists and is not this version's: delete it", job.Name))
		}
		return nil
	case refused(err):
		m.stall(v1alpha1.ReasonChildRefused, fmt.Sprintf("the API server refuses Job %q: %v", job.Name, apierrors.ReasonForError(err)))
		return nil
	case err != nil:
		return fmt.Errorf("create job %q: %w", job.Name, err)
	}
	return nil
}
