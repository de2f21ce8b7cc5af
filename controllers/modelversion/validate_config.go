package modelversion

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/clarity-loop/clarity/controllers/internal/configcheck"
)

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

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
	if err := c.Prometheus.Validate(); err != nil {
		for fault := range strings.SplitSeq(err.Error(), "\n") {
			f.Add("prometheus.%s", fault)
		}
	}
	f.Within("propagation", c.Propagation, time.Second, 10*time.Minute)
	f.Within("evaluationInterval", c.EvaluationInterval, time.Second, time.Hour)
	f.Within("verifyTimeout", c.VerifyTimeout, time.Second, 24*time.Hour)
	f.Within("retryAfter", c.RetryAfter, time.Second, 24*time.Hour)
	f.Within("probeTimeout", c.ProbeTimeout, time.Millisecond, 10*time.Second)
	f.Within("probeInterval", c.ProbeInterval, time.Second, time.Minute)
	if c.ErrorLimit < 0 || c.ErrorLimit > 1000 {
		f.Add("errorLimit %d must be between 0 and 1000", c.ErrorLimit)
	}
	c.validateFeeds(&f)
	if len(c.ServingClasses) == 0 {
		f.Add("servingClasses: at least one is required")
	}
	for _, name := range slices.Sorted(maps.Keys(c.ServingClasses)) {
		c.ServingClasses[name].Validate(&f, name)
	}
	return f.Err()
}

func (c Config) validateFeeds(f *configcheck.Faults) {
	if len(c.Feeds) == 0 {
		f.Add("feeds: at least one is required")
	}
	for i, feed := range c.Feeds {
		field := fmt.Sprintf("feeds[%d]", i)
		if feed.Preprocessing.Name == "" {
			f.Add("%s.preprocessing.name is required", field)
		}
		if !digest.MatchString(feed.Preprocessing.Digest) {
			f.Add("%s.preprocessing.digest %q must be like sha256:…", field, feed.Preprocessing.Digest)
		}
		if feed.Window.EpochSeconds < 1 || feed.Window.Epochs < 0 {
			f.Add("%s.window must have epochSeconds of at least 1 and epochs of at least 0", field)
		}
		if len(feed.Inputs) == 0 {
			f.Add("%s.inputs: at least one is required", field)
		}
		for _, input := range feed.Inputs {
			if input.Name == "" || input.DType == "" || len(input.Dims) == 0 {
				f.Add("%s.inputs: %q needs a name, a dtype and dims", field, input.Name)
			}
		}
	}
}
