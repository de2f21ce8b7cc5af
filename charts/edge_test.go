package charts_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/services/ingress"
)

// A match is a path that the gateway lets in, and whether the edge may keep what is there.
type match struct {
	kind, path string
	kept       bool
}

func (m match) takes(path string) bool {
	return m.kind == "Exact" && m.path == path || m.kind == "PathPrefix" && (path == m.path || strings.HasPrefix(path, strings.TrimSuffix(m.path, "/")+"/"))
}

func matches(t *testing.T, objects []unstructured.Unstructured) (all []match) {
	t.Helper()
	rules, _, err := unstructured.NestedSlice(find(t, objects, "HTTPRoute", "clarity-ingress").Object, "spec", "rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		rule := r.(map[string]any)
		content, _ := json.Marshal(rule["filters"])
		ms, _, _ := unstructured.NestedSlice(rule, "matches")
		for _, m := range ms {
			path := m.(map[string]any)["path"].(map[string]any)
			all = append(all, match{path["type"].(string), path["value"].(string), strings.Contains(string(content), "GCPHTTPFilter")})
		}
	}
	return all
}

// there is the name of an object that is rendered.
func there(t *testing.T, objects []unstructured.Unstructured, kind, name string) string {
	t.Helper()
	o := find(t, objects, kind, name)
	return o.GetName()
}

// inside is what of the API is not for the world: who probes, and who reads metrics, is in
// the cluster.
var inside = []string{"/healthz", "/readyz", "/metrics"}

// Each route of the API is let in, but for what is the cluster's; and the edge keeps what is
// public and the same for everybody alone, by its exact path.
func TestTheGatewayLetsInWhatTheAPIHas(t *testing.T) {
	content, err := os.ReadFile("../docs/api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]struct{ Security []map[string]any }
	}
	if err := json.Unmarshal(content, &api); err != nil || len(api.Paths) < 20 {
		t.Fatalf("%d paths, %v", len(api.Paths), err)
	}
	ms := matches(t, render(t, "--values="+full))
	for path, operations := range api.Paths {
		let := slices.ContainsFunc(ms, func(m match) bool { return m.takes(path) })
		if outside := !slices.Contains(inside, path); let != outside {
			t.Errorf("%s is let in: %v", path, let)
		}
		for method, operation := range operations {
			// An empty requirement is that of nobody.
			public := len(operation.Security) == 1 && len(operation.Security[0]) == 0
			for _, m := range ms {
				if m.takes(path) && m.kept && (!public || method != "get") {
					t.Errorf("the edge may keep %s %s, which is not public", method, path)
				}
			}
		}
	}
	kept := slices.DeleteFunc(slices.Clone(ms), func(m match) bool { return !m.kept })
	// The header that lets it is held by services/ingress, for the same paths.
	if diff := cmp.Diff([]match{{"Exact", "/openapi.json", true}}, kept, cmp.AllowUnexported(match{})); diff != "" {
		t.Errorf("what the edge may keep (-want +got):\n%s", diff)
	}
	filter := find(t, render(t, "--values="+full), "GCPHTTPFilter", "clarity-ingress-static")
	if mode := text(t, filter, "spec", "cachePolicy", "cacheMode"); mode != "USE_ORIGIN_HEADERS" {
		t.Errorf("the edge keeps by %s, and not as the ingress says", mode)
	}
	for _, m := range matches(t, render(t, "--values="+full, "--set=gateway.cdn.enabled=false")) {
		if m.kept {
			t.Errorf("without a CDN %s is kept", m.path)
		}
	}
}

// The load balancer asks whether a pod is ready where the ingress says it, and lets a stream of
// events live for as long as the ingress does.
func TestTheLoadBalancerKnowsTheIngress(t *testing.T) {
	objects := render(t, "--values="+full)
	for _, kind := range []string{"HealthCheckPolicy", "GCPBackendPolicy"} {
		o := find(t, objects, kind, "clarity-ingress")
		if target := text(t, o, "spec", "targetRef", "name"); target != there(t, objects, "Service", "clarity-ingress") {
			t.Errorf("%s is of %s", kind, target)
		}
	}
	check, _, _ := unstructured.NestedMap(find(t, objects, "HealthCheckPolicy", "clarity-ingress").Object, "spec", "default", "config", "httpHealthCheck")
	if diff := cmp.Diff(map[string]any{"portSpecification": "USE_SERVING_PORT", "requestPath": "/readyz"}, check); diff != "" {
		t.Errorf("it asks (-want +got):\n%s", diff)
	}
	backend := find(t, objects, "GCPBackendPolicy", "clarity-ingress")
	timeout, _, err := unstructured.NestedFloat64(backend.Object, "spec", "default", "timeoutSec")
	if lives := ingress.DefaultLimits().StreamLifetime; err != nil || time.Duration(timeout)*time.Second <= lives {
		t.Errorf("a stream is cut after %v s and lives for %v (%v)", timeout, lives, err)
	}
	if policy := text(t, backend, "spec", "default", "securityPolicy"); policy != there(t, objects, "ComputeSecurityPolicy", "clarity-ingress") {
		t.Errorf("it is guarded by %s", policy)
	}
	// Whom a request is for, it says before its own address: neither may be taken for a person's.
	want := []string{"35.191.0.0/16", "130.211.0.0/22", "203.0.113.7"}
	if diff := cmp.Diff(want, stageConfig(t, objects, "ingress").Ingress["trustedProxies"]); diff != "" {
		t.Errorf("trusted proxies (-want +got):\n%s", diff)
	}
}

// Each name that is served has a certificate, from where values say.
func TestEveryNameHasACertificate(t *testing.T) {
	objects := render(t, "--values="+full)
	gateway := find(t, objects, "Gateway", "clarity")
	if m := gateway.GetAnnotations()["networking.gke.io/certmap"]; m != there(t, objects, "CertificateManagerCertificateMap", "clarity") {
		t.Errorf("the gateway has the map %s", m)
	}
	named := map[string]bool{}
	for _, o := range objects {
		if o.GetKind() != "CertificateManagerCertificateMapEntry" {
			continue
		}
		host := text(t, o, "spec", "hostname")
		domains, _, _ := unstructured.NestedStringSlice(find(t, objects, "CertificateManagerCertificate", o.GetName()).Object, "spec", "managed", "domains")
		if !slices.Equal(domains, []string{host}) {
			t.Errorf("%s has a certificate of %v", host, domains)
		}
		named[host] = true
	}
	if diff := cmp.Diff(map[string]bool{"api.clarity.example": true, "eu.clarity.example": true}, named); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, o := range render(t, "--values=clarity/ci/standard-values.yaml") {
		if strings.HasPrefix(o.GetKind(), "CertificateManager") || o.GetKind() == "ComputeAddress" {
			t.Errorf("beside certificates in Secrets and an address of one's own there is the %s %s", o.GetKind(), o.GetName())
		}
	}
	gatewayOnly := "--set=dataPlane.ingress.enabled=true,gateway.enabled=true,gateway.hostnames={api.example}"
	if _, err := helm(t, "template", "clarity", chart, gatewayOnly); err == nil || !strings.Contains(err.Error(), "gateway: name a certificate") {
		t.Errorf("a gateway without a certificate: %v", err)
	}
	if _, err := helm(t, "template", "clarity", chart, "--values="+full, "--set=gateway.hostnames={*.clarity.example}"); err == nil || !strings.Contains(err.Error(), "Google proves *.clarity.example by DNS alone") {
		t.Errorf("a wildcard: %v", err)
	}
}

// A gateway that is not Google's gets none of Google's policies, whose kinds may not be there.
func TestAGatewayOfSomebodyElse(t *testing.T) {
	for _, o := range render(t, "--values="+full, "--set=gateway.className=nginx,gateway.certificateSecrets={tls},configConnector.enabled=false") {
		if strings.HasPrefix(o.GetAPIVersion(), "networking.gke.io/") {
			t.Errorf("there is the %s %s", o.GetKind(), o.GetName())
		}
	}
}
