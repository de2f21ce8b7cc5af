package analysisjob

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarity-loop/clarity/controllers/internal/configcheck"
)

// Config is what the platform decides about every shard. It is read once, at
// the manager's start; a change touches Jobs created afterwards alone.
type Config struct {
	// Namespace is where AnalysisJobs are taken in and their shards run. Others are told so in status.
	Namespace string `json:"namespace"`
	// Image is the worker's image, by digest.
	Image string `json:"image"`
	// ServiceAccount is the account the shards run as: it holds the data-plane rights that the operator has not.
	ServiceAccount string `json:"serviceAccount"`
	// Resources are a shard's; CPU and memory requests and a memory limit are required.
	Resources corev1.ResourceRequirements `json:"resources"`
	// ConfigMap is the worker's configuration (drivers, buckets, project), given to shards as environment; none if empty.
	ConfigMap string `json:"configMap,omitempty"`
	// ModelServer lets shards ask a model's servers where the version has some. Otherwise, and where it
	// has none, they run the model's bundle on their CPU.
	ModelServer bool `json:"modelServer,omitempty"`
	// NodeSelector and Tolerations say where shards may run.
	NodeSelector map[string]string   `json:"nodeSelector,omitempty"`
	Tolerations  []corev1.Toleration `json:"tolerations,omitempty"`
	// GracePeriod is how long a shard may take to checkpoint when it is stopped; 30 s if zero.
	GracePeriod metav1.Duration `json:"gracePeriod,omitzero"`
	// StatusInterval is the least time between two writes of counts; 10 s if zero.
	StatusInterval metav1.Duration `json:"statusInterval,omitzero"`
}

const (
	defaultGracePeriod    = 30 * time.Second
	defaultStatusInterval = 10 * time.Second
)

// WithDefaults returns the configuration with what may be left out filled in.
func (c Config) WithDefaults() Config {
	if c.GracePeriod.Duration == 0 {
		c.GracePeriod.Duration = defaultGracePeriod
	}
	if c.StatusInterval.Duration == 0 {
		c.StatusInterval.Duration = defaultStatusInterval
	}
	return c
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var f configcheck.Faults
	f.Name("namespace", c.Namespace, validation.IsDNS1123Label)
	f.Name("serviceAccount", c.ServiceAccount, validation.IsDNS1123Subdomain)
	if c.ConfigMap != "" {
		f.Name("configMap", c.ConfigMap, validation.IsDNS1123Subdomain)
	}
	f.Image("image", c.Image)
	f.Resources("resources", c.Resources)
	f.Within("gracePeriod", c.GracePeriod, 0, time.Hour)
	f.Within("statusInterval", c.StatusInterval, 0, time.Hour)
	return f.Err()
}
