package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

var namespaces atomic.Int64

// Namespace is a namespace of a test's own, where the restricted Pod Security
// profile is enforced.
type Namespace struct {
	t    *testing.T
	made string // the revision at which it was
	// Name is the namespace's.
	Name string
	// Rest may do everything.
	Rest *rest.Config
	// Live reads and writes the API server itself; all namespaces of a cluster share it.
	Live client.WithWatch
}

// Namespace makes a namespace with the prefix, on a cluster that it starts.
func (c *Cluster) Namespace(t *testing.T, prefix string) *Namespace {
	t.Helper()
	n := &Namespace{t: t, Rest: c.Start(t), Live: c.live, Name: fmt.Sprintf("%s-%d", prefix, namespaces.Add(1))}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	if err := n.Live.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	n.made = namespace.ResourceVersion
	return n
}

// Scheme knows the kinds of Kubernetes and ours.
func Scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	return scheme
}

func kinds() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// ApplyRoles creates the roles and bindings in the files of config/rbac, with
// the namespace clarity renamed to this one, until the test ends. Those of the
// whole cluster have names of this namespace's own.
func (n *Namespace) ApplyRoles(files ...string) {
	n.t.Helper()
	root, err := kube.Root()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(root, "config", "rbac", file)) //nolint:gosec // a file of this repository
		if err != nil {
			n.t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			n.applyRole(file, strings.ReplaceAll(strings.TrimPrefix(document, "---\n"), "namespace: clarity", "namespace: "+n.Name))
		}
	}
}

func (n *Namespace) applyRole(file, document string) {
	n.t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		n.t.Fatal(err)
	}
	object, ok := map[string]client.Object{
		"ClusterRole": &rbacv1.ClusterRole{}, "Role": &rbacv1.Role{},
		"ClusterRoleBinding": &rbacv1.ClusterRoleBinding{}, "RoleBinding": &rbacv1.RoleBinding{},
	}[kind.Kind]
	if !ok {
		n.t.Fatalf("%s holds a %q", file, kind.Kind)
	}
	if err := yaml.Unmarshal([]byte(document), object); err != nil {
		n.t.Fatal(err)
	}
	switch object := object.(type) {
	case *rbacv1.ClusterRole:
		object.Name += "-" + n.Name
	case *rbacv1.ClusterRoleBinding:
		object.Name += "-" + n.Name
		object.RoleRef.Name += "-" + n.Name
	}
	if err := n.Live.Create(n.t.Context(), object); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if err := n.Live.Delete(context.Background(), object); err != nil {
			n.t.Error(err)
		}
	})
}

// AsManager is the API server as the manager's account sees it.
func (n *Namespace) AsManager() *rest.Config {
	config := rest.CopyConfig(n.Rest)
	config.Impersonate.UserName = "system:serviceaccount:" + n.Name + ":clarity-manager"
	return config
}

// JSON writes a value out for a test's message.
func JSON(v any) string {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
