package charts_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// templateOf is the pod that an object makes; nil if it makes none.
func templateOf(t *testing.T, o unstructured.Unstructured) *corev1.PodTemplateSpec {
	t.Helper()
	path := map[string][]string{
		"Deployment": {"spec", "template"}, "Job": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "DaemonSet": {"spec", "template"},
		"CronJob": {"spec", "jobTemplate", "spec", "template"}, "Pod": {},
	}
	fields, ok := path[o.GetKind()]
	if !ok {
		return nil
	}
	content := o.Object
	if len(fields) > 0 {
		var err error
		if content, _, err = unstructured.NestedMap(o.Object, fields...); err != nil {
			t.Fatal(err)
		}
	}
	var template corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, &template, o.GetKind() != "Pod"); err != nil {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return &template
}

// Every image is named by its digest, also those the operator is told to run.
func TestEveryImageHasADigest(t *testing.T) {
	digest := regexp.MustCompile(`^[^\s@:]+(/[^\s@:]+)*@sha256:[0-9a-f]{64}$`)
	objects := render(t, "--values="+full)
	var seen int
	check := func(where, image string) {
		seen++
		if !digest.MatchString(image) {
			t.Errorf("%s runs %q", where, image)
		}
	}
	for _, o := range objects {
		template := templateOf(t, o)
		if template == nil {
			continue
		}
		for _, c := range append(template.Spec.InitContainers, template.Spec.Containers...) {
			check(o.GetKind()+" "+o.GetName(), c.Image)
		}
	}
	for _, found := range regexp.MustCompile(`image: (\S+)`).FindAllStringSubmatch(configuration(t, objects), -1) {
		check("the operator", found[1])
	}
	if seen != 12 {
		t.Errorf("%d images were seen, want 12: manager, worker, ingress, insights, five tests, and three for the operator", seen)
	}
}

// Every container says what it needs; every long-running one is asked whether it lives and whether it is ready.
func TestEveryContainerIsBoundedAndProbed(t *testing.T) {
	for _, o := range render(t, "--values="+full) {
		template := templateOf(t, o)
		if template == nil {
			continue
		}
		for _, c := range template.Spec.Containers {
			where := o.GetKind() + " " + o.GetName() + "/" + c.Name
			if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s has resources %+v", where, c.Resources)
			}
			if o.GetKind() == "Deployment" && (c.LivenessProbe == nil || c.ReadinessProbe == nil || c.StartupProbe == nil) {
				t.Errorf("%s is not probed", where)
			}
		}
		if o.GetKind() == "Deployment" && template.Spec.AutomountServiceAccountToken == nil {
			t.Errorf("%s does not say whether it has a token", o.GetName())
		}
	}
}

// Only the manager, who follows the traffic plan, and the test that asks the API server, have a token of the cluster.
func TestOnlyWhoAsksTheAPIServerHasAToken(t *testing.T) {
	for name, want := range map[string][]string{
		"everything turned on": {"clarity-manager", "clarity-test-samples", "clarity-worker"},
		"the least":            {"clarity-manager"},
	} {
		var with []string
		for _, o := range render(t, installs()[name]...) {
			if template := templateOf(t, o); template != nil && *template.Spec.AutomountServiceAccountToken {
				with = append(with, o.GetName())
			}
		}
		slices.Sort(with)
		if !slices.Equal(with, want) {
			t.Errorf("with %s %v have a token, want %v", name, with, want)
		}
	}
}

// Each selector of a Service, budget, policy or autoscaler finds pods of the release.
func TestEverySelectorFindsPods(t *testing.T) {
	objects := render(t, "--values="+full)
	var pods []map[string]string
	for _, o := range objects {
		if template := templateOf(t, o); template != nil {
			pods = append(pods, template.Labels)
		}
	}
	for _, component := range []string{"server", "shard", "verify", "validate"} {
		pods = append(pods, map[string]string{"clarityloop.dev/component": component})
	}
	for _, o := range objects {
		for _, path := range [][]string{{"spec", "selector"}, {"spec", "podSelector"}, {"spec", "selector", "matchLabels"}, {"spec", "podSelector", "matchLabels"}} {
			selector, found, err := unstructured.NestedStringMap(o.Object, path...)
			if err != nil || !found || o.GetKind() == "PodMonitoring" && len(path) == 2 {
				continue
			}
			if !slices.ContainsFunc(pods, func(pod map[string]string) bool { return within(selector, pod) }) {
				t.Errorf("%s %s selects %v: no such pod", o.GetKind(), o.GetName(), selector)
			}
		}
	}
}

func within(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// In the namespace nothing may talk to anything that no policy allows, both
// ways; and the manager is not reachable but for its metrics.
func TestNothingMayTalkThatIsNotNamed(t *testing.T) {
	objects := render(t)
	deny := find(t, objects, "NetworkPolicy", "clarity-default-deny")
	content, err := json.Marshal(deny.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	if string(content) != `{"podSelector":{},"policyTypes":["Ingress","Egress"]}` {
		t.Errorf("the default is %s", content)
	}
	ingress := map[string]string{}
	for _, o := range objects {
		if o.GetKind() != "NetworkPolicy" {
			continue
		}
		rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "ingress")
		content, err := json.Marshal(rules)
		if err != nil {
			t.Fatal(err)
		}
		if len(rules) > 0 {
			ingress[o.GetName()] = string(content)
		}
		if strings.Contains(string(content), "{}") {
			t.Errorf("%s lets everyone in", o.GetName())
		}
	}
	if len(ingress) != 1 || !strings.Contains(ingress["clarity-manager"], `"ports":[{"port":8443,"protocol":"TCP"}]`) {
		t.Errorf("by default these let others in: %v", ingress)
	}
}

// No two objects are one to the API server: the second would be refused, or take the first's place.
func TestNoTwoObjectsHaveOneName(t *testing.T) {
	for name, args := range installs() {
		seen := map[string]bool{}
		for _, o := range render(t, args...) {
			named := o.GroupVersionKind().GroupKind().String() + " " + o.GetNamespace() + "/" + o.GetName()
			if seen[named] {
				t.Errorf("with %s there are two of %s", name, named)
			}
			seen[named] = true
		}
	}
}

// Two releases, and one of another name, have no object in common in a namespace.
func TestNamesAreTheReleases(t *testing.T) {
	output, err := helm(t, "template", "night", chart, "--namespace=other", "--values="+full, "--set=crds.install=false")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"gpu-shared": true, "clarity-serving": true, "clarity-batch": true, "night": true}
	for _, o := range parse(t, output) {
		if name := o.GetName(); !named[name] && !strings.HasPrefix(name, "night-clarity") && !strings.HasPrefix(name, "clarity-example-") {
			t.Errorf("%s %s does not have the release's name", o.GetKind(), name)
		}
		if in := o.GetNamespace(); in != "" && in != "other" {
			t.Errorf("%s %s is in %s", o.GetKind(), o.GetName(), in)
		}
	}
	if strings.Contains(output, "namespace: clarity\n") {
		t.Error("the namespace clarity is named")
	}
}
