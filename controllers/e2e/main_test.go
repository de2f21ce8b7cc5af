// Package e2e holds no code: its tests run the operator's own binary against a
// real control plane with simulated nodes, as a platform would, and watch what
// must hold always through the whole run. `make e2e` runs them.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/clarity-loop/clarity/controllers/operator"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
	"github.com/clarity-loop/clarity/internal/kubelab/prometheustest"
	"github.com/clarity-loop/clarity/internal/kubelab/testenv"
)

const (
	namespace = "clarity"
	account   = "clarity-manager"
)

var (
	whole = flag.Bool("e2e", false, "run the tests of this package; `make e2e`")
	scale = flag.Bool("e2e.scale", false, "measure the operator at scale and nothing else; `make bench-operator`")
	many  = flag.Int("e2e.jobs", 10_000, "how many AnalysisJobs a measurement creates")
	built = flag.String("e2e.bin", "", "a folder with manager, worker and kubectl-clarity; empty builds them")
	logs  = flag.String("e2e.logs", "", "keep the logs of a failed run in this folder")
)

var cluster = testenv.Cluster{Whole: true, Audited: "system:serviceaccount:" + namespace + ":" + account}

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard())
	if *scale {
		cluster.CPUNodes, cluster.GPUNodes = 50, 20
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if folder := cluster.Started().Folder; code != 0 && *logs != "" && folder != "" {
		_ = os.RemoveAll(*logs)
		if err := os.CopyFS(*logs, os.DirFS(filepath.Join(folder, "log"))); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// system is the cluster with the operator in it. One is shared by all tests,
// which differ in the names of their models and jobs.
type system struct {
	once  sync.Once
	err   error
	rest  *rest.Config
	live  client.WithWatch
	bin   string
	roles roles
	watch *watcher
	meter meter
	// informer knows the pods, so that nobody asks the API server over and over.
	informer cache.SharedIndexInformer
	prom     *prometheustest.Server
	end      []func() error
}

var shared system

// start starts the cluster and the operator once; Prometheus ends with the test that comes first.
func start(t *testing.T) *system {
	t.Helper()
	if !*whole && !*scale {
		t.Skip("`make e2e` runs this")
	}
	config := cluster.Start(t)
	shared.once.Do(func() { shared.err = shared.start(t, config) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &shared
}

func (s *system) start(t *testing.T, config *rest.Config) (err error) {
	s.rest = config
	stop, err := s.meter.start()
	if err != nil {
		return err
	}
	s.end = append(s.end, stop)
	if s.prom = (&prometheustest.Server{URL: "http://127.0.0.1:9"}); !*scale { // no gate is measured
		s.prom = prometheustest.Start(t, prometheustest.Options{Targets: []string{s.meter.addr}})
	}
	scheme, err := operator.Scheme()
	if err != nil {
		return err
	}
	if s.live, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := s.build("manager", "worker", "kubectl-clarity"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = append(s.end, func() error { cancel(); return nil })
	if err := s.install(ctx); err != nil {
		return err
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(clientset, 0, informers.WithNamespace(namespace))
	s.informer = factory.Core().V1().Pods().Informer()
	factory.Start(ctx.Done())
	nodes := &node.Nodes{Client: clientset, Namespace: namespace, Job: s.roles.job, Server: s.roles.server}
	var group sync.WaitGroup
	group.Go(func() { _ = nodes.Run(ctx) })
	s.end = append(s.end, func() error { cancel(); group.Wait(); return nil })
	if s.watch, err = watch(ctx, s); err != nil {
		return err
	}
	return s.startManager()
}

// stop ends what start started, the last first.
func (s *system) stop() error {
	var faults []error
	for i := len(s.end) - 1; i >= 0; i-- {
		faults = append(faults, s.end[i]())
	}
	return errors.Join(faults...)
}

// build builds programs of ours, as `make build` does.
func (s *system) build(names ...string) error {
	if s.bin = *built; s.bin != "" {
		return nil
	}
	s.bin = filepath.Join(cluster.Started().Folder, "bin")
	args := []string{"build", "-trimpath", "-o", s.bin + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, "github.com/clarity-loop/clarity/cmd/"+name)
	}
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", strings.Join(names, ", "), err, output)
	}
	return nil
}

// install makes the namespace, with the restricted profile enforced, and gives
// the operator's account the generated rights and nothing more.
func (s *system) install(ctx context.Context) error {
	config := filepath.Join(cluster.Started().Root, "config")
	for _, file := range []string{"default/namespace.yaml", "manager/service_accounts.yaml", "manager/worker_config.yaml"} {
		if _, err := s.kubectl("apply", "-f", filepath.Join(config, file)); err != nil {
			return err
		}
	}
	crds := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{workloadCRD()}}
	if _, err := envtest.InstallCRDs(s.rest, crds); err != nil {
		return fmt.Errorf("install Kueue's kind: %w", err)
	}
	if _, err := s.kubectl("apply", "-k", filepath.Join(config, "rbac")); err != nil {
		return err
	}
	return kube.WriteAccountKubeconfig(ctx, s.rest, namespace, account, s.file("manager.kubeconfig"))
}

// file names a file of the cluster's folder.
func (s *system) file(name string) string { return filepath.Join(cluster.Started().Folder, name) }

// kubectl runs the real kubectl as the administrator and returns what it prints.
func (s *system) kubectl(args ...string) (string, error) {
	o := cluster.Started()
	command := exec.Command(filepath.Join(o.Assets, "kubectl"), append([]string{"--kubeconfig", kube.Kubeconfig(o.Folder), "--namespace", namespace}, args...)...)
	var errs strings.Builder
	command.Stderr = &errs
	output, err := command.Output()
	if err != nil {
		return string(output), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(output), nil
}

// line is what `kubectl get` says of an object, a row of its table without the header.
func (s *system) line(t *testing.T, kind, name string) string {
	t.Helper()
	output, err := s.kubectl("get", kind, name, "--no-headers")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(output), " ")
}

// eventually waits until the question is answered with yes.
func eventually(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(within); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("after %v still not: %s", within, what)
		}
	}
}
