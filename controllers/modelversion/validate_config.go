package modelversion

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

var (
	byDigest = regexp.MustCompile(`^[^\s@]+@sha256:[0-9a-f]{64}$`)
	digest   = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// faults collects what is wrong.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (f *faults) name(field, value string, check func(string) []string) {
	if value == "" {
		f.add("%s is required", field)
		return
	}
	for _, why := range check(value) {
		f.add("%s %q: %s", field, value, why)
	}
}

func (f *faults) within(field string, d metav1.Duration, least, most time.Duration) {
	if d.Duration != 0 && (d.Duration < least || d.Duration > most) {
		f.add("%s %v must be between %v and %v", field, d.Duration, least, most)
	}
}

func (f *faults) image(field, value string) {
	if !byDigest.MatchString(value) {
		f.add("%s %q must name a digest, like host/name@sha256:…", field, value)
	}
}

func (f *faults) resources(field string, r corev1.ResourceRequirements) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if request, ok := r.Requests[name]; !ok || request.Sign() <= 0 {
			f.add("%s.requests.%s is required", field, name)
		}
	}
	if limit, ok := r.Limits[corev1.ResourceMemory]; !ok || limit.Sign() <= 0 {
		f.add("%s.limits.memory is required", field)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		limit := r.Limits[name]
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
			f.add("%s.requests.%s %s is above its limit %s", field, name, request.String(), limit.String())
		}
	}
}

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

func (s ServingClass) validate(f *faults, name string) {
	field := "servingClasses." + name
	f.name("servingClasses", name, validation.IsDNS1123Label)
	f.image(field+".image", s.Image)
	f.resources(field+".resources", s.Resources)
	f.within(field+".startTimeout", s.StartTimeout, time.Second, 24*time.Hour)
	if s.Scratch.Sign() < 0 {
		f.add("%s.scratch %s must not be negative", field, s.Scratch.String())
	}
	if a := s.Autoscaling; a != nil && (a.Metric == "" || a.AverageValue.Sign() <= 0) {
		f.add("%s.autoscaling needs a metric and an averageValue above 0", field)
	}
	switch s.Sharing.Mode {
	case "", SharingWhole, SharingMIG, SharingMPS, SharingTimeSlice:
	default:
		f.add("%s.sharing.mode %q is none of Whole, MIG, MPS and TimeSlice", field, s.Sharing.Mode)
	}
	if (s.Sharing.Mode == SharingMIG) != (s.Sharing.Partition != "") {
		f.add("%s.sharing.partition is required for MIG, and for it alone", field)
	}
	if s.Sharing.Clients < 0 || s.Sharing.Clients > 0 && s.Sharing.Mode != SharingMPS && s.Sharing.Mode != SharingTimeSlice {
		f.add("%s.sharing.clients is for MPS and TimeSlice, and not negative", field)
	}
}
