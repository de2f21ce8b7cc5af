package serving

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarity-loop/clarity/controllers/internal/configcheck"
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

// A Class is one way to serve.
type Class struct {
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
	// StartTimeout is how long a server may take from its creation to ready; 15 min if zero.
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

// The modes. NVIDIA's MPS is none: GKE wants its pods in the host's IPC namespace, which the
// restricted profile forbids.
const (
	SharingWhole     SharingMode = "Whole"     // one server has the GPU
	SharingMIG       SharingMode = "MIG"       // the hardware divides it
	SharingTimeSlice SharingMode = "TimeSlice" // processes take turns
)

// Sharing is how several servers use one GPU. It selects nodes that do it; the
// nodes themselves are the platform's.
type Sharing struct {
	// Mode is Whole if empty.
	Mode SharingMode `json:"mode,omitempty"`
	// Partition is MIG's, like 1g.5gb.
	Partition string `json:"partition,omitempty"`
	// Clients is how many servers TimeSlice puts on a GPU; any number if zero.
	Clients int32 `json:"clients,omitempty"`
}

// Validate adds what is wrong with the class of the name.
func (c Class) Validate(f *configcheck.Faults, name string) {
	field := "servingClasses." + name
	f.Name("servingClasses", name, validation.IsDNS1123Label)
	f.Image(field+".image", c.Image)
	f.Resources(field+".resources", c.Resources)
	f.Within(field+".startTimeout", c.StartTimeout, time.Second, 24*time.Hour)
	if c.Scratch.Sign() < 0 {
		f.Add("%s.scratch %s must not be negative", field, c.Scratch.String())
	}
	if a := c.Autoscaling; a != nil && (a.Metric == "" || a.AverageValue.Sign() <= 0) {
		f.Add("%s.autoscaling needs a metric and an averageValue above 0", field)
	}
	switch c.Sharing.Mode {
	case "", SharingWhole, SharingMIG, SharingTimeSlice:
	default:
		f.Add("%s.sharing.mode %q is none of Whole, MIG and TimeSlice", field, c.Sharing.Mode)
	}
	if (c.Sharing.Mode == SharingMIG) != (c.Sharing.Partition != "") {
		f.Add("%s.sharing.partition is required for MIG, and for it alone", field)
	}
	if c.Sharing.Clients < 0 || c.Sharing.Clients > 0 && c.Sharing.Mode != SharingTimeSlice {
		f.Add("%s.sharing.clients is for TimeSlice, and not negative", field)
	}
}

// WithDefaults returns the class with what may be left out filled in.
func (c Class) WithDefaults() Class {
	if c.StartTimeout.Duration == 0 {
		c.StartTimeout.Duration = DefaultStartTimeout
	}
	if c.Scratch.IsZero() {
		c.Scratch = resource.MustParse("4Gi")
	}
	if c.Sharing.Mode == "" {
		c.Sharing.Mode = SharingWhole
	}
	return c
}

// DefaultStartTimeout is how long the servers of a class that says nothing may take to be ready.
const DefaultStartTimeout = 15 * time.Minute
