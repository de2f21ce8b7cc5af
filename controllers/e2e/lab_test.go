package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/modeltest"
	router "github.com/clarity-loop/clarity/services/model/traffic"
	"github.com/clarity-loop/clarity/services/model/traffic/configmap"
	"github.com/clarity-loop/clarity/services/model/triton"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// A lab is one model of a test's own: its versions with their bundles, a stand-in
// for Triton on the address of each of their pods, and a worker's router.
type lab struct {
	t     *testing.T
	s     *system
	model string

	mu      sync.Mutex
	builds  map[string]*build
	serving map[string]int // ready servers, by version

	router      *router.Router
	asked, lost atomic.Int64
	answered    sync.Map // version's digest → *atomic.Int64
}

// A build is one version, and what is wrong with its servers.
type build struct {
	seed   float64 // of what they compute
	bundle *bundle.Bundle
	faults tritontest.Faults
	// crashes has the server end at once, every time.
	crashes bool
	running []*tritontest.Server
	checked map[string]bool // checks that ended well
}

// good is a seed whose outputs differ from those of seed 1 by next to nothing.
const good = 1.0001

// newLab begins a model whose clients ask rate times a second.
func newLab(t *testing.T, s *system, name string, rate int) *lab {
	t.Helper()
	l := &lab{t: t, s: s, model: name, builds: map[string]*build{}, serving: map[string]int{}}
	s.roles.add(l)
	l.follow(rate)
	return l
}

// build makes the version's bundle and returns its object: shadow, two steps, four gates.
func (l *lab) build(version string, seed float64) *v1alpha1.ModelVersion {
	l.t.Helper()
	b, err := tritontest.NewBundle(l.model, seed)
	if err != nil {
		l.t.Fatal(err)
	}
	// Seeds make weights; the card tells versions of one seed apart.
	b.Card += "\n" + version
	file, err := bundle.Write(b)
	if err != nil {
		l.t.Fatal(err)
	}
	golden, err := json.Marshal(b.Golden)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.builds[version] = &build{seed: seed, bundle: b, checked: map[string]bool{}}
	l.mu.Unlock()
	return l.object(version, b, l.write(version+".bundle", file), bundle.DigestOf(golden), l.write(version+".golden.json", golden))
}

func (l *lab) write(name string, content []byte) string {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return "file://" + file
}

func (l *lab) object(version string, b *bundle.Bundle, uri, golden, goldenURI string) *v1alpha1.ModelVersion {
	short := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	mv := &v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: l.model + "-" + version, Namespace: namespace},
		Spec: v1alpha1.ModelVersionSpec{
			Model: l.model, Version: version,
			Artifact:   v1alpha1.Artifact{URI: uri, Digest: b.Digest},
			Contract:   contractOf(b),
			Serving:    v1alpha1.Serving{Class: "gpu-l4", Replicas: v1alpha1.Replicas{Min: 2, Max: 2}},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: goldenURI, Digest: golden}, Tolerance: "1e-3", Timeout: short(time.Minute)},
			Rollout: v1alpha1.Rollout{
				Strategy: v1alpha1.StrategyCanary, KeepWarm: short(time.Hour),
				Shadow: &v1alpha1.Shadow{Percent: 100, MinSamples: 20},
				Steps: []v1alpha1.Step{
					{Weight: 30, MinDuration: short(2 * time.Second), MinSamples: 10},
					{Weight: 60, MinDuration: short(2 * time.Second)},
				},
				Gates: []v1alpha1.Gate{
					gate("p99", v1alpha1.GateSource{Latency: &v1alpha1.LatencySource{}}, "1"),
					gate("errors", v1alpha1.GateSource{ErrorRate: &v1alpha1.ErrorRateSource{}}, "0.01"),
					gate("drift", v1alpha1.GateSource{ShadowDrift: &v1alpha1.ShadowDriftSource{Output: "embedding"}}, "0.05"),
					gate("nan", v1alpha1.GateSource{NaN: &v1alpha1.NaNSource{}}, "0"),
				},
			},
		},
	}
	return mv
}

// contractOf is the bundle's contract in the words of the object.
func contractOf(b *bundle.Bundle) v1alpha1.Contract {
	c := v1alpha1.Contract{
		Inputs:        []v1alpha1.Tensor{{Name: b.Contract.Input.Name, DType: "FP32", Dims: []int64{model.Minutes}}},
		Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: model.Minutes},
		Preprocessing: preprocessingOf(b),
	}
	for _, o := range b.Contract.Outputs {
		kind := v1alpha1.OutputKind("Sequence")
		if o.Name == "embedding" {
			kind = "Embedding"
		}
		c.Outputs = append(c.Outputs, v1alpha1.OutputTensor{Tensor: v1alpha1.Tensor{Name: o.Name, DType: "FP32", Dims: []int64{int64(o.Length)}}, Kind: kind})
	}
	return c
}

func preprocessingOf(b *bundle.Bundle) v1alpha1.Preprocessing {
	return v1alpha1.Preprocessing{Name: b.Contract.Preprocessing.ID, Digest: b.Contract.Preprocessing.Digest}
}

// serve plays Triton for one pod of the model.
func (l *lab) serve(ctx context.Context, pod *corev1.Pod) error {
	version := pod.Labels["clarityloop.dev/version"]
	l.mu.Lock()
	b := l.builds[version]
	l.mu.Unlock()
	if b.crashes {
		return errors.New("CUDA error: out of memory")
	}
	server, err := tritontest.New(tritontest.Config{
		Bundle: b.bundle, Model: l.model, Backend: tritontest.Synthetic{Seed: b.seed},
		GRPC: net.JoinHostPort(pod.Status.PodIP, "8001"), HTTP: net.JoinHostPort(pod.Status.PodIP, "8000"),
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	server.Set(b.faults)
	b.running = append(b.running, server)
	l.serving[version]++
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.serving[version]--
	l.mu.Unlock()
	server.Drain()
	return nil
}

// breaks switches faults of a version's servers on.
func (l *lab) breaks(version string, f tritontest.Faults) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.builds[version]
	b.faults = f
	for _, server := range b.running {
		server.Set(f)
	}
}

// check has the worker's own binary verify and validate, as the pod's arguments say.
func (l *lab) check(ctx context.Context, pod *corev1.Pod) node.End {
	end := node.Exec(ctx, pod, filepath.Join(l.s.bin, "worker"), nil, func(args []string) []string {
		args = slices.Clone(args)
		for i, arg := range args {
			if endpoint, found := strings.CutPrefix(arg, "--endpoint="); found {
				args[i] = "--endpoint=" + l.s.resolve(ctx, endpoint)
			}
		}
		return args
	})
	if end.ExitCode == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.builds[pod.Labels["clarityloop.dev/version"]].checked[pod.Labels[label.Component]] = true
	}
	return end
}

// resolve is the address of one ready pod of a Service; the endpoint itself where there is none.
func (s *system) resolve(ctx context.Context, endpoint string) string {
	found, err := s.lookup(ctx, endpoint)
	if err != nil || len(found) == 0 {
		return endpoint
	}
	return found[0]
}

// fit says whether the version may be given traffic: a server of it is ready, and both checks went well.
func (l *lab) fit(version string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.builds[version]
	return b != nil && l.serving[version] > 0 && b.checked[label.Verify] && b.checked[label.Validate]
}

// follow has a router of the worker's kind follow the plan, and clients ask it.
func (l *lab) follow(rate int) {
	l.t.Helper()
	source, err := configmap.New(l.s.rest, namespace, l.model)
	if err != nil {
		l.t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	l.s.meter.add(registry)
	l.router, err = router.New(router.Options{
		Model: l.model, Source: source, Open: l.open, Metrics: registry, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = l.router.Run(ctx) })
	all.Go(func() { l.clients(ctx, rate) })
	l.t.Cleanup(func() {
		stop()
		all.Wait()
		l.router.Close()
	})
}

// open connects to a version by what the cluster says of its Service, as DNS would.
func (l *lab) open(ctx context.Context, name string, e traffic.Entry) (model.Model, func(), error) {
	c, err := triton.Dial(ctx, e.Endpoint, triton.Version{Model: name, Digest: e.Digest}, triton.Options{
		Refresh: 500 * time.Millisecond, Lookup: l.s.lookup,
	})
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// lookup returns the addresses of a headless Service's ready pods, as DNS would.
// Pods have addresses of loopback, which EndpointSlices may not hold, so the
// pods are looked for by the label that the Service selects by.
func (s *system) lookup(_ context.Context, endpoint string) ([]string, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, err
	}
	service, _, _ := strings.Cut(host, ".")
	var found []string
	for _, pod := range s.pods() {
		ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if ready && pod.DeletionTimestamp == nil && pod.Labels["app.kubernetes.io/instance"] == service &&
			pod.Labels[label.Component] == label.Server {
			found = append(found, net.JoinHostPort(pod.Status.PodIP, port))
		}
	}
	return found, nil
}

// pods are those of the namespace, as the API server said last.
func (s *system) pods() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, o := range s.informer.GetStore().List() {
		pods = append(pods, o.(*corev1.Pod))
	}
	return pods
}

const subjects = 300

// clients ask for one subject after another, at a rate that does not wait for
// answers. A request that cannot be sent since too many wait is lost, too.
func (l *lab) clients(ctx context.Context, rate int) {
	if l.router.Ready(ctx) != nil {
		return
	}
	var weeks [4][]model.Window
	for i := range weeks {
		weeks[i] = []model.Window{modeltest.Week(i)}
	}
	var unsent atomic.Int64
	load{
		rate: rate, most: mostUnderWay,
		send: func(n int) { l.ask(weeks[n%len(weeks)]) },
		unsent: func(int) {
			if unsent.Add(1) == 1 {
				l.t.Errorf("a request to %s could not be sent: %d wait for their answers", l.model, mostUnderWay)
			}
		},
	}.run(ctx)
	if n := unsent.Load(); n > 0 {
		l.t.Errorf("%d requests to %s could not be sent", n, l.model)
	}
}

func (l *lab) ask(week []model.Window) {
	// What was asked is answered, also when the test is over; how soon is the machine's matter.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, release, err := l.router.For(fmt.Sprintf("subject-%d", rand.IntN(subjects)))
	into := make([]model.Inference, 1)
	if err == nil {
		defer release()
		err = m.Infer(ctx, week, into)
	}
	if err == nil {
		err = into[0].Refused
	}
	l.asked.Add(1)
	if err != nil {
		if l.lost.Add(1) <= 3 {
			l.t.Errorf("a request to %s was lost: %v", l.model, err)
		}
		return
	}
	count, _ := l.answered.LoadOrStore(into[0].Version, new(atomic.Int64))
	count.(*atomic.Int64).Add(1)
}

// answers is how many requests the version has answered.
func (l *lab) answers(version string) int64 {
	l.mu.Lock()
	digest := l.builds[version].bundle.Digest
	l.mu.Unlock()
	if count, found := l.answered.Load(digest); found {
		return count.(*atomic.Int64).Load()
	}
	return 0
}

func gate(name string, source v1alpha1.GateSource, most string) v1alpha1.Gate {
	return v1alpha1.Gate{Name: name, Source: source, Max: new(resource.MustParse(most)), FailureLimit: 1}
}
