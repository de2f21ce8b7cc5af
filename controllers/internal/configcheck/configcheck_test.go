package configcheck_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarity-loop/clarity/controllers/internal/configcheck"
)

// told is every fault that check finds, in its order.
func told(check func(f *configcheck.Faults)) []string {
	var f configcheck.Faults
	check(&f)
	if err := f.Err(); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	return nil
}

func TestEveryFaultIsToldAtOnceInOrder(t *testing.T) {
	got := told(func(f *configcheck.Faults) {
		f.Add("first of %d", 2)
		f.Add("second")
	})
	if diff := cmp.Diff([]string{"first of 2", "second"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := (configcheck.Faults{}).Err(); err != nil {
		t.Errorf("no fault is %v", err)
	}
}

func TestName(t *testing.T) {
	check := func(value string) []string { // two reasons at most, and none for "good"
		var why []string
		if value == "bad" || value == "worse" {
			why = append(why, "it is bad")
		}
		if value == "worse" {
			why = append(why, "and worse")
		}
		return why
	}
	tests := map[string]struct {
		value string
		want  []string
	}{
		"a name":                {"good", nil},
		"none":                  {"", []string{"namespace is required"}},
		"one that is none":      {"bad", []string{`namespace "bad": it is bad`}},
		"none, for two reasons": {"worse", []string{`namespace "worse": it is bad`, `namespace "worse": and worse`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := told(func(f *configcheck.Faults) { f.Name("namespace", tt.value, check) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	f := configcheck.Faults{}
	f.Name("namespace", "", func(string) []string { t.Error("a name that is not there is looked at"); return nil })
}

func TestWithin(t *testing.T) {
	tests := map[string]struct {
		d    time.Duration
		want []string
	}{
		"unset, below the least": {0, nil},
		"the least":              {time.Second, nil},
		"in between":             {time.Minute, nil},
		"the most":               {time.Hour, nil},
		"too little":             {time.Second - 1, []string{"propagation 999.999999ms must be between 1s and 1h0m0s"}},
		"too much":               {time.Hour + 1, []string{"propagation 1h0m0.000000001s must be between 1s and 1h0m0s"}},
		"less than nothing":      {-time.Minute, []string{"propagation -1m0s must be between 1s and 1h0m0s"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := told(func(f *configcheck.Faults) {
				f.Within("propagation", metav1.Duration{Duration: tt.d}, time.Second, time.Hour)
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestImage(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("0123456789abcdef", 4)
	tests := map[string]struct {
		value string
		ok    bool
	}{
		"by digest":               {"registry.example/clarity/worker" + digest, true},
		"by tag and digest":       {"registry.example:5000/worker:v1" + digest, true},
		"none":                    {"", false},
		"by tag":                  {"registry.example/worker:v1", false},
		"a digest alone":          {digest, false},
		"a digest that is short":  {"worker" + digest[:len(digest)-1], false},
		"a digest that is long":   {"worker" + digest + "0", false},
		"a digest in capitals":    {"worker" + strings.ToUpper(digest), false},
		"another algorithm":       {"worker" + strings.Replace(digest, "sha256", "sha512", 1), false},
		"with a space":            {"my worker" + digest, false},
		"two digests":             {"worker" + digest + digest, false},
		"another line behind":     {"worker" + digest + "\nx", false},
		"another line in front":   {"x\nworker" + digest, false},
		"a word behind":           {"worker" + digest + " --privileged", false},
		"a digest of other signs": {"worker@sha256:" + strings.Repeat("g", 64), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := told(func(f *configcheck.Faults) { f.Image("worker.image", tt.value) })
			switch {
			case tt.ok && got != nil:
				t.Errorf("refused: %q", got)
			case !tt.ok && (len(got) != 1 || !strings.HasPrefix(got[0], "worker.image \"") || !strings.HasSuffix(got[0], "must name a digest, like host/name@sha256:…")):
				t.Errorf("told %q", got)
			}
		})
	}
}

// list makes resources of "cpu=1 memory=1Gi".
func list(text string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for _, pair := range strings.Fields(text) {
		name, value, _ := strings.Cut(pair, "=")
		out[corev1.ResourceName(name)] = resource.MustParse(value)
	}
	return out
}

func TestResources(t *testing.T) {
	tests := map[string]struct {
		requests, limits string
		want             []string
	}{
		"enough":                        {"cpu=1 memory=1Gi", "memory=2Gi", nil},
		"up to the limit":               {"cpu=1 memory=2Gi", "cpu=1000m memory=2Gi", nil},
		"a limit of what nobody asks":   {"cpu=1 memory=1Gi", "memory=1Gi ephemeral-storage=1Gi", nil},
		"a request that has no limit":   {"cpu=1 memory=1Gi nvidia.com/gpu=1", "memory=1Gi", nil},
		"nothing":                       {"", "", []string{"server.requests.cpu is required", "server.requests.memory is required", "server.limits.memory is required"}},
		"no CPU":                        {"memory=1Gi", "memory=1Gi", []string{"server.requests.cpu is required"}},
		"no memory":                     {"cpu=1", "memory=1Gi", []string{"server.requests.memory is required"}},
		"no bound of memory":            {"cpu=1 memory=1Gi", "cpu=2", []string{"server.limits.memory is required"}},
		"a CPU of nothing":              {"cpu=0 memory=1Gi", "memory=1Gi", []string{"server.requests.cpu is required"}},
		"less than no memory":           {"cpu=1 memory=-1", "memory=1Gi", []string{"server.requests.memory is required"}},
		"a bound of nothing":            {"cpu=1 memory=1Gi", "memory=0", []string{"server.limits.memory is required", "server.requests.memory 1Gi is above its limit 0"}},
		"more than the limit":           {"cpu=1 memory=2Gi", "memory=1Gi", []string{"server.requests.memory 2Gi is above its limit 1Gi"}},
		"more of each, in one order":    {"cpu=2 memory=2Gi nvidia.com/gpu=2", "nvidia.com/gpu=1 memory=1Gi cpu=1", []string{"server.requests.cpu 2 is above its limit 1", "server.requests.memory 2Gi is above its limit 1Gi", "server.requests.nvidia.com/gpu 2 is above its limit 1"}},
		"a little more, in other units": {"cpu=1001m memory=1Gi", "cpu=1 memory=1Gi", []string{"server.requests.cpu 1001m is above its limit 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := told(func(f *configcheck.Faults) {
				f.Resources("server", corev1.ResourceRequirements{Requests: list(tt.requests), Limits: list(tt.limits)})
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
