package charts_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func sameAs(o unstructured.Unstructured) func(unstructured.Unstructured) bool {
	return func(other unstructured.Unstructured) bool {
		return o.GetKind() == other.GetKind() && o.GetName() == other.GetName()
	}
}

// difference compares two objects, but for what Helm adds: labels, its
// annotations, and the release's name in selectors.
func difference(t *testing.T, a, b unstructured.Unstructured) string {
	t.Helper()
	return cmp.Diff(plain(t, a), plain(t, b))
}

func plain(t *testing.T, o unstructured.Unstructured) any {
	t.Helper()
	content, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	var copied any
	if err := json.Unmarshal(content, &copied); err != nil {
		t.Fatal(err)
	}
	return without(copied)
}

// without drops what differs by design, at every depth.
func without(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, of := range v {
			switch {
			case strings.HasPrefix(key, "helm.sh/"), key == "app.kubernetes.io/instance", key == "app.kubernetes.io/version",
				key == "app.kubernetes.io/managed-by", key == "clarityloop.dev/config", key == "imagePullPolicy":
				delete(v, key)
				continue
			}
			v[key] = without(of)
			if empty(v[key]) {
				delete(v, key)
			}
		}
		// A label of the object itself: the name that selectors use stays in them.
		if metadata, ok := v["metadata"].(map[string]any); ok && v["kind"] != nil {
			if labels, ok := metadata["labels"].(map[string]any); ok {
				delete(labels, "app.kubernetes.io/name")
				if len(labels) == 0 {
					delete(metadata, "labels")
				}
			}
		}
		// The generated name of the ConfigMap.
		if name, ok := v["name"].(string); ok && strings.HasPrefix(name, "clarity-manager-") && len(v) == 1 {
			v["name"] = "clarity-manager"
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return value
}

func empty(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case nil:
		return true
	}
	return false
}
