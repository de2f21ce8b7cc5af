package house_test

import (
	"regexp"
	"testing"
)

// What is built from a fresh clone is three modules: the platform, the control plane
// and the tools. Where they take another version of what Kubernetes is made of, all
// that rests on it is compiled once more for each: minutes.
func TestWhatKubernetesIsMadeOfIsCompiledOnce(t *testing.T) {
	requires := regexp.MustCompile(`(?m)^\t((?:k8s\.io/(?:api|apimachinery|client-go|cli-runtime|component-base|kube-openapi|utils)|sigs\.k8s\.io/(?:json|randfill|structured-merge-diff/v6|yaml)|` +
		`google\.golang\.org/protobuf|github\.com/google/gnostic-models|github\.com/json-iterator/go|go\.yaml\.in/yaml/v[23]|golang\.org/x/(?:net|oauth2|sys|term|text|time))) (v\S+)`)
	versions := func(file string) map[string]string {
		all := map[string]string{}
		for _, m := range requires.FindAllStringSubmatch(read(t, repository(), file), -1) {
			all[m[1]] = m[2]
		}
		return all
	}
	ours, compared := versions("go.mod"), 0
	for _, file := range []string{"hack/controlplane/go.mod", "hack/tools/go.mod"} {
		for module, version := range versions(file) {
			if ours[module] == "" {
				continue
			}
			if compared++; version != ours[module] {
				t.Errorf("%s requires %s %s, and go.mod %s: go get %s@%s in its folder, or the other way round", file, module, version, ours[module], module, ours[module])
			}
		}
	}
	if compared < 25 {
		t.Errorf("%d modules are of both: the expression no longer finds them", compared)
	}
}
