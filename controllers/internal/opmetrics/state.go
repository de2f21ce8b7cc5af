package opmetrics

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// scrapeTimeout bounds the reading of a cache that is not full yet.
const scrapeTimeout = 2 * time.Second

// State counts the cached objects when it is scraped. Every replica counts, the
// leader and those that wait: aggregate with max, not with sum.
type State struct {
	reader    client.Reader
	informers cache.Informers
	namespace string
	version   string
}

// NewState returns a collector over the manager's cache. The objects of the
// served namespace are counted; version is the operator's own.
func NewState(cached cache.Cache, namespace, version string) *State {
	return &State{reader: cached, informers: cached, namespace: namespace, version: version}
}

// Describe implements prometheus.Collector.
func (s *State) Describe(to chan<- *prometheus.Desc) {
	for _, m := range stateMetrics() {
		to <- m.desc()
	}
}

// Collect implements prometheus.Collector. A cache that cannot be read costs
// the gauges, never the scrape.
func (s *State) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	t := newTally()
	t.set(info, 1, s.version)
	readable := 1.0
	if err := s.count(ctx, t); err != nil {
		readable = 0
	}
	t.set(stateReadable, readable)
	t.tell(to)
}

func (s *State) count(ctx context.Context, t *tally) error {
	var found v1alpha1.ModelVersionList
	if err := s.reader.List(ctx, &found, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list model versions: %w", err)
	}
	var plans corev1.ConfigMapList
	err := s.reader.List(ctx, &plans, client.InNamespace(s.namespace),
		client.MatchingLabels{label.Component: label.Plan}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return fmt.Errorf("list traffic plans: %w", err)
	}
	t.name(found.Items, plans.Items)
	byModel := map[string]traffic.Plan{}
	for i := range plans.Items {
		t.plan(&plans.Items[i], byModel)
	}
	for i := range found.Items {
		t.modelVersion(&found.Items[i], byModel)
	}
	t.startJobs()
	return s.eachJob(ctx, t.analysisJob)
}

// eachJob visits the jobs where they lie in the cache, if they can be had
// there: a list of ten thousand would be a copy of ten thousand.
func (s *State) eachJob(ctx context.Context, visit func(*v1alpha1.AnalysisJob)) error {
	if s.informers != nil {
		informer, err := s.informers.GetInformer(ctx, &v1alpha1.AnalysisJob{})
		if err != nil {
			return fmt.Errorf("find cached analysis jobs: %w", err)
		}
		if holder, ok := informer.(interface{ GetStore() toolscache.Store }); ok {
			for _, o := range holder.GetStore().List() {
				if job, ok := o.(*v1alpha1.AnalysisJob); ok && job.Namespace == s.namespace {
					visit(job)
				}
			}
			return nil
		}
	}
	var list v1alpha1.AnalysisJobList
	if err := s.reader.List(ctx, &list, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list analysis jobs: %w", err)
	}
	for i := range list.Items {
		visit(&list.Items[i])
	}
	return nil
}
