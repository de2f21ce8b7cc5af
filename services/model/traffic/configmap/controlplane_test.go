package configmap_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

// On a real API server, as a user who may read the one object and nothing else.
func TestOneResourceNameIsEnough(t *testing.T) {
	if os.Getenv("CLARITY_CONTROLPLANE") == "" {
		t.Skip("no control plane to test on: set CLARITY_CONTROLPLANE=1")
	}
	root, err := filepath.Abs("../../../..")
	if err != nil {
		t.Fatal(err)
	}
	assets, err := kube.Binaries(root)
	if err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.ControlPlane.GetAPIServer().Path = filepath.Join(assets, "kube-apiserver")
	env.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(assets, "etcd")}
	admin, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the watch has ended
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, client := t.Context(), kubernetes.NewForConfigOrDie(admin)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "clarity"}}, metav1.CreateOptions{}))
	must(client.RbacV1().Roles("clarity").Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "worker"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"clarity-traffic-pat"}, Verbs: []string{"get", "list", "watch"}}}},
		metav1.CreateOptions{}))
	must(client.RbacV1().RoleBindings("clarity").Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "worker"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "worker"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "worker"}}}, metav1.CreateOptions{}))
	user, err := env.AddUser(envtest.User{Name: "worker"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	worker := kubernetes.NewForConfigOrDie(user.Config())
	if _, err := worker.CoreV1().ConfigMaps("clarity").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("the worker may list every ConfigMap: %v", err)
	}

	next := watch(t, user.Config())
	until := func(what, want string) {
		t.Helper()
		for {
			if g := next(what); g.err == nil && g.text == want {
				return
			} else if g.err != nil && strings.Contains(g.err.Error(), "forbidden") {
				t.Fatal(g.err)
			}
		}
	}
	if g := next("that it is not there"); g.err == nil {
		t.Fatalf("told %q", g.text)
	}
	maps := client.CoreV1().ConfigMaps("clarity")
	o := object("clarity-traffic-pat", "", "one")
	must(maps.Create(ctx, o, metav1.CreateOptions{}))
	must(maps.Create(ctx, object("clarity-traffic-heart", "", "another model's"), metav1.CreateOptions{}))
	until("the plan", "one")
	o.Data["plan.json"] = "two"
	must(maps.Update(ctx, o, metav1.UpdateOptions{}))
	until("the next plan", "two")
	if err := maps.Delete(context.WithoutCancel(ctx), o.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if g := next("that it is gone"); g.err == nil {
		t.Fatalf("told %q", g.text)
	}
}
