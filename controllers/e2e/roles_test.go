package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/controllers/analysisjob"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
)

// roles say what the programs of a test's pods do: shards by their AnalysisJob's
// name, a model's servers and checks by the model. A pod without a role is
// simulated to go well.
type roles struct {
	mu   sync.Mutex
	jobs map[string]func(context.Context, *corev1.Pod) node.End
	labs map[string]*lab
}

// play gives the shards of an AnalysisJob their role.
func (r *roles) play(job string, as func(context.Context, *corev1.Pod) node.End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.jobs == nil {
		r.jobs = map[string]func(context.Context, *corev1.Pod) node.End{}
	}
	r.jobs[job] = as
}

// add gives the pods of a model their role.
func (r *roles) add(l *lab) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.labs == nil {
		r.labs = map[string]*lab{}
	}
	r.labs[l.model] = l
}

// lab is the model's; nil where it is simulated.
func (r *roles) lab(model string) *lab {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.labs[model]
}

func (r *roles) job(ctx context.Context, pod *corev1.Pod) node.End {
	r.mu.Lock()
	as := r.jobs[pod.Annotations[analysisjob.JobAnnotation]]
	r.mu.Unlock()
	switch l := r.lab(pod.Labels[label.Model]); {
	case as != nil:
		return as(ctx, pod)
	case l != nil:
		return l.check(ctx, pod)
	}
	return node.SimulatedJob(0)(ctx, pod)
}

func (r *roles) server(ctx context.Context, pod *corev1.Pod) error {
	if l := r.lab(pod.Labels[label.Model]); l != nil {
		return l.serve(ctx, pod)
	}
	return node.SimulatedServer(ctx, pod)
}

// meter shows Prometheus what the routers of all models measure.
type meter struct {
	mu   sync.Mutex
	all  prometheus.Gatherers
	addr string
}

// start serves the metrics and returns what stops that.
func (m *meter) start() (stop func() error, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	m.addr = listener.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		all := append(prometheus.Gatherers{}, m.all...)
		m.mu.Unlock()
		promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	return server.Close, nil
}

func (m *meter) add(g prometheus.Gatherer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, g)
}
