package modelversion

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

var (
	byDigest = regexp.MustCompile(`^[^\s@]+@sha256:[0-9a-f]{64}$`)
	digest   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	var f faults
	f.name("namespace", c.Namespace, validation.IsDNS1123Label)
	f.name("serviceAccount", c.ServiceAccount, validation.IsDNS1123Subdomain)
	if c.ConfigMap != "" {
		f.name("configMap", c.ConfigMap, validation.IsDNS1123Subdomain)
	}
	f.image("image", c.Image)
	f.resources("resources", c.Resources)
	if err := c.Prometheus.Validate(); err != nil {
		for fault := range strings.SplitSeq(err.Error(), "\n") {
			f.add("prometheus.%s", fault)
		}
	}
	f.within("propagation", c.Propagation, time.Second, 10*time.Minute)
	f.within("evaluationInterval", c.EvaluationInterval, time.Second, time.Hour)
	f.within("verifyTimeout", c.VerifyTimeout, time.Second, 24*time.Hour)
	f.within("retryAfter", c.RetryAfter, time.Second, 24*time.Hour)
	f.within("probeTimeout", c.ProbeTimeout, time.Millisecond, 10*time.Second)
	f.within("probeInterval", c.ProbeInterval, time.Second, time.Minute)
	if c.ErrorLimit < 0 || c.ErrorLimit > 1000 {
		f.add("errorLimit %d must be between 0 and 1000", c.ErrorLimit)
	}
	c.validateFeeds(&f)
	if len(c.ServingClasses) == 0 {
		f.add("servingClasses: at least one is required")
	}
	for _, name := range slices.Sorted(maps.Keys(c.ServingClasses)) {
		c.ServingClasses[name].validate(&f, name)
	}
	return errors.Join(f...)
}

func (c Config) validateFeeds(f *faults) {
	if len(c.Feeds) == 0 {
		f.add("feeds: at least one is required")
	}
	for i, feed := range c.Feeds {
		field := fmt.Sprintf("feeds[%d]", i)
		if feed.Preprocessing.Name == "" {
			f.add("%s.preprocessing.name is required", field)
		}
		if !digest.MatchString(feed.Preprocessing.Digest) {
			f.add("%s.preprocessing.digest %q must be like sha256:…", field, feed.Preprocessing.Digest)
		}
		if feed.Window.EpochSeconds < 1 || feed.Window.Epochs < 0 {
			f.add("%s.window must have epochSeconds of at least 1 and epochs of at least 0", field)
		}
		if len(feed.Inputs) == 0 {
			f.add("%s.inputs: at least one is required", field)
		}
		for _, input := range feed.Inputs {
			if input.Name == "" || input.DType == "" || len(input.Dims) == 0 {
				f.add("%s.inputs: %q needs a name, a dtype and dims", field, input.Name)
			}
		}
	}
}
