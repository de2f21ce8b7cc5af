package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// settings is the operator's configuration. Its times are a test's: everything
// that a platform waits minutes for takes seconds.
const settings = `
namespace: clarity
worker:
  image: registry.example/clarity/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000
  serviceAccount: clarity-worker
  configMap: clarity-worker
  resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
analysisJobs: {statusInterval: %[1]s, modelServer: true}
modelVersions:
  propagation: 2s
  evaluationInterval: 1s
  errorLimit: 3
  verifyTimeout: 1m
  retryAfter: 5s
  probeTimeout: 3s
  probeInterval: 1s
  prometheus: {url: "%[2]s", timeout: 2s, minWindow: 4s, minSamples: 5, retryAfter: 1s}
  feeds:
    - preprocessing: {name: "%[6]s", digest: "%[7]s"}
      window: {epochSeconds: 60, epochs: 10080}
      inputs: [{name: activity, dtype: FP32, dims: [10080]}]
  servingClasses:
    gpu-l4:
      image: registry.example/tritonserver@sha256:0000000000000000000000000000000000000000000000000000000000000000
      resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi, nvidia.com/gpu: "1"}}
      nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
      startTimeout: 1m
metrics: {address: "127.0.0.1:%[3]s", insecure: true}
health: {address: "127.0.0.1:%[4]s"}
pprof: {address: "127.0.0.1:%[5]s"}
`

// ports are where the manager listens.
var ports struct{ metrics, health, pprof string }

// startManager starts the operator's binary with the account's rights alone and waits until it is ready.
func (s *system) startManager() error {
	var held []net.Listener
	for _, port := range []*string{&ports.metrics, &ports.health, &ports.pprof} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		_, *port, _ = net.SplitHostPort(listener.Addr().String())
		held = append(held, listener)
	}
	for _, listener := range held { // until all were found, so that they differ
		listener.Close()
	}
	interval := "1s"
	if *scale {
		interval = "10s" // the default
	}
	b, err := tritontest.NewBundle("any", 1)
	if err != nil {
		return err
	}
	feed := preprocessingOf(b)
	content := fmt.Sprintf(settings, interval, s.prom.URL, ports.metrics, ports.health, ports.pprof, feed.Name, feed.Digest)
	if err := os.WriteFile(s.file("manager.yaml"), []byte(content), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return s.runManager()
}

// runManager starts the process, again where it was ended.
func (s *system) runManager() error {
	err := cluster.Started().Run("manager", filepath.Join(s.bin, "manager"), []string{"KUBECONFIG=" + s.file("manager.kubeconfig")},
		"--config="+s.file("manager.yaml"))
	if err != nil {
		return err
	}
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit) && kube.Runs(cluster.Started().Folder, "manager"); time.Sleep(50 * time.Millisecond) {
		if reply, err := http.Get("http://127.0.0.1:" + ports.health + "/readyz"); err == nil {
			reply.Body.Close()
			if reply.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	log, _ := os.ReadFile(s.file("log/manager.log"))
	return fmt.Errorf("the manager does not become ready: %s", log)
}

// killManager ends the process as a crash does.
func (s *system) killManager(t *testing.T) {
	t.Helper()
	if err := kube.StopOne(cluster.Started().Folder, "manager", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// write is one write of the operator that reached the API server, from its audit log.
type write struct {
	Verb      string `json:"verb"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	RequestURI string    `json:"requestURI"`
	At         time.Time `json:"requestReceivedTimestamp"`
}

// what names the kind of the write: "create jobs", "patch analysisjobs/status".
func (w write) what() string {
	resource := w.ObjectRef.Resource
	if w.ObjectRef.Subresource != "" {
		resource += "/" + w.ObjectRef.Subresource
	}
	return w.Verb + " " + resource
}

// writes are those of the operator since a time, but for events, which are told on transitions, and refused ones.
func (s *system) writes(since time.Time) ([]write, error) {
	file, err := os.Open(kube.AuditLog(cluster.Started().Folder))
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	defer file.Close()
	var all []write
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var w write
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			continue // the line that is being written
		}
		if w.At.After(since) && w.ResponseStatus.Code < 300 && w.ObjectRef.Resource != "events" {
			all = append(all, w)
		}
	}
	return all, lines.Err()
}

// get asks one of the manager's own servers.
func get(ctx context.Context, port, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return "", err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(reply.Body).WriteTo(&body); err != nil {
		return "", err
	}
	return body.String(), nil
}
