// Package serving writes out what serves a version of a model: its servers and what belongs
// to them, the Jobs that check it, and how all of that is called. It creates nothing, and
// asks nobody but the servers (serving/probe).
package serving

import (
	"strings"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Name names everything that belongs to the version: the object's name as
// far as there is room, and a hash of its UID. An object created again under an
// old name gets servers of its own.
func Name(mv *v1alpha1.ModelVersion) string {
	name := strings.ReplaceAll(mv.Name, ".", "-")
	name = strings.Trim(name[:min(len(name), 40)], "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' { // a Service's name starts with a letter
		name = "v" + name[:min(len(name), 39)]
	}
	return name + label.InstanceSuffix(string(mv.UID))
}

// JobName names the version's Job for the component.
func JobName(mv *v1alpha1.ModelVersion, component string) string {
	return Name(mv) + "-" + component
}

// labelsOf are the labels of what belongs to the version.
func labelsOf(mv *v1alpha1.ModelVersion, component string) map[string]string {
	return map[string]string{
		label.ManagedBy: label.Manager, label.Name: "clarity-model-" + component, label.Instance: Name(mv),
		label.Component: component, label.Model: mv.Spec.Model, label.Version: mv.Spec.Version,
	}
}

// Selector selects the version's servers.
func Selector(mv *v1alpha1.ModelVersion) map[string]string {
	return map[string]string{label.Instance: Name(mv), label.Component: label.Server}
}

// Endpoint is where the version is called: every server, by its headless Service.
func Endpoint(mv *v1alpha1.ModelVersion) string {
	return Name(mv) + "." + mv.Namespace + ".svc:8001"
}
