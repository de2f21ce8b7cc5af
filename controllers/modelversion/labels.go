package modelversion

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// manager is the name under which the operator owns fields.
const manager = "clarity-modelversion"

// What the operator writes on everything it makes for a version.
const (
	// ComponentLabel says what the object is for: one of the Component values.
	ComponentLabel = "clarityloop.dev/component"
	// ComponentServer is on a version's Deployment, its pods and what belongs to them.
	ComponentServer = "server"
	// ComponentVerify is on the Job that checks a bundle.
	ComponentVerify = "verify"
	// ComponentValidate is on the Job that holds a version against its golden vectors.
	ComponentValidate = "validate"
	// ComponentPlan is on the ConfigMap with a model's traffic plan.
	ComponentPlan = "traffic-plan"
	// ModelLabel names the model.
	ModelLabel = "clarityloop.dev/model"

	versionLabel   = "clarityloop.dev/version"
	instanceLabel  = "app.kubernetes.io/instance" // childName: one object, not another of the same version
	managedByLabel = "app.kubernetes.io/managed-by"
	nameLabel      = "app.kubernetes.io/name"
)

// childName names everything that belongs to the version: the object's name as
// far as there is room, and a hash of its UID. An object created again under an
// old name gets servers of its own.
func childName(mv *v1alpha1.ModelVersion) string {
	hash := sha256.Sum256([]byte(mv.UID))
	name := strings.ReplaceAll(mv.Name, ".", "-")
	name = strings.Trim(name[:min(len(name), 40)], "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' { // a Service's name starts with a letter
		name = "v" + name[:min(len(name), 39)]
	}
	return name + "-" + hex.EncodeToString(hash[:5])
}

// labelsOf are the labels of what belongs to the version.
func labelsOf(mv *v1alpha1.ModelVersion, component string) map[string]string {
	return map[string]string{
		managedByLabel: "clarity", nameLabel: "clarity-model-" + component, instanceLabel: childName(mv),
		ComponentLabel: component, ModelLabel: mv.Spec.Model, versionLabel: mv.Spec.Version,
	}
}

// selectorOf selects the version's servers.
func selectorOf(mv *v1alpha1.ModelVersion) map[string]string {
	return map[string]string{instanceLabel: childName(mv), ComponentLabel: ComponentServer}
}

// endpointOf is where the version is called: every server, by its headless Service.
func endpointOf(mv *v1alpha1.ModelVersion) string {
	return childName(mv) + "." + mv.Namespace + ".svc:8001"
}

// restricted is the pod's half of the restricted Pod Security profile.
func restricted() *corev1.PodSecurityContext {
	const nonRoot = 65532
	return &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(nonRoot)), RunAsGroup: new(int64(nonRoot)), FSGroup: new(int64(nonRoot)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// confined is the container's half.
func confined() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), RunAsNonRoot: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}
