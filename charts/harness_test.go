// Package charts_test holds the chart, and config/ beside it, against a real
// API server: what they render is taken, what it makes runs within the
// restricted profile, and who may do what is exactly what is written here.
package charts_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

const (
	chart     = "clarity"
	full      = "clarity/ci/full-values.yaml"
	namespace = "clarity"
	version   = "1.2.3"
)

// shipped are the programs of the operator and of the data plane, and the plugin that comes with it.
var shipped = []string{"manager", "worker", "ingress", "insights", "kubectl-clarity"}

// once is a value that is made at the first use, by any test of the package.
var (
	helmPath = sync.OnceValues(findHelm)
	programs = sync.OnceValues(buildPrograms)
	cluster  = sync.OnceValues(startCluster)
	scratch  string
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "clarity-charts-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := kube.Stop(filepath.Join(scratch, "cluster")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		if err := os.RemoveAll(scratch); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	}())
}

// findHelm builds Helm, once a machine. What it will read is read here, too,
// so that a cached test result is not older than the chart.
func findHelm() (string, error) {
	for _, folder := range []string{chart, "../config"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = os.ReadFile(path)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	output, err := exec.Command("../hack/tools/tool", "helm").Output()
	return strings.TrimSpace(string(output)), err
}

// buildPrograms builds what the images hold, with the version that its linker
// flag says, as `make build` does: the packages are compiled already.
func buildPrograms() (string, error) {
	folder := filepath.Join(scratch, "bin")
	args := []string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=" + version, "-o", folder + string(filepath.Separator)}
	for _, program := range shipped {
		args = append(args, "../cmd/"+program)
	}
	build := exec.Command("go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %v: %w: %s", shipped, err, output)
	}
	return folder, nil
}

// program is the path of one of the shipped ones.
func program(t *testing.T, name string) string {
	t.Helper()
	folder, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

// helm runs Helm and returns what it printed, or what went wrong.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatalf("build helm: %v", err)
	}
	return run(t.Context(), nil, path, args...)
}

func run(ctx context.Context, stdin []byte, path string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, path, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+scratch, "HELM_CONFIG_HOME="+scratch, "HELM_DATA_HOME="+scratch)
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// render renders the chart; each of args is one of Helm's.
func render(t *testing.T, args ...string) []unstructured.Unstructured {
	t.Helper()
	output, err := helm(t, append([]string{"template", "clarity", chart, "--namespace=" + namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, output)
}

func parse(t *testing.T, manifests string) []unstructured.Unstructured {
	t.Helper()
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq("\n"+manifests, "\n---") {
		var o unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}

// find returns the one object of the kind and name.
func find(t *testing.T, objects []unstructured.Unstructured, kind, name string) unstructured.Unstructured {
	t.Helper()
	i := slices.IndexFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
	if i < 0 {
		t.Fatalf("no %s %s is rendered", kind, name)
	}
	return objects[i]
}

// text is the string at path of an object.
func text(t *testing.T, o unstructured.Unstructured, path ...string) string {
	t.Helper()
	s, found, err := unstructured.NestedString(o.Object, path...)
	if err != nil || !found {
		t.Fatalf("%s %s has no text at %v: %v", o.GetKind(), o.GetName(), path, err)
	}
	return s
}

// lab is the control plane and who talks to it.
type lab struct {
	config     *rest.Config
	client     kubernetes.Interface
	kubeconfig string
	kubectl    string
}

func startCluster() (*lab, error) {
	root, err := kube.Root()
	if err != nil {
		return nil, err
	}
	assets, err := kube.Binaries(root)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(scratch, "cluster")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	config, err := kube.Start(ctx, kube.Options{
		Root: root, Assets: assets, Folder: folder, PodCIDR: "127.242.0.0/16", GPUNodes: 1, CPUNodes: 3,
	})
	if err != nil {
		return nil, err
	}
	quick := rest.CopyConfig(config)
	quick.ContentType = runtime.ContentTypeProtobuf // tens of thousands of questions are asked
	client, err := kubernetes.NewForConfig(quick)
	if err != nil {
		return nil, err
	}
	l := &lab{config: config, client: client, kubeconfig: kube.Kubeconfig(folder), kubectl: filepath.Join(assets, "kubectl")}
	foreign, err := foreignKinds()
	if err != nil {
		return nil, err
	}
	if _, err := l.apply(ctx, foreign, "--server-side"); err != nil {
		return nil, fmt.Errorf("install other people's kinds: %w", err)
	}
	_, err = run(ctx, nil, l.kubectl, "--kubeconfig="+l.kubeconfig, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
	return l, err
}

// onCluster starts the control plane at the first call. It skips the test
// where none was asked for; one that was asked for and cannot be had fails it.
func onCluster(t *testing.T) *lab {
	t.Helper()
	if testing.Short() || os.Getenv("CLARITY_CONTROLPLANE") == "" && os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("no control plane was asked for: CLARITY_CONTROLPLANE=1")
	}
	l, err := cluster()
	if err != nil {
		t.Fatalf("start control plane: %v", err)
	}
	return l
}

func (l *lab) apply(ctx context.Context, manifests string, args ...string) (string, error) {
	return run(ctx, []byte(manifests), l.kubectl, append([]string{"--kubeconfig=" + l.kubeconfig, "apply", "--filename=-"}, args...)...)
}

// must runs kubectl and fails the test where kubectl fails.
func (l *lab) must(t *testing.T, args ...string) string {
	t.Helper()
	output, err := run(t.Context(), nil, l.kubectl, append([]string{"--kubeconfig=" + l.kubeconfig}, args...)...)
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return output
}

// restricted makes a namespace within which the restricted profile is enforced.
func (l *lab) restricted(t *testing.T, name string) {
	t.Helper()
	manifest := "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + ", labels: {pod-security.kubernetes.io/enforce: restricted}}}"
	if _, err := l.apply(t.Context(), manifest, "--server-side"); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until is says so.
func eventually(t *testing.T, what string, is func() (bool, error)) {
	t.Helper()
	var last error
	for limit := time.Now().Add(2 * time.Minute); time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
		ok, err := is()
		if ok && err == nil {
			return
		}
		last = err
	}
	t.Fatalf("waited in vain until %s: %v", what, last)
}
