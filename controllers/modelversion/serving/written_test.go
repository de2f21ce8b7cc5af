package serving

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

var update = flag.Bool("update", false, "write testdata/*.yaml anew; read the difference before it is kept")

func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// aVersion has every field that what serves it depends on.
func aVersion() *v1alpha1.ModelVersion {
	return &v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: "pat-2026.11.1", Namespace: "clarity", UID: "u"},
		Spec: v1alpha1.ModelVersionSpec{
			Model: "pat", Version: "2026.11.1", Artifact: v1alpha1.Artifact{URI: "gs://models/pat", Digest: digestOf("1")},
			Serving: v1alpha1.Serving{MaxBatchSize: 64, Replicas: v1alpha1.Replicas{Min: 2, Max: 7}},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: digestOf("2")}, Tolerance: "1e-3",
				Timeout: &metav1.Duration{Duration: 90 * time.Second}},
		},
	}
}

// onGPUs is a class and a builder that say everything.
func onGPUs() (*Builder, Class) {
	class := goodClass()
	class.Resources.Limits["nvidia.com/gpu"] = resource.MustParse("1")
	class.NodeSelector = map[string]string{"cloud.google.com/gke-accelerator": "nvidia-l4"}
	class.Tolerations = []corev1.Toleration{{Key: "nvidia.com/gpu", Operator: corev1.TolerationOpExists}}
	class.PriorityClassName = "serving"
	class.Sharing = Sharing{Mode: SharingTimeSlice, Clients: 4}
	class.StartTimeout.Duration = 20 * time.Minute
	class.Scratch = resource.MustParse("8Gi")
	class.Args = []string{"--log-verbose=0"}
	b := &Builder{
		Image: "registry.example/worker@" + digestOf("3"), ServiceAccount: "clarity-worker", ConfigMap: "clarity-worker", Propagation: 20 * time.Second,
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}},
		Network: Network{
			Clients:   []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "client"}}}},
			Observers: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "observer"}}}},
			Egress:    []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(444))}}}},
		},
	}
	return b, class
}

// onCPUs says no more than it must.
func onCPUs() (*Builder, Class) {
	class := goodClass()
	class.NoSurge = true
	class.StartTimeout.Duration = 4 * time.Second
	return &Builder{Image: "registry.example/worker@" + digestOf("3"), ServiceAccount: "clarity-worker"}, class.WithDefaults()
}

// What is written out for a version is kept to the letter: each line of it is a
// decision about security, draining or cost.
func TestWhatServesAVersionIsWrittenOut(t *testing.T) {
	for name, make := range map[string]func() (*Builder, Class){"gpu": onGPUs, "cpu": onCPUs} {
		t.Run(name, func(t *testing.T) {
			b, class := make()
			mv := aVersion()
			if name == "cpu" {
				mv.Spec.Validation.Timeout = nil
			}
			verify, err := b.VerifyJob(mv, 5*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			objects := []any{verify, b.ValidateJob(mv), b.Deployment(mv, class), b.Service(mv), b.DisruptionBudget(mv), b.NetworkPolicy(mv),
				b.Autoscaler(mv, Autoscaling{Metric: "queue_seconds", AverageValue: resource.MustParse("50m")}), b.Monitoring(mv)}
			var got bytes.Buffer
			for _, o := range objects {
				text, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A zero or negative time of the spec is none, and a Job has at least a second.
func TestTheTimeOfAChecksJob(t *testing.T) {
	for _, tt := range []struct {
		timeout *metav1.Duration
		want    int64
	}{
		{nil, 660}, {&metav1.Duration{}, 660}, {&metav1.Duration{Duration: -time.Hour}, 660}, {&metav1.Duration{Duration: time.Second}, 61},
	} {
		b, _ := onCPUs()
		mv := aVersion()
		mv.Spec.Validation.Timeout = tt.timeout
		if got := *b.ValidateJob(mv).Spec.ActiveDeadlineSeconds; got != tt.want {
			t.Errorf("%v: %d s, want %d", tt.timeout, got, tt.want)
		}
		job, err := b.VerifyJob(mv, time.Millisecond)
		if err != nil || *job.Spec.ActiveDeadlineSeconds != 1 {
			t.Errorf("%v, %v", job, err)
		}
	}
}

// What a version's objects are made of is not what they are made into: a change
// of one is no change of the configuration, nor of the next one.
func TestTheConfigurationIsNotWrittenTo(t *testing.T) {
	b, class := onGPUs()
	b.Deployment(aVersion(), class).Spec.Template.Spec.NodeSelector["x"] = "y"
	value := resource.MustParse("50m")
	b.Autoscaler(aVersion(), Autoscaling{Metric: "m", AverageValue: value}).Spec.Metrics[0].Pods.Target.AverageValue.Add(value)
	_, untouched := onGPUs()
	if diff := cmp.Diff(untouched, class); diff != "" || value.String() != "50m" {
		t.Errorf("%s (-want +got):\n%s", value.String(), diff)
	}
}
