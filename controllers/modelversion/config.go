package modelversion

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// Config is what the platform decides about every version of every model. It
// is read once, at the manager's start. A change restarts no server: pods are
// made as the configuration was when their version started.
type Config struct {
	// Namespace is where ModelVersions are taken in and served. Others are told so in status.
	Namespace string `json:"namespace"`
	// Image is the worker's image, by digest: it verifies, fetches and validates.
	Image string `json:"image"`
	// ServiceAccount is the account all pods run as: it may read bundles, which the operator may not.
	ServiceAccount string `json:"serviceAccount"`
	// ConfigMap is the worker's configuration, given to its containers as environment; none if empty.
	ConfigMap string `json:"configMap,omitempty"`
	// Resources are those of a worker's container; CPU and memory requests and a memory limit are required.
	Resources corev1.ResourceRequirements `json:"resources"`
	// ServingClasses are the ways to serve, by the name that spec.serving.class says.
	ServingClasses map[string]serving.Class `json:"servingClasses"`
	// Feeds are what workers can make of a person's minutes: a version whose contract is none of them is rejected.
	Feeds []Feed `json:"feeds"`
	// Prometheus is where gates get their numbers.
	Prometheus gate.Config `json:"prometheus"`
	// Network says who may talk to the servers.
	Network serving.Network `json:"network,omitzero"`

	// Propagation is how long workers may take to follow the traffic plan: a version that left
	// the plan is served for so long. 30 s if zero.
	Propagation metav1.Duration `json:"propagation,omitzero"`
	// EvaluationInterval is the time between two looks at the gates; 30 s if zero.
	EvaluationInterval metav1.Duration `json:"evaluationInterval,omitzero"`
	// ErrorLimit is how many looks in a row may find a gate's source down before that is told; 5 if zero.
	ErrorLimit int32 `json:"errorLimit,omitempty"`
	// VerifyTimeout bounds the check of a bundle; 15 min if zero.
	VerifyTimeout metav1.Duration `json:"verifyTimeout,omitzero"`
	// RetryAfter is when a check that ended without a result is made again; 5 min if zero.
	RetryAfter metav1.Duration `json:"retryAfter,omitzero"`
	// ProbeTimeout bounds the question to one pod whether it is ready; 2 s if zero.
	ProbeTimeout metav1.Duration `json:"probeTimeout,omitzero"`
	// ProbeInterval is the time between two questions to a pod that is not ready or
	// did not answer; 5 s if zero. A server that was ready and does not answer three
	// of them in a row is not ready any more.
	ProbeInterval metav1.Duration `json:"probeInterval,omitzero"`
}

// A Feed is one input that workers can make.
type Feed struct {
	// Preprocessing names the steps.
	Preprocessing v1alpha1.Preprocessing `json:"preprocessing"`
	// Window is the stretch of time; 0 epochs is any number.
	Window v1alpha1.Window `json:"window"`
	// Inputs are the tensors that are made. A version may take some of them.
	Inputs []v1alpha1.Tensor `json:"inputs"`
}

const (
	defaultPropagation   = 30 * time.Second
	defaultEvaluation    = 30 * time.Second
	defaultErrorLimit    = 5
	defaultVerifyTimeout = 15 * time.Minute
	defaultRetryAfter    = 5 * time.Minute
	defaultProbeTimeout  = 2 * time.Second
	defaultProbeInterval = 5 * time.Second
)

// WithDefaults returns the configuration with what may be left out filled in.
func (c Config) WithDefaults() Config {
	for d, value := range map[*metav1.Duration]time.Duration{
		&c.Propagation: defaultPropagation, &c.EvaluationInterval: defaultEvaluation, &c.VerifyTimeout: defaultVerifyTimeout,
		&c.RetryAfter: defaultRetryAfter, &c.ProbeTimeout: defaultProbeTimeout, &c.ProbeInterval: defaultProbeInterval,
	} {
		if d.Duration == 0 {
			d.Duration = value
		}
	}
	c.Prometheus = c.Prometheus.WithDefaults()
	if c.ErrorLimit == 0 {
		c.ErrorLimit = defaultErrorLimit
	}
	classes := make(map[string]serving.Class, len(c.ServingClasses))
	for name, class := range c.ServingClasses {
		classes[name] = class.WithDefaults()
	}
	c.ServingClasses = classes
	return c
}
