package charts_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/clarity-loop/clarity/controllers/operator"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/internal/kubelab/node"
)

// helm runs Helm against the cluster.
func (l *lab) helm(t *testing.T, args ...string) string {
	t.Helper()
	output, err := helm(t, append(args, "--kubeconfig="+l.kubeconfig, "--namespace="+namespace)...)
	if err != nil {
		t.Fatalf("helm %s: %v", strings.Join(args, " "), err)
	}
	return output
}

// The life of a release: it is installed with everything within the restricted
// profile, tested, upgraded, and removed; the manager works with the rights it
// was given and no others; definitions and objects outlive the release.
func TestTheLifeOfARelease(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	t.Cleanup(func() { l.removeLeftovers(t) })
	notes := l.helm(t, "install", "clarity", chart, "--values="+full, "--wait", "--timeout=3m")
	for _, told := range []string{"The operator serves the namespace clarity", "The data plane runs ingress,insights,worker"} {
		if !strings.Contains(notes, told) {
			t.Errorf("%q is not told in:\n%s", told, notes)
		}
	}
	for _, untold := range []string{"does not enforce the restricted profile", "NO IMAGE", "NO DRIVERS", "NO ADDRESS"} {
		if strings.Contains(notes, untold) {
			t.Errorf("%q is told", untold)
		}
	}
	t.Run("every pod runs within the restricted profile", func(t *testing.T) { l.everyPodRuns(t) })
	t.Run("helm test passes, and what it runs is right", l.helmTestPasses)
	t.Run("the operator does its work with the rights it was given", l.operatorWorks)
	t.Run("an upgrade changes the configuration and restarts the manager", l.upgradeRestarts)
	t.Run("objects outlive the release", l.objectsOutlive)
}

func (l *lab) removeLeftovers(t *testing.T) {
	_, _ = helm(t, "uninstall", "clarity", "--kubeconfig="+l.kubeconfig, "--namespace="+namespace)
}

// everyPodRuns holds every Deployment against its pods: admission refuses a pod
// that leaves the profile, and then there are fewer.
func (l *lab) everyPodRuns(t *testing.T) {
	deployments, err := l.client.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range deployments.Items {
		names = append(names, d.Name)
		if d.Status.ReadyReplicas < 1 || d.Status.ReadyReplicas != *d.Spec.Replicas {
			t.Errorf("%s has %d of %d replicas", d.Name, d.Status.ReadyReplicas, *d.Spec.Replicas)
		}
	}
	if want := []string{"clarity-ingress", "clarity-insights", "clarity-manager", "clarity-worker"}; !slices.Equal(names, want) {
		t.Errorf("deployments %v, want %v", names, want)
	}
	// The profile bites: a pod that leaves it is refused here.
	loose := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "loose"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c"}}}}
	if _, err := l.client.CoreV1().Pods(namespace).Create(t.Context(), loose, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "restricted") {
		t.Errorf("a pod outside the profile: %v", err)
	}
}

// helmTestPasses runs `helm test` with simulated nodes, and then what each
// test's container would have run, against the same API server.
func (l *lab) helmTestPasses(t *testing.T) {
	output := l.helm(t, "test", "clarity", "--timeout=2m")
	if n := strings.Count(output, "Phase:          Succeeded"); n < 5 {
		t.Errorf("%d tests succeeded:\n%s", n, output)
	}
	var objects strings.Builder
	for _, o := range parse(t, l.helm(t, "get", "hooks", "clarity")) {
		if template := templateOf(t, o); template != nil {
			l.runsForReal(t, o.GetName(), template.Spec)
			continue
		}
		// The account and its rights, which Helm removes after its test.
		content, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&objects, "---\n%s\n", content)
		if _, err := l.apply(t.Context(), string(content), "--server-side"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := run(t.Context(), []byte(objects.String()), l.kubectl, "--kubeconfig="+l.kubeconfig, "delete", "--filename=-")
	if err != nil {
		t.Error(err)
	}
}

// runsForReal runs the command of a test's container as a process.
func (l *lab) runsForReal(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	folder, err := os.MkdirTemp(scratch, "mounts-") // without the test's name: a comma divides kubectl's files
	if err != nil {
		t.Fatal(err)
	}
	for _, volume := range spec.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		data := map[string]string{}
		if config, err := l.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{}); err == nil {
			data = config.Data
		}
		for file, content := range data {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	args := strings.Split(strings.NewReplacer("/etc/clarity", folder, "/samples", folder).Replace(strings.Join(spec.Containers[0].Args, "\x00")), "\x00")
	switch name {
	case "clarity-test-config":
		if _, err := run(t.Context(), nil, program(t, "manager"), args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	case "clarity-test-ingress", "clarity-test-worker", "clarity-test-insights":
		if _, err := run(t.Context(), nil, program(t, strings.TrimPrefix(name, "clarity-test-")), args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	case "clarity-test-samples":
		kubeconfig := filepath.Join(scratch, "test.kubeconfig")
		if err := kube.WriteAccountKubeconfig(t.Context(), l.config, namespace, spec.ServiceAccountName, kubeconfig); err != nil {
			t.Fatal(err)
		}
		output, err := run(t.Context(), nil, l.kubectl, append(args, "--kubeconfig="+kubeconfig)...)
		if err != nil || strings.Count(output, "dry run") != 2 {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	default:
		t.Errorf("%s is a test that this test does not know", name)
	}
}

// operatorWorks runs the operator as the release's account, with the release's
// configuration, and applies the samples.
func (l *lab) operatorWorks(t *testing.T) {
	content, err := l.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "clarity-manager-config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := operator.Parse([]byte(content.Data["manager.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	metrics := freeAddress(t)
	config.ModelVersions.Prometheus.CAFile, config.ModelVersions.Prometheus.BearerTokenFile = "", "" // they are in the pod
	config.Metrics.Address, config.Health.Address, config.Pprof.Address = metrics, "127.0.0.1:0", ""
	file := filepath.Join(scratch, "manager.kubeconfig")
	if err := kube.WriteAccountKubeconfig(t.Context(), l.config, namespace, "clarity-manager", file); err != nil {
		t.Fatal(err)
	}
	server, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	log := &lines{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	klog.SetSlogLogger(logger) // client-go's watches tell of a missing right there
	ctrl.SetLogger(klog.NewKlogr())
	mgr, err := operator.New(ctx, server, config, operator.Options{Log: logger, Repeatable: true})
	if err != nil {
		t.Fatal(err)
	}
	nodes := &node.Nodes{Client: l.client, Namespace: namespace, Job: node.SimulatedJob(time.Second), Server: node.SimulatedServer}
	var running sync.WaitGroup
	running.Go(func() { _ = mgr.Start(ctx) })
	running.Go(func() { _ = nodes.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })

	l.must(t, "apply", "-k", "../config/samples")
	eventually(t, "the sample job runs", func() (bool, error) {
		pods, err := l.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "clarityloop.dev/component=shard"})
		return err == nil && len(pods.Items) > 0, err
	})
	eventually(t, "the sample model serves", func() (bool, error) {
		stage := l.must(t, "--namespace="+namespace, "get", "modelversions", "-o=jsonpath={.items[*].status.stage}/{.items[*].status.message}")
		if !strings.HasPrefix(stage, "Active/") {
			return false, fmt.Errorf("it is %s", stage)
		}
		return true, nil
	})
	components := map[string]bool{}
	pods, err := l.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "clarityloop.dev/component"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		components[pod.Labels["clarityloop.dev/component"]] = true
	}
	if !components["server"] || !components["shard"] {
		t.Errorf("within the restricted profile run pods of %v", components)
	}
	lease, err := l.client.CoordinationV1().Leases(namespace).Get(t.Context(), operator.LeaseName, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		t.Errorf("the leader's lease: %v", err)
	}
	l.readsMetrics(t, metrics, "clarity-metrics-reader", http.StatusOK)
	l.readsMetrics(t, metrics, "clarity-worker", http.StatusForbidden)
	l.must(t, "delete", "-k", "../config/samples", "--timeout=60s")
	if told := log.with("forbidden", "cannot "); len(told) > 0 {
		t.Errorf("the operator lacks a right:\n%s", strings.Join(told, "\n"))
	}
}

// readsMetrics asks the manager for its metrics as an account.
func (l *lab) readsMetrics(t *testing.T, address, name string, want int) {
	t.Helper()
	token, err := l.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Status.Token)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // made up by the manager
	defer client.CloseIdleConnections()
	eventually(t, fmt.Sprintf("%s gets %d", name, want), func() (bool, error) {
		reply, err := client.Do(request)
		if err != nil {
			return false, err
		}
		defer func() { _ = reply.Body.Close() }()
		_, _ = io.Copy(io.Discard, reply.Body)
		if reply.StatusCode != want {
			return false, fmt.Errorf("%s gets %s", name, reply.Status)
		}
		return true, nil
	})
}

// upgradeRestarts changes a value of the configuration: the pods are of another template.
func (l *lab) upgradeRestarts(t *testing.T) {
	hash := func() string {
		d, err := l.client.AppsV1().Deployments(namespace).Get(t.Context(), "clarity-manager", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return d.Spec.Template.Annotations["clarityloop.dev/config"]
	}
	before := hash()
	l.helm(t, "upgrade", "clarity", chart, "--values="+full, "--wait", "--timeout=3m")
	if hash() != before {
		t.Error("an upgrade that changes nothing restarts the manager")
	}
	l.helm(t, "upgrade", "clarity", chart, "--values="+full, "--set=manager.logLevel=warn", "--wait", "--timeout=3m")
	if hash() == before {
		t.Error("another configuration does not restart the manager")
	}
}

// objectsOutlive removes the release: what people applied is still there, what the chart made is not.
func (l *lab) objectsOutlive(t *testing.T) {
	l.must(t, "apply", "-k", "../config/samples")
	l.helm(t, "uninstall", "clarity", "--wait", "--timeout=2m")
	output := l.must(t, "--namespace="+namespace, "get", "modelversions,analysisjobs", "-o=name")
	if strings.Count(output, "\n") != 2 {
		t.Errorf("after the release is removed there is:\n%s", output)
	}
	left := l.must(t, "get", "clusterroles,clusterrolebindings,computeclasses,priorityclasses", "-o=name", "-l=app.kubernetes.io/instance=clarity")
	left += l.must(t, "--namespace="+namespace, "get", "deployments,services,configmaps,secrets,serviceaccounts,roles,networkpolicies",
		"-o=name", "-l=app.kubernetes.io/instance=clarity")
	if left != "" {
		t.Errorf("the release leaves\n%s", left)
	}
	l.must(t, "delete", "-k", "../config/samples", "--timeout=60s")
	// Another release takes the definitions over that the first one kept.
	l.helm(t, "install", "clarity", chart, "--wait", "--timeout=3m")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// lines is a log that is looked through.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	return len(p), nil
}

// with are the lines that hold one of the words.
func (l *lines) with(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.all {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
			found = append(found, line)
		}
	}
	return found
}
