// Package testenv runs a real control plane for tests: an API server with the
// Job controller and the garbage collector, or, where Whole is asked for, every
// controller, the scheduler and simulated nodes.
//
// The binaries are built once from hack/controlplane into the user's cache;
// see internal/kubelab/kube. Only tests import this package.
package testenv

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

// Cluster is a control plane shared by the tests of one package. The zero
// value is ready; the first Start starts it, and Stop, called from TestMain, stops it.
type Cluster struct {
	// Whole is for a control plane with every controller of Kubernetes, the
	// scheduler, and nodes with and without GPUs that KWOK simulates.
	Whole bool
	// Audited is the user whose writes a Whole cluster records.
	Audited string
	// CPUNodes and GPUNodes are how many nodes without and with GPUs a Whole cluster has; 4 if zero.
	CPUNodes, GPUNodes int

	once    sync.Once
	err     error
	config  *rest.Config
	live    client.WithWatch
	env     *envtest.Environment
	manager *exec.Cmd
	scratch string
	whole   kube.Options
}

// asked is the environment variable that says a control plane is wanted: its
// first build takes ten minutes, so nobody gets it unasked.
const asked = "CLARITY_CONTROLPLANE"

// Start starts the control plane with the kinds of config/crd once and returns
// a configuration that may do everything. Where no control plane was asked for
// it skips the test and says so; one that was asked for and cannot be had fails it.
func (c *Cluster) Start(t *testing.T) *rest.Config {
	t.Helper()
	c.once.Do(func() { c.err = c.start() })
	if errors.Is(c.err, errNotAsked) {
		t.Skip(c.err)
	}
	if c.err != nil {
		t.Fatalf("start control plane: %v", c.err)
	}
	return rest.CopyConfig(c.config)
}

var errNotAsked = errors.New("no control plane to test on: `make test-operator` builds one and asks for it with " + asked + "=1")

func (c *Cluster) start() error {
	if os.Getenv(asked) == "" && os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errNotAsked
	}
	root, err := kube.Root()
	if err != nil {
		return err
	}
	assets, err := kube.Binaries(root)
	if err != nil {
		return err
	}
	if c.scratch, err = os.MkdirTemp("", "clarity-controlplane-"); err != nil {
		return fmt.Errorf("make scratch directory: %w", err)
	}
	begin := c.startLight
	if c.Whole {
		begin = c.startWhole
	}
	if err := begin(root, assets); err != nil {
		return err
	}
	return c.connect()
}

// connect makes the client that may do everything: one, since each asks the
// server for all that it serves before it finds a kind.
func (c *Cluster) connect() error {
	scheme, err := kinds()
	if err == nil {
		c.live, err = client.NewWithWatch(c.config, client.Options{Scheme: scheme})
	}
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return nil
}

// startWhole starts everything a cluster has but machines.
func (c *Cluster) startWhole(root, assets string) (err error) {
	c.whole = kube.Options{
		Root: root, Assets: assets, Folder: filepath.Join(c.scratch, "cluster"), GPUNodes: cmp.Or(c.GPUNodes, 4), CPUNodes: cmp.Or(c.CPUNodes, 4),
		// Of its own, so that two clusters on a machine do not share addresses.
		PodCIDR: fmt.Sprintf("127.%d.0.0/16", 2+os.Getpid()%250),
		Audited: c.Audited,
	}
	if c.config, err = kube.Start(context.Background(), c.whole); err != nil {
		return err
	}
	_, err = envtest.InstallCRDs(c.config, envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd")}, ErrorIfPathMissing: true})
	if err != nil {
		return fmt.Errorf("install kinds: %w", err)
	}
	return nil
}

// Started tells how a Whole cluster was started: its folder holds the
// kubeconfig and the logs, and more programs can be run beside it.
func (c *Cluster) Started() kube.Options { return c.whole }

// startLight starts what the tests of a controller need.
func (c *Cluster) startLight(root, assets string) (err error) {
	c.env = &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join(root, "config", "crd")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 3 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	server := c.env.ControlPlane.GetAPIServer()
	server.Path = filepath.Join(assets, "kube-apiserver")
	// Without a watch cache, a list is one read of etcd. With it, a list that follows a write to
	// anything waits for the cache to hear of that, which it asks for ten times a second.
	server.Configure().
		Set("watch-cache", "false").
		Set("enable-priority-and-fairness", "false").
		Set("max-requests-inflight", "2000").Set("max-mutating-requests-inflight", "1000")
	c.env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	c.env.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "true")
	if err := lavishly(func() error { c.config, err = c.env.Start(); return err }); err != nil {
		return fmt.Errorf("start API server: %w", err)
	}
	c.config.QPS, c.config.Burst = -1, 0
	return c.startControllerManager(filepath.Join(assets, "kube-controller-manager"))
}

// lavishly has the programs that start starts collect their garbage seldom, unless the
// environment says how often: two cores are scarcer in a test than memory. They have this
// process's environment, which envtest gives no other way to add to.
func lavishly(start func() error) error {
	const collect = "GOGC"
	if os.Getenv(collect) != "" {
		return start()
	}
	if err := os.Setenv(collect, "400"); err != nil {
		return fmt.Errorf("set %s: %w", collect, err)
	}
	return errors.Join(start(), os.Unsetenv(collect))
}

// startControllerManager runs the Job controller and the garbage collector.
func (c *Cluster) startControllerManager(path string) error {
	user, err := c.env.AddUser(envtest.User{Name: "controller-manager", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return fmt.Errorf("add user controller-manager: %w", err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	file := filepath.Join(c.scratch, "kubeconfig")
	if err := os.WriteFile(file, kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	log, err := os.Create(filepath.Join(c.scratch, "kube-controller-manager.log"))
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer func() { _ = log.Close() }()                                                                                           // the child has a descriptor of its own
	c.manager = exec.CommandContext(context.Background(), path, "--kubeconfig="+file, "--leader-elect=false", "--secure-port=0", //nolint:gosec // our own binary
		"--controllers=job-controller,garbage-collector-controller", "--concurrent-job-syncs=10",
		"--flex-volume-plugin-dir="+c.scratch, "--kube-api-qps=2000", "--kube-api-burst=4000")
	c.manager.Env = append(os.Environ(), "KUBELAB_JOB_PERIOD=20ms")
	c.manager.Stdout, c.manager.Stderr = log, log
	if err := c.manager.Start(); err != nil {
		return fmt.Errorf("start controller manager: %w", err)
	}
	return nil
}

// Stop stops what Start started.
func (c *Cluster) Stop() error {
	if c.whole.Folder != "" {
		if err := kube.Stop(c.whole.Folder); err != nil {
			return err
		}
	}
	if c.manager != nil && c.manager.Process != nil {
		if err := c.manager.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop controller manager: %w", err)
		}
		_ = c.manager.Wait() // it was killed: that is the error
	}
	if c.scratch != "" {
		if err := os.RemoveAll(c.scratch); err != nil {
			return fmt.Errorf("remove scratch directory: %w", err)
		}
	}
	if c.env == nil || c.config == nil {
		return nil
	}
	if err := c.env.Stop(); err != nil {
		return fmt.Errorf("stop API server: %w", err)
	}
	return nil
}

// atATime is how many parallel tests run where -parallel does not say: they wait
// for servers more than they compute.
const atATime = "6"

// Main runs the package's tests and then stops the cluster.
func Main(m *testing.M, c *Cluster) int {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		if err := flag.Set("test.parallel", atATime); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}
