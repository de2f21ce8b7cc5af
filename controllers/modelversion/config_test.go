package modelversion

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

var zeros = strings.Repeat("0", 64)

func testConfig(namespace string) Config {
	needs := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
	}
	gpu := *needs.DeepCopy()
	gpu.Limits["nvidia.com/gpu"] = resource.MustParse("1")
	return Config{
		Namespace: namespace, ServiceAccount: "clarity-worker", ConfigMap: "clarity-worker",
		Image: "registry.example/clarity/worker@sha256:" + zeros, Resources: needs,
		ServingClasses: map[string]serving.Class{
			"gpu": {
				Image: "registry.example/tritonserver@sha256:" + zeros, Resources: gpu,
				NodeSelector: map[string]string{"accelerator": "l4"},
				Tolerations:  []corev1.Toleration{{Key: "nvidia.com/gpu", Operator: corev1.TolerationOpExists}},
				Autoscaling:  &serving.Autoscaling{Metric: "queue_seconds", AverageValue: resource.MustParse("50m")},
			},
			"cpu": {Image: "registry.example/tritonserver@sha256:" + zeros, Resources: needs, NoSurge: true},
		},
		Feeds: []Feed{{
			Preprocessing: v1alpha1.Preprocessing{Name: "pre/1", Digest: "sha256:" + zeros},
			Window:        v1alpha1.Window{EpochSeconds: 60, Epochs: 10080},
			Inputs:        []v1alpha1.Tensor{{Name: "activity", DType: "FP32", Dims: []int64{10080}}},
		}},
		Prometheus: gate.Config{URL: "http://prometheus.example:9090"},
	}
}

func TestConfigTellsEveryFault(t *testing.T) {
	if err := testConfig("clarity").Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	bad := Config{
		Namespace: "Not A Name", Image: "worker:latest", ConfigMap: "-",
		ServingClasses: map[string]serving.Class{"Bad_Name": {
			Image: "triton", StartTimeout: metav1.Duration{Duration: time.Millisecond}, Scratch: resource.MustParse("-1"),
			Autoscaling: &serving.Autoscaling{}, Sharing: serving.Sharing{Mode: serving.SharingMIG, Clients: 3},
		}, "odd": {Sharing: serving.Sharing{Mode: "Half"}}},
		Feeds:       []Feed{{Inputs: []v1alpha1.Tensor{{Name: "x"}}}, {}},
		Prometheus:  gate.Config{URL: "prometheus:9090", Timeout: metav1.Duration{Duration: time.Hour}},
		Propagation: metav1.Duration{Duration: time.Hour}, EvaluationInterval: metav1.Duration{Duration: -1},
		ErrorLimit: -1, VerifyTimeout: metav1.Duration{Duration: -1}, RetryAfter: metav1.Duration{Duration: -1},
		ProbeTimeout: metav1.Duration{Duration: time.Minute}, ProbeInterval: metav1.Duration{Duration: time.Hour},
	}
	for _, err := range []error{bad.Validate(), Config{}.Validate()} {
		if err == nil {
			t.Fatal("a configuration of faults is accepted")
		}
	}
	told := bad.Validate().Error() + "\n" + Config{}.Validate().Error()
	for _, want := range []string{
		`namespace "Not A Name"`, "namespace is required", `image "worker:latest"`, "serviceAccount is required", `configMap "-"`,
		"resources.requests.cpu is required", "resources.limits.memory is required", `servingClasses "Bad_Name"`,
		"servingClasses.Bad_Name.image", "servingClasses.Bad_Name.startTimeout", "servingClasses.Bad_Name.scratch",
		"servingClasses.Bad_Name.autoscaling", "servingClasses.Bad_Name.sharing.partition", "servingClasses.Bad_Name.sharing.clients",
		`servingClasses.odd.sharing.mode "Half"`, "servingClasses: at least one", "feeds: at least one", "feeds[0].preprocessing.name",
		"feeds[0].preprocessing.digest", "feeds[0].window", `feeds[0].inputs: "x"`, "feeds[1].inputs: at least one",
		"prometheus.url", "prometheus.timeout", "propagation 1h", "evaluationInterval", "errorLimit -1", "verifyTimeout",
		"retryAfter", "probeTimeout 1m", "probeInterval 1h",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told in:\n%s", want, told)
		}
	}
	if _, err := New(bad, Needs{}); err == nil {
		t.Error("New takes a bad configuration")
	}
}

func TestConfigIsReadAsPeopleWriteIt(t *testing.T) {
	const text = `
namespace: clarity
image: registry.example/worker@sha256:0000000000000000000000000000000000000000000000000000000000000000
serviceAccount: clarity-worker
resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {memory: 512Mi}}
propagation: 20s
servingClasses:
  gpu-l4:
    image: registry.example/triton@sha256:0000000000000000000000000000000000000000000000000000000000000000
    resources: {requests: {cpu: "2", memory: 4Gi}, limits: {memory: 8Gi, nvidia.com/gpu: "1"}}
    nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
    sharing: {mode: TimeSlice, clients: 4}
    startTimeout: 20m
    autoscaling: {metric: queue_seconds, averageValue: 50m}
feeds:
  - preprocessing: {name: simact-pre/1, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
    window: {epochSeconds: 60, epochs: 10080}
    inputs: [{name: activity, dtype: FP32, dims: [10080]}]
prometheus: {url: "http://frontend.monitoring.svc:9090", timeout: 5s}
network:
  clients: [{podSelector: {matchLabels: {app.kubernetes.io/name: clarity-worker}}}]
`
	var c Config
	if err := yaml.UnmarshalStrict([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	c = c.WithDefaults()
	class := c.ServingClasses["gpu-l4"]
	if c.Propagation.Duration != 20*time.Second || c.EvaluationInterval.Duration != 30*time.Second || c.ErrorLimit != 5 ||
		class.StartTimeout.Duration != 20*time.Minute || class.Scratch.String() != "4Gi" || class.Sharing.Mode != serving.SharingTimeSlice {
		t.Errorf("read as %+v", c)
	}
}
