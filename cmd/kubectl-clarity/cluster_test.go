package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/kube"
	kubebin "github.com/clarity-loop/clarity/internal/kubelab/kube"
)

// server is a real API server, started by the first test that needs it.
var server struct {
	once   sync.Once
	err    error
	assets string
	env    *envtest.Environment
	config *rest.Config
}

// plugin is the name by which kubectl finds the plugin. Under it the tests'
// executable is the plugin itself, so that no second one has to be built.
const plugin = "kubectl-clarity"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == plugin {
		main()
	}
	code := m.Run()
	if server.env != nil && server.config != nil {
		if err := server.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop API server:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// errNotAsked says that the test is to be skipped: a first build takes ten minutes, so nobody gets it unasked.
var errNotAsked = errors.New("no control plane to test on: CLARITY_CONTROLPLANE=1 asks for one")

func startServer() error {
	if os.Getenv("CLARITY_CONTROLPLANE") == "" && os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errNotAsked
	}
	root, err := kubebin.Root()
	if err != nil {
		return err
	}
	if server.assets, err = kubebin.Binaries(root); err != nil {
		return err
	}
	env, err := newEnvironment(filepath.Join(root, "config", "crd"))
	if err != nil {
		return err
	}
	server.env = env
	server.config, err = env.Start()
	return err
}

// newEnvironment is an API server with etcd, and with the kinds of a folder where one is named.
func newEnvironment(crds string) (*envtest.Environment, error) {
	env := &envtest.Environment{
		BinaryAssetsDirectory:    server.assets,
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
	}
	if crds != "" {
		env.CRDDirectoryPaths, env.ErrorIfCRDPathMissing = []string{crds}, true
	}
	api := env.ControlPlane.GetAPIServer()
	api.Path = filepath.Join(server.assets, "kube-apiserver")
	api.Configure().Set("enable-priority-and-fairness", "false")
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(server.assets, "etcd")}
	env.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "true")
	return env, nil
}

var namespaces atomic.Int64

// world is a namespace of the real API server and a user with a kubeconfig.
type world struct {
	t          *testing.T
	client     client.Client
	namespace  string
	kubeconfig string
	now        time.Time
	terminal   bool
	in         string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server.once.Do(func() { server.err = startServer() })
	if errors.Is(server.err, errNotAsked) {
		t.Skip(server.err)
	}
	if server.err != nil {
		t.Fatalf("start API server: %v", server.err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(server.config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: c, namespace: fmt.Sprintf("plugin-%d", namespaces.Add(1)), now: time.Now()}
	w.must(c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}))
	w.kubeconfig = w.userConfig("admin", "system:masters")
	return w
}

// userConfig writes the kubeconfig of a user of the API server.
func (w *world) userConfig(name string, groups ...string) string {
	w.t.Helper()
	user, err := server.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	w.must(err)
	data, err := user.KubeConfig()
	w.must(err)
	file := filepath.Join(w.t.TempDir(), name+".kubeconfig")
	w.must(os.WriteFile(file, data, 0o600))
	return file
}

// allow lets a user do verbs on resources in the namespace.
func (w *world) allow(user string, verbs []string, group string, resources ...string) {
	w.t.Helper()
	name := fmt.Sprintf("%s-%s-%s", user, verbs[0], resources[0])
	w.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: resources, Verbs: verbs}}})
	w.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}}})
}

// connect is the cluster as the plugin sees it.
func (w *world) connect() *kube.Cluster {
	w.t.Helper()
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = &w.kubeconfig, &w.namespace
	cluster, err := kube.Connect(flags, io.Discard)
	w.must(err)
	return cluster
}

// at is the world in a test within the test.
func (w *world) at(t *testing.T) *world {
	inner := *w
	inner.t = t
	return &inner
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// create creates an object in the namespace, and writes its status where it has one.
func (w *world) create(o client.Object) {
	w.t.Helper()
	o.SetNamespace(w.namespace)
	wish, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		w.t.Fatalf("%T is not an object", o)
	}
	w.must(w.client.Create(w.t.Context(), o))
	switch o.(type) {
	case *rbacv1.Role, *rbacv1.RoleBinding, *corev1.Event, *corev1.ConfigMap, *corev1.Node:
		return
	}
	wish.SetResourceVersion(o.GetResourceVersion())
	wish.SetUID(o.GetUID())
	w.must(w.client.Status().Update(w.t.Context(), wish))
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o))
}

func (w *world) version(name string) *v1alpha1.ModelVersion {
	w.t.Helper()
	var v v1alpha1.ModelVersion
	w.must(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &v))
	return &v
}

func (w *world) job(name string) *v1alpha1.AnalysisJob {
	w.t.Helper()
	var j v1alpha1.AnalysisJob
	w.must(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &j))
	return &j
}

// outcome is what a command did.
type outcome struct {
	code     fault.Code
	out, err string
}

// run runs the plugin with the world's kubeconfig and namespace.
func (w *world) run(args ...string) outcome {
	w.t.Helper()
	return w.runIn(w.t.Context(), args...)
}

func (w *world) runIn(ctx context.Context, args ...string) outcome {
	return w.runOn(ctx, strings.NewReader(w.in), args...)
}

// runWith runs the plugin at a terminal that answers.
func (w *world) runWith(answer io.Reader, args ...string) outcome {
	w.terminal = true
	return w.runOn(w.t.Context(), answer, args...)
}

func (w *world) runOn(ctx context.Context, in io.Reader, args ...string) outcome {
	var out, errOut bytes.Buffer
	code := run(ctx, append(args, "--kubeconfig="+w.kubeconfig, "--namespace="+w.namespace), &process{
		IOStreams: genericiooptions.IOStreams{In: in, Out: &out, ErrOut: &errOut},
		now:       func() time.Time { return w.now },
		terminal:  func() bool { return w.terminal },
	})
	return outcome{code, out.String(), errOut.String()}
}

// ok runs a command that must be done, and returns what it printed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	o := w.run(args...)
	if o.code != fault.Done {
		w.t.Fatalf("kubectl clarity %s: exit %d\n%s%s", strings.Join(args, " "), o.code, o.out, o.err)
	}
	return o.out
}

// refused runs a command that must exit with the code, and whose error must say every word.
func (w *world) refused(code fault.Code, words []string, args ...string) outcome {
	w.t.Helper()
	o := w.run(args...)
	if o.code != code {
		w.t.Errorf("kubectl clarity %s: exit %d, want %d\n%s%s", strings.Join(args, " "), o.code, code, o.out, o.err)
	}
	for _, word := range words {
		if !strings.Contains(o.err, word) {
			w.t.Errorf("kubectl clarity %s: the error lacks %q:\n%s", strings.Join(args, " "), word, o.err)
		}
	}
	return o
}
