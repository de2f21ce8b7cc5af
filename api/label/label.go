// Package label is what the operator writes on everything it makes, so that its cache,
// its metrics, the plugin and people find it.
package label

import (
	"crypto/sha256"
	"encoding/hex"
)

// The labels.
const (
	// Component says what the object is for: one of the values below.
	Component = "clarityloop.dev/component"
	// Model names the model whose version the object was made for.
	Model = "clarityloop.dev/model"
	// Version names the version.
	Version = "clarityloop.dev/version"
	// Instance is one ModelVersion's name for its children, not another's of the same
	// version: it ends in InstanceSuffix.
	Instance = "app.kubernetes.io/instance"
	// ManagedBy has the value Manager.
	ManagedBy = "app.kubernetes.io/managed-by"
	// Name says in the words of the field what the object is.
	Name = "app.kubernetes.io/name"
)

// Manager is ManagedBy's value.
const Manager = "clarity"

// The values of Component.
const (
	// Server is on a version's Deployment, its pods and what belongs to them.
	Server = "server"
	// Verify is on the Job that checks a bundle.
	Verify = "verify"
	// Validate is on the Job that holds a version against its golden vectors.
	Validate = "validate"
	// Plan is on the ConfigMap with a model's traffic plan.
	Plan = "traffic-plan"
	// Shard is on every Job and pod of an AnalysisJob.
	Shard = "shard"
)

// InstanceSuffix is what the Instance of everything that is made for an object ends in, by
// the object's UID: one that is created again under an old name has children of its own.
// Servers have no owner but this: the garbage collector must not take them before the
// traffic has moved.
func InstanceSuffix(uid string) string {
	hash := sha256.Sum256([]byte(uid))
	return "-" + hex.EncodeToString(hash[:5])
}
