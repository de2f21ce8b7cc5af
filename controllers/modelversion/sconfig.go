package modelversion

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Network says who may talk to the servers; everyone else is refused.
type Network struct {
	// Clients may call for inferences; every pod of the namespace if empty.
	Clients []networkingv1.NetworkPolicyPeer `json:"clients,omitempty"`
	// Observers may read metrics and ask for readiness: Prometheus and the operator; every pod of the cluster if empty.
	Observers []networkingv1.NetworkPolicyPeer `json:"observers,omitempty"`
	// Egress is where bundles are fetched from; names, HTTPS and the metadata server if empty.
	Egress []networkingv1.NetworkPolicyEgressRule `json:"egress,omitempty"`
}

// A ServingClass is one way to serve.
type ServingClass struct {
	// Image is Triton's image, by digest.
	Image string `json:"image"`
	// Resources are the server's; GPUs are limits here. CPU and memory requests and a memory limit are required.
	Resources corev1.ResourceRequirements `json:"resources"`
	// NodeSelector and Tolerations say where servers run.
	NodeSelector map[string]string   `json:"nodeSelector,omitempty"`
	Tolerations  []corev1.Toleration `json:"tolerations,omitempty"`
	// PriorityClassName is the servers' priority.
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// Sharing says how much of a GPU a server has.
	Sharing Sharing `json:"sharing,omitzero"`
	// NoSurge says that there is no spare GPU: replicas are replaced one by one.
	NoSurge bool `json:"noSurge,omitempty"`
	// StartTimeout is how long a server may take from its birth to ready; 15 min if zero.
	StartTimeout metav1.Duration `json:"startTimeout,omitzero"`
	// Scratch is the room for the bundle; 4 GiB if zero.
	Scratch resource.Quantity `json:"scratch,omitzero"`
	// Autoscaling is by what the number of replicas follows the load; without it, it stays at the minimum.
	Autoscaling *Autoscaling `json:"autoscaling,omitempty"`
	// Args are added to Triton's command line.
	Args []string `json:"args,omitempty"`
}

// Autoscaling is by what the number of replicas follows the load.
type Autoscaling struct {
	// Metric is a metric of pods, such as the time requests wait.
	Metric string `json:"metric"`
	// AverageValue is what each pod should have of it.
	AverageValue resource.Quantity `json:"averageValue"`
}

// SharingMode is how several servers use one GPU.
type SharingMode string

// The modes.
const (
	SharingWhole     SharingMode = "Whole"     // one server has the GPU
	SharingMIG       SharingMode = "MIG"       // the hardware divides it
	SharingMPS       SharingMode = "MPS"       // processes run at the same time in one context
	SharingTimeSlice SharingMode = "TimeSlice" // processes take turns
)

// Sharing is how several servers use one GPU. It selects nodes that do it; the
// nodes themselves are the platform's.
type Sharing struct {
	// Mode is Whole if empty.
	Mode SharingMode `json:"mode,omitempty"`
	// Partition is MIG's, like 1g.5gb.
	Partition string `json:"partition,omitempty"`
	// Clients is how many servers MPS and TimeSlice put on a GPU; any number if zero.
	Clients int32 `json:"clients,omitempty"`
}
