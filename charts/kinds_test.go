package charts_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The API server takes the definitions, the cost of their rules included, and
// refuses what Go could not decode, or not in a reasonable time: one such object
// would end the operator's watch of all of them.
func TestTheKindsRefuseWhatTheOperatorCannotRead(t *testing.T) {
	l := onCluster(t)
	l.restricted(t, namespace)
	l.must(t, "apply", "--server-side", "-k", "../config/crd")
	t.Cleanup(func() {
		_, _ = run(context.Background(), nil, l.kubectl, "--kubeconfig="+l.kubeconfig, "delete", "-k", "../config/crd")
	})
	names := []string{"crd/modelversions.clarityloop.dev", "crd/analysisjobs.clarityloop.dev"}
	l.must(t, append([]string{"wait", "--for=condition=Established", "--timeout=60s"}, names...)...)
	for _, name := range names {
		if told := l.must(t, "get", name, `-o=jsonpath={.status.conditions[?(@.type=="NonStructuralSchema")].message}`); told != "" {
			t.Errorf("%s: %s", name, told)
		}
	}
	for name, tt := range map[string]struct {
		sample, path, value, told string
	}{
		"a duration in words":             {"modelversion", "spec.rollout.keepWarm", `"soon"`, "must be a duration"},
		"a duration without a unit":       {"modelversion", "spec.validation.timeout", `"600"`, "must be a duration"},
		"a duration that overflows":       {"modelversion", "spec.rollout.keepWarm", `"9999999h"`, "keepWarm"},
		"a duration below zero":           {"modelversion", "spec.rollout.keepWarm", `"-1h"`, "must be a duration"},
		"a deadline in days":              {"analysisjob", "spec.deadline.startWithin", `"1d"`, "startWithin"},
		"a deadline that overflows":       {"analysisjob", "spec.deadline.completeWithin", `"2562048h"`, "completeWithin"},
		"a gate whose bound is no number": {"modelversion", "spec.rollout.gates.0.max", `"fast"`, "max"},
		"a gate whose bound overflows":    {"modelversion", "spec.rollout.gates.0.max", `"1e99999999999"`, "must be a number"},
		// Go takes minutes to parse this one.
		"a gate whose bound takes minutes": {"modelversion", "spec.rollout.gates.0.max", `"5e-999999999"`, "must be a number"},
		"a dimension beyond 64 bits":       {"modelversion", "spec.contract.inputs.0.dims", `[1e30]`, "dims"},
		"a subject that is an address":     {"analysisjob", "spec.subjects", `{"subject": "someone@example.com"}`, "subject"},
		"a field that does not exist":      {"modelversion", "spec.rollout.canary", `true`, "canary"},
	} {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile("../config/samples/" + tt.sample + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var o unstructured.Unstructured
			if err := yaml.Unmarshal(content, &o.Object); err != nil {
				t.Fatal(err)
			}
			if _, err := l.apply(t.Context(), string(content), "--dry-run=server", "--namespace="+namespace); err != nil {
				t.Fatalf("the sample itself: %v", err)
			}
			changed := set(t, o, tt.path, tt.value)
			_, err = l.apply(t.Context(), changed, "--dry-run=server", "--validate=strict", "--namespace="+namespace)
			if err == nil || !strings.Contains(err.Error(), tt.told) {
				t.Errorf("%s=%s: %v; want it refused, with %q told", tt.path, tt.value, err, tt.told)
			}
		})
	}
}

// set returns the object as YAML with the value, which is JSON, at the path; a number in the path is an index.
func set(t *testing.T, o unstructured.Unstructured, path, value string) string {
	t.Helper()
	fields := strings.Split(path, ".")
	var at any = o.Object
	for _, field := range fields[:len(fields)-1] {
		if list, ok := at.([]any); ok {
			at = list[int(field[0]-'0')]
			continue
		}
		parent := at.(map[string]any)
		if parent[field] == nil {
			parent[field] = map[string]any{}
		}
		at = parent[field]
	}
	at.(map[string]any)[fields[len(fields)-1]] = "PUT HERE"
	content, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(content), `"PUT HERE"`, value, 1)
}
