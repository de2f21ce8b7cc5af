package serving

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A Builder makes the objects of a version: its servers and what belongs to them, and
// the Jobs that check it. It only writes them out; whoever creates them owns them.
type Builder struct {
	// Image is the worker's image, by digest: it verifies, fetches and validates.
	Image string
	// ServiceAccount is the account all pods run as.
	ServiceAccount string
	// ConfigMap is the worker's configuration, given to its containers as environment; none if empty.
	ConfigMap string
	// Resources are those of a worker's container.
	Resources corev1.ResourceRequirements
	// Propagation is how long workers may take to follow the traffic plan: a server that is
	// stopped answers for so long.
	Propagation time.Duration
	// Network says who may talk to the servers.
	Network Network
}
