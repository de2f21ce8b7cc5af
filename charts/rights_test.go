package charts_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// verbs are all that the API server knows; impersonate, bind and escalate are rights to get rights.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection",
	"impersonate", "bind", "escalate", "approve", "sign", "use"}

// rights are, by where and resource, the verbs that are allowed: "in clarity" is
// the served namespace, "elsewhere" another one, "cluster" what has no namespace
// (and what is asked for in all of them at once).
type rights map[string]map[string]string

// What each account may do, and nothing else. The table is written by hand: a
// right that a marker in the code adds shows up here.
var expected = map[string]rights{
	"the manager": {
		"in clarity": {
			"clarityloop.dev/analysisjobs":               "get list watch delete",
			"clarityloop.dev/analysisjobs/status":        "patch",
			"clarityloop.dev/analysisjobs/finalizers":    "update",
			"clarityloop.dev/modelversions":              "get list watch patch",
			"clarityloop.dev/modelversions/status":       "patch",
			"clarityloop.dev/modelversions/finalizers":   "update",
			"events.k8s.io/events":                       "create patch",
			"/events":                                    "create patch",
			"/pods":                                      "get list watch",
			"/configmaps":                                "get list watch create update delete",
			"/configmaps:clarity-traffic-order":          "get list watch create update delete",
			"/services":                                  "get list watch create patch",
			"apps/deployments":                           "get list watch create patch delete",
			"apps/deployments/finalizers":                "update",
			"batch/jobs":                                 "get list watch create patch delete",
			"autoscaling/horizontalpodautoscalers":       "get list watch create patch delete",
			"policy/poddisruptionbudgets":                "get list watch create patch",
			"networking.k8s.io/networkpolicies":          "get list watch create patch",
			"monitoring.googleapis.com/podmonitorings":   "get list watch create patch",
			"kueue.x-k8s.io/workloads":                   "get list watch patch",
			"coordination.k8s.io/leases":                 "create",
			"coordination.k8s.io/leases:clarity-manager": "get create update",
			"coordination.k8s.io/leases:other":           "create",
			"authentication.k8s.io/tokenreviews":         "create",
			"authorization.k8s.io/subjectaccessreviews":  "create",
		},
		"elsewhere": {
			"clarityloop.dev/analysisjobs":              "get list watch",
			"clarityloop.dev/analysisjobs/status":       "patch",
			"clarityloop.dev/modelversions":             "get list watch",
			"clarityloop.dev/modelversions/status":      "patch",
			"events.k8s.io/events":                      "create patch",
			"authentication.k8s.io/tokenreviews":        "create",
			"authorization.k8s.io/subjectaccessreviews": "create",
		},
		"cluster": {
			"clarityloop.dev/analysisjobs":              "get list watch",
			"clarityloop.dev/analysisjobs/status":       "patch",
			"clarityloop.dev/modelversions":             "get list watch",
			"clarityloop.dev/modelversions/status":      "patch",
			"events.k8s.io/events":                      "create patch",
			"authentication.k8s.io/tokenreviews":        "create",
			"authorization.k8s.io/subjectaccessreviews": "create",
		},
	},
	"the worker":            {"in clarity": {"/configmaps:clarity-traffic-order": "get list watch"}},
	"the ingress":           {},
	"the insights":          {},
	"the model servers":     {},
	"the metrics' reader":   {"cluster": {"GET /metrics": "get"}, "elsewhere": {"GET /metrics": "get"}, "in clarity": {"GET /metrics": "get"}},
	"Autopilot's collector": {"in clarity": {"/secrets:clarity-metrics-reader": "get list watch"}},
	"Google's collector":    {"in clarity": {"/secrets:clarity-metrics-reader": "get list watch"}},
	"a viewer":              {"in clarity": viewers},
	"an editor":             {"in clarity": editors},
	"a namespace's viewer":  {"in clarity": viewers},
	"a namespace's editor":  {"in clarity": editors},
	"a namespace's admin":   {"in clarity": editors},
}

var viewers = map[string]string{
	"clarityloop.dev/analysisjobs":         "get list watch",
	"clarityloop.dev/analysisjobs/status":  "get",
	"clarityloop.dev/modelversions":        "get list watch",
	"clarityloop.dev/modelversions/status": "get",
	"clarityloop.dev/modelversions/scale":  "get",
}

var editors = map[string]string{
	"clarityloop.dev/analysisjobs":         "get list watch create update patch delete deletecollection",
	"clarityloop.dev/analysisjobs/status":  "get",
	"clarityloop.dev/modelversions":        "get list watch create update patch delete deletecollection",
	"clarityloop.dev/modelversions/status": "get",
	"clarityloop.dev/modelversions/scale":  "get update patch",
}

// people are bound to roles by the test; accounts are the chart's own.
const people = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: NAME, namespace: clarity}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: ROLE}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: NAME}]
`

func TestEveryoneMayDoWhatIsWrittenAndNothingElse(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	l.restricted(t, "elsewhere")
	manifests, err := helm(t, "template", "clarity", chart, "--namespace="+namespace, "--values="+full, "--skip-tests")
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]string{
		"vera": "clarity-viewer", "ed": "clarity-editor", "view": "view", "edit": "edit", "admin": "admin",
	} {
		manifests += "\n---" + strings.NewReplacer("NAME", name, "ROLE", role).Replace(people)
	}
	if _, err := l.apply(t.Context(), manifests, "--server-side", "--force-conflicts"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = run(context.Background(), []byte(manifests), l.kubectl, "--kubeconfig="+l.kubeconfig, "delete", "--filename=-", "--ignore-not-found", "--wait=false")
	})
	eventually(t, "Kubernetes' own roles hold ours", func() (bool, error) {
		return l.allowed(t.Context(), user("edit"), "in clarity", "clarityloop.dev/modelversions", "create")
	})
	everyone := l.rightsOf(t, account("elsewhere", "nobody"), resources(), nil)
	for name, who := range map[string]subject{
		"the manager": account(namespace, "clarity-manager"), "the worker": account(namespace, "clarity-worker"),
		"the ingress": account(namespace, "clarity-ingress"), "the insights": account(namespace, "clarity-insights"),
		"the model servers":     account(namespace, "clarity-models"),
		"the metrics' reader":   account(namespace, "clarity-metrics-reader"),
		"Google's collector":    account("gmp-system", "collector"),
		"Autopilot's collector": account("gke-gmp-system", "collector"),
		"a viewer":              user("vera"), "an editor": user("ed"),
		"a namespace's viewer": user("view"), "a namespace's editor": user("edit"), "a namespace's admin": user("admin"),
	} {
		t.Run(name, func(t *testing.T) {
			asked := resources()
			if strings.HasPrefix(name, "a namespace's") { // of Kubernetes' own roles, what concerns our kinds
				asked = slices.DeleteFunc(asked, func(resource string) bool { return !strings.HasPrefix(resource, "clarityloop.dev/") })
			} else {
				for _, in := range []string{namespace, "elsewhere"} {
					l.unnamed(t, who, in, func(rule string) { t.Errorf("in %s it also has %s", in, rule) })
				}
			}
			if diff := cmp.Diff(expected[name], l.rightsOf(t, who, asked, everyone)); diff != "" {
				t.Errorf("rights (-want +got):\n%s", diff)
			}
		})
	}
}

type subject struct {
	user   string
	groups []string
}

func account(namespace, name string) subject {
	return subject{"system:serviceaccount:" + namespace + ":" + name,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
}

func user(name string) subject { return subject{name, []string{"system:authenticated"}} }

// sensitive is what nobody of ours may have, and what is near to what somebody has.
var sensitive = []string{
	"/secrets", "/secrets:clarity-metrics-reader", "/secrets:other", "/serviceaccounts", "/serviceaccounts/token", "/pods/exec", "/pods/attach",
	"/pods/portforward", "/pods/log", "/pods/ephemeralcontainers", "/pods/eviction", "/pods/status", "/namespaces", "/nodes", "/nodes/proxy",
	"/persistentvolumes", "/users", "/groups", "/configmaps", "/services/proxy", "apps/replicasets", "apps/daemonsets", "apps/statefulsets",
	"apps/deployments/scale", "batch/cronjobs", "rbac.authorization.k8s.io/roles", "rbac.authorization.k8s.io/rolebindings",
	"rbac.authorization.k8s.io/clusterroles", "rbac.authorization.k8s.io/clusterrolebindings", "apiextensions.k8s.io/customresourcedefinitions",
	"admissionregistration.k8s.io/validatingwebhookconfigurations", "certificates.k8s.io/certificatesigningrequests",
	"certificates.k8s.io/signers", "scheduling.k8s.io/priorityclasses", "policy/podsecuritypolicies", "clarityloop.dev/modelversions/scale",
	"storage.cnrm.cloud.google.com/storagebuckets", "iam.cnrm.cloud.google.com/iampolicymembers", "coordination.k8s.io/leases:other",
	"GET /metrics", "GET /debug/pprof/heap", "GET /logs/",
}

// resources are those of the tables and the sensitive ones.
func resources() []string {
	found := map[string]bool{}
	for _, r := range sensitive {
		found[r] = true
	}
	for _, of := range expected {
		for where := range of {
			for r := range of[where] {
				found[r] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// unnamed tells every rule that the API server applies to who in the namespace
// and that no table speaks of: a wildcard, or a resource that nobody asked for.
func (l *lab) unnamed(t *testing.T, who subject, in string, tell func(string)) {
	t.Helper()
	config := rest.CopyConfig(l.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: who.user, Groups: who.groups}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: in}}
	answer, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Status.ResourceRules) == 0 {
		t.Errorf("%s has no rules in %s: not even everyone's", who.user, in)
	}
	known := resources()
	for _, rule := range answer.Status.ResourceRules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				name := group + "/" + resource
				if len(rule.ResourceNames) == 1 {
					name += ":" + rule.ResourceNames[0]
				}
				if !slices.Contains(known, name) && !slices.Contains(everyones, name) || slices.Contains(rule.Verbs, "*") {
					tell(fmt.Sprintf("%v %s", rule.Verbs, name))
				}
			}
		}
	}
}

// everyones are what Kubernetes lets everybody ask about themselves, and every account read.
var everyones = []string{"authorization.k8s.io/selfsubjectaccessreviews", "authorization.k8s.io/selfsubjectrulesreviews",
	"authentication.k8s.io/selfsubjectreviews", "certificates.k8s.io/clustertrustbundles"}

// rightsOf asks the API server for every verb on every one of the resources, and leaves out what everyone has.
func (l *lab) rightsOf(t *testing.T, who subject, asked []string, everyone rights) rights {
	t.Helper()
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		found = rights{}
		limit = make(chan struct{}, 16)
	)
	for _, where := range []string{"in clarity", "elsewhere", "cluster"} {
		for _, resource := range asked {
			wg.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				var may []string
				for _, verb := range verbs {
					ok, err := l.allowed(t.Context(), who, where, resource, verb)
					if err != nil {
						t.Errorf("ask for %s %s: %v", verb, resource, err)
						return
					}
					if ok {
						may = append(may, verb)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if all := strings.Join(may, " "); all != "" && everyone[where][resource] != all {
					if found[where] == nil {
						found[where] = map[string]string{}
					}
					found[where][resource] = all
				}
			})
		}
	}
	wg.Wait()
	return found
}

// allowed asks whether who may do verb with resource: group/resource[/subresource][:name], or "GET path".
func (l *lab) allowed(ctx context.Context, who subject, where, resource, verb string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: who.user, Groups: who.groups}}
	if path, ok := strings.CutPrefix(resource, "GET "); ok {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: path, Verb: verb}
	} else {
		group, rest, _ := strings.Cut(resource, "/")
		rest, name, _ := strings.Cut(rest, ":")
		rest, sub, _ := strings.Cut(rest, "/")
		in := map[string]string{"in clarity": namespace, "elsewhere": "elsewhere"}[where]
		review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
			Namespace: in, Group: group, Resource: rest, Subresource: sub, Name: name, Verb: verb,
		}
	}
	answer, err := l.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask for rights of %s: %w", who.user, err)
	}
	return answer.Status.Allowed, nil
}
