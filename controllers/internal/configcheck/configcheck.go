// Package configcheck collects every fault of a configuration, in the words that both
// controllers use.
package configcheck

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var byDigest = regexp.MustCompile(`^[^\s@]+@sha256:[0-9a-f]{64}$`)

// Faults collects what is wrong. The zero value is ready.
type Faults []error

// Err is every fault, joined; nil if there is none.
func (f Faults) Err() error { return errors.Join(f...) }

// Add adds a fault.
func (f *Faults) Add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

// Name adds a fault unless the value is there and a name in the sense of check.
func (f *Faults) Name(field, value string, check func(string) []string) {
	if value == "" {
		f.Add("%s is required", field)
		return
	}
	for _, why := range check(value) {
		f.Add("%s %q: %s", field, value, why)
	}
}

// Within adds a fault unless the duration is zero or between the two.
func (f *Faults) Within(field string, d metav1.Duration, least, most time.Duration) {
	if d.Duration != 0 && (d.Duration < least || d.Duration > most) {
		f.Add("%s %v must be between %v and %v", field, d.Duration, least, most)
	}
}

// Image adds a fault unless the value names an image by digest.
func (f *Faults) Image(field, value string) {
	if !byDigest.MatchString(value) {
		f.Add("%s %q must name a digest, like host/name@sha256:…", field, value)
	}
}

// Resources adds a fault unless CPU and memory are asked for, and memory is bounded.
func (f *Faults) Resources(field string, r corev1.ResourceRequirements) {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if request, ok := r.Requests[name]; !ok || request.Sign() <= 0 {
			f.Add("%s.requests.%s is required", field, name)
		}
	}
	if limit, ok := r.Limits[corev1.ResourceMemory]; !ok || limit.Sign() <= 0 {
		f.Add("%s.limits.memory is required", field)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Limits)) {
		limit := r.Limits[name]
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) > 0 {
			f.Add("%s.requests.%s %s is above its limit %s", field, name, request.String(), limit.String())
		}
	}
}
