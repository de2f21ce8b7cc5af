package charts_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarity-loop/clarity/controllers/operator"
)

// policies are the network policies of the objects.
func policies(t *testing.T, objects []unstructured.Unstructured) (all []networkingv1.NetworkPolicy) {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() != "NetworkPolicy" || o.GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		var p networkingv1.NetworkPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, &p, true); err != nil {
			t.Fatalf("%s: %v", o.GetName(), err)
		}
		all = append(all, p)
	}
	return all
}

// lines are what a policy allows: "from PEER: ports" and "to PEER: ports".
func allows(p networkingv1.NetworkPolicySpec) (lines []string) {
	for _, r := range p.Ingress {
		for _, peer := range peers(r.From) {
			lines = append(lines, "from "+peer+": "+ports(r.Ports))
		}
	}
	for _, r := range p.Egress {
		for _, peer := range peers(r.To) {
			lines = append(lines, "to "+peer+": "+ports(r.Ports))
		}
	}
	return lines
}

func peers(all []networkingv1.NetworkPolicyPeer) (named []string) {
	if len(all) == 0 {
		return []string{"everybody"}
	}
	for _, p := range all {
		switch {
		case p.IPBlock != nil && len(p.IPBlock.Except) > 0:
			named = append(named, p.IPBlock.CIDR+" but "+strings.Join(p.IPBlock.Except, " "))
		case p.IPBlock != nil:
			named = append(named, p.IPBlock.CIDR)
		default:
			content, _ := json.Marshal(p)
			named = append(named, strings.NewReplacer(`"`, "", "app.kubernetes.io/", "", "clarityloop.dev/", "", "kubernetes.io/metadata.name", "namespace").Replace(string(content)))
		}
	}
	return named
}

func ports(all []networkingv1.NetworkPolicyPort) string {
	if len(all) == 0 {
		return "all"
	}
	var named []string
	for _, p := range all {
		name := p.Port.String()
		if p.Protocol != nil && *p.Protocol != "TCP" {
			name += "/" + strings.ToLower(string(*p.Protocol))
		}
		named = append(named, name)
	}
	return strings.Join(named, " ")
}

// Who may talk to whom is what stands in the table, of everything turned on.
func TestWhoTalksToWhomIsWritten(t *testing.T) {
	got := map[string][]string{}
	objects := render(t, "--values="+full, "--set-json=modelVersions.network.egress=[]")
	for _, p := range policies(t, objects) {
		got[p.Name] = append([]string{}, allows(p.Spec)...)
	}
	config, err := operator.Parse([]byte(configuration(t, objects)))
	if err != nil {
		t.Fatal(err)
	}
	got["model servers"] = allows(networkingv1.NetworkPolicySpec{Egress: config.ModelVersions.Network.Egress})
	if diff := cmp.Diff(handWritten[map[string][]string](t, "network.yaml"), got); diff != "" {
		t.Errorf("policies (-table +chart):\n%s", diff)
	}
	if told := tooOpen(policies(t, objects)); len(told) > 0 {
		t.Errorf("too open:\n%s", strings.Join(told, "\n"))
	}
}

// everywhere are the ports that may lead out of the cluster, hooks who may be led by others
// to what is not private, and comeIn those on which somebody outside may come in.
var (
	everywhere = []string{"443", "443 6443"}
	hooks      = "clarity-webhooks"
	comeIn     = map[string]string{"clarity-ingress": "8080"}
)

// tooOpen tells what no table could allow.
func tooOpen(all []networkingv1.NetworkPolicy) (told []string) {
	tell := func(p networkingv1.NetworkPolicy, line string) { told = append(told, p.Name+": "+line) }
	for _, p := range all {
		if len(p.Spec.PolicyTypes) == 0 {
			tell(p, "it says of no direction that it is for it")
		}
		for _, line := range allows(p.Spec) {
			who, on, _ := strings.Cut(line, ": ")
			way, peer, _ := strings.Cut(who, " ")
			linkLocal := strings.HasPrefix(peer, "169.254.")
			outside := !strings.HasPrefix(peer, "{") && !linkLocal
			switch {
			case peer == "everybody" || on == "all" || peer == "{namespaceSelector:{}}" || peer == "{podSelector:{}}":
			case linkLocal && !slices.Contains([]string{"53/udp 53", "80 987 988"}, on):
			case way == "from" && outside && on != comeIn[p.Name]:
			case way == "to" && p.Name == hooks && strings.HasPrefix(peer, "0.0.0.0/0") && !strings.Contains(peer, " but "):
			case way == "to" && p.Name != hooks && outside && !slices.Contains(everywhere, on):
			case way == "from" && strings.Contains(on, "9090") && !strings.Contains(peer, "gmp-system"):
			default:
				continue
			}
			tell(p, line)
		}
	}
	return told
}

// Each planted opening is found.
func TestAnOpeningIsFound(t *testing.T) {
	for name, plant := range map[string]func(map[string]*networkingv1.NetworkPolicySpec){
		"everybody calls a stage":     func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-stages"].Ingress[0].From = nil },
		"Prometheus reads every port": func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-stages"].Ingress[0].Ports = nil },
		"a stage calls everybody":     func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-stages"].Egress[1].To = nil },
		"a stage calls every port":    func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-stages"].Egress[1].Ports = nil },
		"phones reach the operations' port": func(p map[string]*networkingv1.NetworkPolicySpec) {
			p["clarity-ingress"].Ingress[0].Ports[0].Port.IntVal = 9090
		},
		"phones reach the stages": func(p map[string]*networkingv1.NetworkPolicySpec) {
			p["clarity-stages"].Ingress[0].From = p["clarity-ingress"].Ingress[0].From
		},
		"any pod reads what stages count": func(p map[string]*networkingv1.NetworkPolicySpec) {
			p["clarity-stages"].Ingress[0].From[0].NamespaceSelector.MatchExpressions = nil
		},
		"the metadata server, every port": func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-jobs"].Egress[2].Ports = nil },
		"the manager calls every port":    func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-manager"].Egress[0].Ports = nil },
		"a policy of no direction":        func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-default-deny"].PolicyTypes = nil },
		"webhooks to what is private": func(p map[string]*networkingv1.NetworkPolicySpec) {
			p["clarity-webhooks"].Egress[0].To[0].IPBlock.Except = nil
		},
		"webhooks by every port":           func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-webhooks"].Egress[0].Ports = nil },
		"names by any port of the servers": func(p map[string]*networkingv1.NetworkPolicySpec) { p["clarity-dns"].Egress[0].Ports = nil },
	} {
		t.Run(name, func(t *testing.T) {
			all := policies(t, render(t, "--values="+full))
			specs := map[string]*networkingv1.NetworkPolicySpec{}
			for i := range all {
				specs[all[i].Name] = &all[i].Spec
			}
			if told := tooOpen(all); len(told) > 0 {
				t.Fatalf("before anything is planted: %v", told)
			}
			plant(specs)
			if len(tooOpen(all)) == 0 {
				t.Error("it is not found")
			}
		})
	}
}

// Where the data's hosts are by private addresses alone, what the values say of webhooks is
// open to who sends them and to nobody else; by default nothing is beside the data's.
func TestWebhooksAreLetOutWhereTheDataIsNarrow(t *testing.T) {
	narrow := []string{"--values=" + full, "--set-json=networkPolicies.data.cidrs=[\"199.36.153.8/30\"]"}
	got := map[string][]string{}
	for _, p := range policies(t, render(t, append(narrow, "--set-json=networkPolicies.webhooks={\"cidrs\":[\"198.51.100.7/32\"],\"ports\":[8443]}")...)) {
		for _, line := range allows(p.Spec) {
			if strings.HasPrefix(line, "to 198.51.") {
				got[p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"]] = append(got[p.Spec.PodSelector.MatchLabels["app.kubernetes.io/name"]], line)
			}
		}
	}
	if diff := cmp.Diff(map[string][]string{"clarity-ingress": {"to 198.51.100.7/32: 8443"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, p := range policies(t, render(t, append(narrow, "--set-json=networkPolicies.webhooks.cidrs=[]")...)) {
		if p.Name == hooks {
			t.Errorf("%v", allows(p.Spec))
		}
	}
}

// Names are asked of whoever answers them: kube-dns, the node's cache, and Cloud DNS, which is
// at the metadata server's address; by the chart and by what kustomize has.
func TestNamesAreAskedOfEverybodyWhoAnswersThem(t *testing.T) {
	want := []string{"to {namespaceSelector:{matchLabels:{namespace:kube-system}}}: 53/udp 53", "to 169.254.20.10/32: 53/udp 53", "to 169.254.169.254/32: 53/udp 53"}
	for name, args := range installs() {
		for _, p := range policies(t, render(t, args...)) {
			if p.Name != "clarity-dns" {
				continue
			}
			if len(p.Spec.PodSelector.MatchLabels)+len(p.Spec.PodSelector.MatchExpressions) > 0 {
				t.Errorf("with %s only %v resolve names", name, p.Spec.PodSelector)
			}
			if diff := cmp.Diff(want, allows(p.Spec)); diff != "" {
				t.Errorf("with %s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// Google's collectors are let in where each kind of cluster has them, and each may read the token.
func TestBothKindsOfClusterAreMonitored(t *testing.T) {
	for _, name := range []string{"Autopilot", "Standard"} {
		objects := render(t, installs()[name]...)
		content, err := json.Marshal(find(t, objects, "RoleBinding", "clarity-metrics-reader-token").Object["subjects"])
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []string{"gmp-system", "gke-gmp-system"} {
			if !strings.Contains(string(content), `"namespace":"`+in+`"`) {
				t.Errorf("%s: the collector of %s may not read the token: %s", name, in, content)
			}
			for _, p := range policies(t, objects) {
				if p.Name == "clarity-stages" && !strings.Contains(fmt.Sprint(allows(p.Spec)), in) {
					t.Errorf("%s: %s may not read what stages count", name, in)
				}
			}
		}
		for _, stage := range []string{"ingress", "worker", "insights"} {
			o := find(t, objects, "PodMonitoring", "clarity-"+stage)
			endpoints, _, _ := unstructured.NestedSlice(o.Object, "spec", "endpoints")
			if got, _ := json.Marshal(endpoints); string(got) != `[{"interval":"15s","path":"/metrics","port":"operations"}]` {
				t.Errorf("%s is read at %s", stage, got)
			}
		}
	}
}
