package modelversion

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
