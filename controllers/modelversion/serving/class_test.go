package serving

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/controllers/internal/configcheck"
)

// goodClass has no fault, and nothing that may be left out.
func goodClass() Class {
	return Class{
		Image: "registry.example/triton@sha256:" + strings.Repeat("0", 64),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")},
		},
	}
}

// One fault each, and what is just none.
func TestAFaultOfAClass(t *testing.T) {
	const (
		autoscaling = "servingClasses.gpu.autoscaling needs a metric and an averageValue above 0"
		partition   = "servingClasses.gpu.sharing.partition is required for MIG, and for it alone"
		clients     = "servingClasses.gpu.sharing.clients is for TimeSlice, and not negative"
	)
	by := func(metric, value string) *Autoscaling {
		return &Autoscaling{Metric: metric, AverageValue: resource.MustParse(value)}
	}
	after := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	tests := map[string]struct {
		change func(*Class)
		want   string // the fault; "" for none
	}{
		"none":                       {func(*Class) {}, ""},
		"an image by tag":            {func(c *Class) { c.Image = "triton:latest" }, `servingClasses.gpu.image "triton:latest" must name a digest, like host/name@sha256:…`},
		"no CPU":                     {func(c *Class) { delete(c.Resources.Requests, corev1.ResourceCPU) }, "servingClasses.gpu.resources.requests.cpu is required"},
		"the shortest start":         {func(c *Class) { c.StartTimeout = after(time.Second) }, ""},
		"the longest start":          {func(c *Class) { c.StartTimeout = after(24 * time.Hour) }, ""},
		"a start that is too short":  {func(c *Class) { c.StartTimeout = after(time.Second - 1) }, "servingClasses.gpu.startTimeout 999.999999ms must be between 1s and 24h0m0s"},
		"a start that is too long":   {func(c *Class) { c.StartTimeout = after(24*time.Hour + 1) }, "servingClasses.gpu.startTimeout 24h0m0.000000001s must be between 1s and 24h0m0s"},
		"no scratch":                 {func(c *Class) { c.Scratch = resource.MustParse("0") }, ""},
		"less than no scratch":       {func(c *Class) { c.Scratch = resource.MustParse("-1") }, "servingClasses.gpu.scratch -1 must not be negative"},
		"autoscaling":                {func(c *Class) { c.Autoscaling = by("queue_seconds", "1n") }, ""},
		"autoscaling by nothing":     {func(c *Class) { c.Autoscaling = by("", "1") }, autoscaling},
		"autoscaling to nothing":     {func(c *Class) { c.Autoscaling = by("queue_seconds", "0") }, autoscaling},
		"autoscaling to less":        {func(c *Class) { c.Autoscaling = by("queue_seconds", "-1") }, autoscaling},
		"a whole GPU":                {func(c *Class) { c.Sharing.Mode = SharingWhole }, ""},
		"a part of a GPU":            {func(c *Class) { c.Sharing = Sharing{Mode: SharingMIG, Partition: "1g.5gb"} }, ""},
		"a part that is not said":    {func(c *Class) { c.Sharing.Mode = SharingMIG }, partition},
		"a part of a whole one":      {func(c *Class) { c.Sharing = Sharing{Mode: SharingWhole, Partition: "1g.5gb"} }, partition},
		"a part of no mode":          {func(c *Class) { c.Sharing.Partition = "1g.5gb" }, partition},
		"another mode":               {func(c *Class) { c.Sharing.Mode = "Half" }, `servingClasses.gpu.sharing.mode "Half" is none of Whole, MIG and TimeSlice`},
		"in one context":             {func(c *Class) { c.Sharing.Mode = "MPS" }, `servingClasses.gpu.sharing.mode "MPS" is none of Whole, MIG and TimeSlice`},
		"in turns":                   {func(c *Class) { c.Sharing = Sharing{Mode: SharingTimeSlice, Clients: 1} }, ""},
		"in turns, any number":       {func(c *Class) { c.Sharing = Sharing{Mode: SharingTimeSlice} }, ""},
		"in turns, less than nobody": {func(c *Class) { c.Sharing = Sharing{Mode: SharingTimeSlice, Clients: -1} }, clients},
		"several on a whole one":     {func(c *Class) { c.Sharing = Sharing{Mode: SharingWhole, Clients: 1} }, clients},
		"several on a part":          {func(c *Class) { c.Sharing = Sharing{Mode: SharingMIG, Partition: "1g.5gb", Clients: 2} }, clients},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, got := goodClass(), ""
			tt.change(&c)
			var f configcheck.Faults
			c.Validate(&f, "gpu")
			if err := f.Err(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	var f configcheck.Faults
	goodClass().Validate(&f, "GPU")
	if err := f.Err(); err == nil || !strings.HasPrefix(err.Error(), `servingClasses "GPU": `) {
		t.Errorf("a class whose name is none: %v", err)
	}
}

func TestWhatAClassLeavesOutIsFilledIn(t *testing.T) {
	c := goodClass().WithDefaults()
	if c.StartTimeout.Duration != 15*time.Minute || c.Scratch.String() != "4Gi" || c.Sharing.Mode != SharingWhole {
		t.Errorf("%v, %s, %s", c.StartTimeout, c.Scratch.String(), c.Sharing.Mode)
	}
	said := goodClass()
	said.StartTimeout.Duration, said.Scratch, said.Sharing.Mode = time.Minute, resource.MustParse("1Gi"), SharingTimeSlice
	if diff := cmp.Diff(said, said.WithDefaults()); diff != "" {
		t.Errorf("what is said is changed (-want +got):\n%s", diff)
	}
}

// A word of another version's worker decides nothing.
func TestTheReasonOfAWorkersWord(t *testing.T) {
	for _, said := range termination.Reasons() {
		if got := ReasonOf(said, v1alpha1.ReasonVerificationFailed); got != string(said) {
			t.Errorf("%s is %s", said, got)
		}
	}
	for _, said := range []termination.Reason{"", "Bored"} {
		if got := ReasonOf(said, v1alpha1.ReasonVerificationFailed); got != v1alpha1.ReasonVerificationFailed {
			t.Errorf("%q is %s", said, got)
		}
	}
}
