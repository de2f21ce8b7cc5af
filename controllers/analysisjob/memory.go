package analysisjob

import (
	"maps"
	"slices"
	"strconv"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// memory keeps pods that ended until what they reported is on record. Counts
// are written at most once in an interval, and a node that goes away in that
// time takes its ended pods along. It is a help and not the record: an operator
// that starts anew has none, and what is then missing is told in uncounted.
type memory struct {
	mu   sync.Mutex
	jobs map[types.NamespacedName]map[types.UID]*corev1.Pod
}

// note keeps a pod of the job if it ended: the cache's own object, which nobody
// changes, so that it is held once.
func (m *memory) note(job types.NamespacedName, pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if hasEnded(pod) {
		m.keep(job, pod)
	}
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// keep keeps the pod; the lock is held.
func (m *memory) keep(job types.NamespacedName, pod *corev1.Pod) {
	if m.jobs == nil {
		m.jobs = map[types.NamespacedName]map[types.UID]*corev1.Pod{}
	}
	if m.jobs[job] == nil {
		m.jobs[job] = map[types.UID]*corev1.Pod{}
	}
	m.jobs[job][pod.UID] = pod
}

// complete returns the pods of the Job with those that ended and are gone, and
// forgets what the record of the job counts by now or another Job left behind.
func (m *memory) complete(job *v1alpha1.AnalysisJob, child *batchv1.Job, pods []corev1.Pod) []corev1.Pod {
	name := client.ObjectKeyFromObject(job)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range pods {
		if hasEnded(&pods[i]) && m.jobs[name][pods[i].UID] == nil {
			m.keep(name, new(pods[i]))
		}
	}
	kept, counted := m.jobs[name], bitmap(job.Status.Shards.Counted)
	maps.DeleteFunc(kept, func(_ types.UID, pod *corev1.Pod) bool {
		shard, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
		return err != nil || shard < 0 || counted.has(shard) || !slices.Contains(controllerUID(pod), string(child.UID))
	})
	there := make(map[types.UID]bool, len(pods))
	for i := range pods {
		there[pods[i].UID] = true
	}
	for uid, pod := range kept {
		if !there[uid] {
			pods = append(pods, *pod)
		}
	}
	return pods
}

// forget drops what is kept for a job that ended or is gone.
func (m *memory) forget(job types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, job)
}
