package charts_test

import (
	"slices"
	"strings"
	"testing"
)

// The API server takes everything the chart renders, field by field.
func TestTheAPIServerTakesWhatTheChartRenders(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	renderings := installs()
	renderings["rules for the operator of Prometheus"] = []string{"--values=" + full, "--set=monitoring.rules=prometheus-operator"}
	renderings["replicas by KEDA"] = []string{"--values=" + full, "--set=autoscaling.queueAge=keda"}
	for name, args := range renderings {
		t.Run(name, func(t *testing.T) {
			manifests, err := helm(t, append([]string{"template", "clarity", chart, "--namespace=" + namespace}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			output, err := l.apply(t.Context(), manifests, "--dry-run=server", "--validate=strict", "--namespace="+namespace)
			if err != nil {
				t.Fatal(err)
			}
			if lines, objects := strings.Count(output, "dry run"), len(parse(t, manifests)); lines != objects {
				t.Errorf("%d of %d objects were taken:\n%s", lines, objects, output)
			}
		})
	}
}

// The API server takes what kustomize renders, in a namespace that enforces the profile.
func TestTheAPIServerTakesWhatKustomizeRenders(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	manifests := l.must(t, "kustomize", "../config/default")
	output := l.must(t, "apply", "--dry-run=server", "--validate=strict", "-k", "../config/default")
	if lines, objects := strings.Count(output, "dry run"), len(parse(t, manifests)); lines != objects {
		t.Errorf("%d of %d objects were taken:\n%s", lines, objects, output)
	}
}

// A field that a foreign kind does not have is found: the definitions bite.
func TestAFieldThatAForeignKindDoesNotHaveIsRefused(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	manifests, err := helm(t, "template", "clarity", chart, "--namespace="+namespace, "--values="+full)
	if err != nil {
		t.Fatal(err)
	}
	for was, becomes := range map[string]string{
		"gatewayClassName:": "gatewayClass:", "whenUnsatisfiable:": "whenFull:", "ackDeadlineSeconds:": "ackDeadline:",
		"timeoutSec:": "timeout:", "requestPath:": "path:", "maxDeliveryAttempts:": "attempts:", "locationID:": "location:", "expression:": "expr:",
		"restrictedServices:": "services:", "cacheMode:": "mode:", "certificatesRefs:": "certificates:", "rateLimitThreshold:": "limit:",
	} {
		broken := strings.Replace(manifests, was, becomes, 1)
		if broken == manifests {
			t.Fatalf("%s is not rendered", was)
		}
		if _, err := l.apply(t.Context(), broken, "--dry-run=server", "--validate=strict"); err == nil {
			t.Errorf("%s is taken for %s", becomes, was)
		}
	}
}

// kustomize renders what the chart does, but for labels: one operator, two ways to install it.
func TestKustomizeAndTheChartAgree(t *testing.T) {
	l := onCluster(t)
	ours := parse(t, l.must(t, "kustomize", "../config/default"))
	theirs := render(t, "--skip-tests")
	for _, o := range ours {
		if o.GetKind() == "Namespace" {
			continue
		}
		name := o.GetName()
		if o.GetKind() == "ConfigMap" && strings.HasPrefix(name, "clarity-manager-") {
			continue // its content is compared by TestTheConfigurationsAgree
		}
		other := find(t, theirs, o.GetKind(), name)
		if diff := difference(t, o, other); diff != "" {
			t.Errorf("%s %s (-config +chart):\n%s", o.GetKind(), name, diff)
		}
	}
	for _, o := range theirs {
		if !slices.ContainsFunc(ours, sameAs(o)) && o.GetKind() != "ConfigMap" {
			t.Errorf("%s %s is in the chart alone", o.GetKind(), o.GetName())
		}
	}
}
