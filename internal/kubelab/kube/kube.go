// Package kube builds and runs a real Kubernetes control plane on loopback:
// etcd, API server, controller manager, scheduler, and KWOK for nodes and pods
// that are simulated. Tests and `make cluster` use it; nothing shipped does.
package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Options say what is started and where.
type Options struct {
	// Root is the repository; Assets its programs, as Binaries returns them.
	Root, Assets string
	// Folder holds the data, certificates, logs, pids and the kubeconfig. It is emptied first.
	Folder string
	// Detached processes outlive this one; others end with it.
	Detached bool
	// PodCIDR is where simulated pods have their addresses: loopback, so that a
	// server for a pod can listen on the pod's own address.
	PodCIDR string
	// GPUNodes and CPUNodes are how many simulated nodes there are.
	GPUNodes, CPUNodes int
	// Audited is the user whose writes the API server records in AuditLog; nobody if empty.
	Audited string
}

// AuditLog is where the audited writes are, a JSON object a line.
func AuditLog(folder string) string { return filepath.Join(folder, "audit.log") }

// Kubeconfig is where Start leaves the administrator's kubeconfig.
func Kubeconfig(folder string) string { return filepath.Join(folder, "kubeconfig") }

// Start starts everything and returns once the API server is ready and the
// nodes are. What was started is in Processes(folder), also where it fails.
func Start(ctx context.Context, o Options) (*rest.Config, error) {
	folder, err := filepath.Abs(o.Folder)
	if err != nil {
		return nil, fmt.Errorf("find folder of the cluster: %w", err)
	}
	o.Folder = folder
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("empty folder of the cluster: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "log"), 0o750); err != nil {
		return nil, fmt.Errorf("make folder of the cluster: %w", err)
	}
	config, err := o.startServer(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.startControllers(); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return config, addNodes(ctx, client, o.GPUNodes, o.CPUNodes)
}

// startServer starts etcd and the API server and waits until it is ready.
func (o Options) startServer(ctx context.Context) (*rest.Config, error) {
	port, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	token, err := o.writeIdentities()
	if err != nil {
		return nil, err
	}
	client, peer := "http://127.0.0.1:"+port[0], "http://127.0.0.1:"+port[1]
	if err := o.Run("etcd", filepath.Join(o.Assets, "etcd"), nil,
		"--data-dir="+o.in("etcd"), "--unsafe-no-fsync", "--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return nil, err
	}
	audit, err := o.audit()
	if err != nil {
		return nil, err
	}
	if err := o.Run("kube-apiserver", filepath.Join(o.Assets, "kube-apiserver"), o.lavish(), append(audit, "--etcd-servers="+client, "--bind-address=127.0.0.1", "--secure-port="+port[2], "--cert-dir="+o.in("certs"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+o.in("sa.pub"),
		"--service-account-signing-key-file="+o.in("sa.key"), "--token-auth-file="+o.in("tokens.csv"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
		"--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000", "--enable-priority-and-fairness=false")...); err != nil {
		return nil, err
	}
	file := Kubeconfig(o.Folder)
	if err := o.awaitServer(ctx, "https://127.0.0.1:"+port[2], token, file); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS, config.Burst = -1, 0
	return config, nil
}

// lavish has a program of a test collect its garbage seldom: two cores are scarcer there than memory.
func (o Options) lavish() []string {
	if o.Detached || os.Getenv("GOGC") != "" {
		return nil
	}
	return []string{"GOGC=400"}
}

// audit says on the API server's command line whose writes are recorded.
func (o Options) audit() ([]string, error) {
	if o.Audited == "" {
		return nil, nil
	}
	policy := o.in("audit.yaml")
	content := fmt.Sprintf(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, users: [%q], verbs: [create, update, patch, delete, deletecollection]}
  - {level: None}
`, o.Audited)
	if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
		return nil, fmt.Errorf("write audit policy: %w", err)
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + AuditLog(o.Folder)}, nil
}

// awaitServer waits for the server's certificate, writes the kubeconfig with it, and waits until the server is ready.
func (o Options) awaitServer(ctx context.Context, address, token, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	written := false
	for {
		certificate, err := os.ReadFile(o.in("certs", "apiserver.crt"))
		if err == nil && !written {
			if err := WriteKubeconfig(file, address, certificate, token); err != nil {
				return err
			}
			written = true
		}
		if written && ready(ctx, file) {
			return nil
		}
		if gone := o.gone(); gone != "" {
			return o.Ended(gone)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server: %w; see %s", ctx.Err(), o.in("log"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Ended is the error of a program that did not stay, with the last it said:
// where the folder goes with a test, nobody could read it later.
func (o Options) Ended(name string) error {
	log := o.in("log", name+".log")
	said, err := os.ReadFile(log) //nolint:gosec // in our own folder
	if err != nil {
		return fmt.Errorf("start %s: it ended: %w", name, err)
	}
	said = bytes.TrimSpace(said[max(0, len(said)-2000):])
	return fmt.Errorf("start %s: it ended; the last of %s:\n%s", name, log, said)
}

func ready(ctx context.Context, file string) bool {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return false
	}
	config.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return false
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

// startControllers starts what acts on objects: every controller of
// Kubernetes, the scheduler, and KWOK in the place of the kubelets.
func (o Options) startControllers() error {
	kubeconfig := Kubeconfig(o.Folder)
	if err := o.Run("kube-controller-manager", filepath.Join(o.Assets, "kube-controller-manager"), nil,
		"--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0", "--service-account-private-key-file="+o.in("sa.key"),
		"--root-ca-file="+o.in("certs", "apiserver.crt"), "--flex-volume-plugin-dir="+o.in("flex"),
		"--kube-api-qps=2000", "--kube-api-burst=4000", "--concurrent-job-syncs=10",
		"--terminated-pod-gc-threshold=100000"); err != nil {
		return err
	}
	scheduler := o.in("scheduler.yaml")
	if err := os.WriteFile(scheduler, []byte(strings.Join([]string{
		"apiVersion: kubescheduler.config.k8s.io/v1", "kind: KubeSchedulerConfiguration", "leaderElection: {leaderElect: false}",
		fmt.Sprintf("clientConnection: {kubeconfig: %q, qps: 2000, burst: 4000}", kubeconfig), "",
	}, "\n")), 0o600); err != nil {
		return fmt.Errorf("write configuration of the scheduler: %w", err)
	}
	if err := o.Run("kube-scheduler", filepath.Join(o.Assets, "kube-scheduler"), nil, "--config="+scheduler, "--secure-port=0"); err != nil {
		return err
	}
	port, err := FreePorts(1)
	if err != nil {
		return err
	}
	args := []string{
		"--kubeconfig=" + kubeconfig, "--manage-nodes-with-label-selector=type=kwok", "--server-address=127.0.0.1:" + port[0],
		"--node-ip=127.0.0.1", "--node-lease-duration-seconds=40", "--cidr=" + o.PodCIDR,
	}
	stages, err := filepath.Glob(filepath.Join(o.Root, "hack", "controlplane", "stages", "*.yaml"))
	if err != nil || len(stages) == 0 {
		return errors.Join(errors.New("find KWOK's stages in hack/controlplane/stages"), err)
	}
	for _, stage := range stages {
		args = append(args, "--config="+stage)
	}
	return o.Run("kwok", filepath.Join(o.Assets, "kwok"), nil, args...)
}

// gone names a process that was started and ended, or "".
func (o Options) gone() string {
	for _, p := range Processes(o.Folder) {
		if !p.Alive() {
			return p.Name
		}
	}
	return ""
}

func (o Options) in(names ...string) string {
	return filepath.Join(append([]string{o.Folder}, names...)...)
}

// FreePorts returns n ports of 127.0.0.1 that were free a moment ago.
func FreePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }() // held until all are found, so that they differ
		if _, ports[i], err = net.SplitHostPort(listener.Addr().String()); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
	}
	return ports, nil
}
