// Package survey reads what stands around one object: what was made for it,
// its pods, what happened to them. What cannot be read is told, not fatal: who
// may see the object alone still gets an answer.
package survey

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
)

// A Survey is what was read around one object: Version or Job is set.
type Survey struct {
	Version *v1alpha1.ModelVersion
	Job     *v1alpha1.AnalysisJob

	// Children are what the operator and the cluster's controllers made for the object, without pods.
	Children []client.Object
	// Pods are those that were read; More says that there are others.
	Pods []corev1.Pod
	More bool
	// Plan is the ConfigMap of the version's model; nil where there is none.
	Plan *corev1.ConfigMap
	// Workload is Kueue's object for the job; nil where there is none.
	Workload *unstructured.Unstructured
	// Events are about the object, its children and its troubled pods, the newest last.
	Events []corev1.Event
	// Unread says what could not be read, and why.
	Unread []string
}

// Object is the Version or the Job.
func (s *Survey) Object() client.Object {
	if s.Version != nil {
		return s.Version
	}
	return s.Job
}

// Target names the object.
func (s *Survey) Target() kube.Target {
	if s.Version != nil {
		return kube.Target{Kind: kube.ModelVersion, Name: s.Version.Name}
	}
	return kube.Target{Kind: kube.AnalysisJob, Name: s.Job.Name}
}

// Depth is how much to read.
type Depth struct {
	// Pods is at most how many pods of a job are read; all of them if 0.
	Pods int
	// Waiting reads only those pods of a job that have not started.
	Waiting bool
	// Events reads the events, too.
	Events bool
}

// Of reads around the target.
func Of(ctx context.Context, c *kube.Cluster, t kube.Target, d Depth) (*Survey, error) {
	s := &Survey{}
	var err error
	if t.Kind == kube.ModelVersion {
		if s.Version, err = c.GetVersion(ctx, t.Name); err == nil {
			err = s.readVersion(ctx, c)
		}
	} else if s.Job, err = c.GetJob(ctx, t.Name); err == nil {
		err = s.readJob(ctx, c, d)
	}
	if err == nil && d.Events {
		err = s.readEvents(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Survey) readVersion(ctx context.Context, c *kube.Cluster) error {
	children, failed := c.Children(ctx, s.Version.Spec.Model, s.Version.Spec.Version)
	for _, o := range s.ownedBy(children) {
		if pod, ok := o.(*corev1.Pod); ok {
			s.Pods = append(s.Pods, *pod)
			continue
		}
		s.Children = append(s.Children, o)
	}
	_, plan, err := c.GetPlan(ctx, s.Version.Spec.Model)
	if err == nil {
		s.Plan = plan
	}
	return s.note(ctx, append(failed, ignoreAbsent(err))...)
}

// ownedBy keeps what belongs to the object by its label or by its chain of
// owners: an older object of the same version had children that are still going.
func (s *Survey) ownedBy(children []client.Object) []client.Object {
	uid := s.Object().GetUID()
	suffix := label.InstanceSuffix(string(uid))
	ours := map[types.UID]bool{uid: true}
	for range 3 { // object, Deployment, ReplicaSet
		for _, o := range children {
			if strings.HasSuffix(o.GetLabels()[label.Instance], suffix) {
				ours[o.GetUID()] = true
			}
			for _, owner := range o.GetOwnerReferences() {
				if ours[owner.UID] {
					ours[o.GetUID()] = true
				}
			}
		}
	}
	return slices.DeleteFunc(children, func(o client.Object) bool { return !ours[o.GetUID()] })
}

func (s *Survey) readJob(ctx context.Context, c *kube.Cluster, d Depth) error {
	if s.Job.Status.Job == "" {
		return nil
	}
	batch, err := c.GetBatchJob(ctx, s.Job.Status.Job)
	if err != nil {
		return s.note(ctx, ignoreAbsent(err))
	}
	s.Children = append(s.Children, batch)
	var phase corev1.PodPhase
	if d.Waiting {
		phase = corev1.PodPending
	}
	var pods, queue error
	s.Pods, s.More, pods = c.PodsOf(ctx, batch, phase, "", d.Pods)
	if s.Job.Spec.QueueName != "" {
		s.Workload, queue = c.Workload(ctx, batch)
	}
	return s.note(ctx, pods, queue)
}

// Batch is the job's Job; nil where there is none.
func (s *Survey) Batch() *batchv1.Job {
	for _, o := range s.Children {
		if job, ok := o.(*batchv1.Job); ok && s.Job != nil {
			return job
		}
	}
	return nil
}

// asked is of how many troubled pods the events are read.
const asked = 3

// readEvents reads the events about the object, about what makes pods for it,
// and about its troubled pods, all at once.
func (s *Survey) readEvents(ctx context.Context, c *kube.Cluster) error {
	about := []client.Object{s.Object()}
	for _, o := range s.Children {
		switch o.(type) {
		case *batchv1.Job, *appsv1.Deployment, *appsv1.ReplicaSet, *autoscalingv2.HorizontalPodAutoscaler:
			about = append(about, o)
		}
	}
	troubled := Troubled(s.Pods)
	for _, t := range troubled[:min(len(troubled), asked)] {
		about = append(about, t.Pod)
	}
	events, errs := make([][]corev1.Event, len(about)), make([]error, len(about))
	var all sync.WaitGroup
	for i, o := range about {
		all.Go(func() { events[i], errs[i] = c.EventsOf(ctx, o) })
	}
	all.Wait()
	s.Events = slices.Concat(events...)
	slices.SortStableFunc(s.Events, func(a, b corev1.Event) int { return EventTime(a).Compare(EventTime(b)) })
	for _, err := range errs {
		if err != nil {
			return s.note(ctx, err) // one refusal is all of them
		}
	}
	return ctx.Err()
}

// note keeps what could not be read; only the end of the command itself is an error.
func (s *Survey) note(ctx context.Context, errs ...error) error {
	for _, err := range errs {
		if err != nil {
			s.Unread = append(s.Unread, err.Error())
		}
	}
	return ctx.Err()
}

func ignoreAbsent(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.NotFound {
		return nil
	}
	return err
}
