package charts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/services/flow"
)

// installs are the values files of whole installations, and what is not of them.
func installs() map[string][]string {
	return map[string][]string{
		"the default values": nil, "everything turned on": {"--values=" + full},
		"Autopilot": {"--values=clarity/ci/autopilot-values.yaml"}, "Standard": {"--values=clarity/ci/standard-values.yaml"},
		"the least": {"--values=clarity/ci/minimal-values.yaml"},
	}
}

// A stageFile is as much of a stage's configuration file as the chart writes.
type stageFile struct {
	Backends map[string]string
	Listen   map[string]string
	Stop     map[string]string
	Log      map[string]string
	Ingress  map[string][]string
	Wake     map[string]string
}

func stageConfig(t *testing.T, objects []unstructured.Unstructured, stage string) (file stageFile) {
	t.Helper()
	content := text(t, find(t, objects, "ConfigMap", "clarity-"+stage+"-config"), "data", "config.yaml")
	if err := yaml.UnmarshalStrict([]byte(content), &file); err != nil {
		t.Fatalf("%s: %v in:\n%s", stage, err, content)
	}
	return file
}

// podOf is the pod of a stage.
func podOf(t *testing.T, objects []unstructured.Unstructured, stage string) corev1.PodSpec {
	t.Helper()
	return templateOf(t, find(t, objects, "Deployment", "clarity-"+stage)).Spec
}

// Each program is told its file, answers people where it is to, and probes apart from them; it
// has the time to stop that it is told to take, and a little more.
func TestTheStagesAreToldWhatThePodsAre(t *testing.T) {
	objects := render(t, "--values="+full)
	for stage, args := range map[string][]string{
		"ingress": nil, "insights": nil, "worker": {"serve"},
	} {
		t.Run(stage, func(t *testing.T) {
			file, spec := stageConfig(t, objects, stage), podOf(t, objects, stage)
			c := spec.Containers[0]
			if diff := cmp.Diff(args, c.Args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			want := map[string]string{"admin": ":9090"}
			if stage == "ingress" {
				want["api"] = ":8080"
			}
			if diff := cmp.Diff(want, file.Listen); diff != "" {
				t.Errorf("it listens (-want +got):\n%s", diff)
			}
			ports := map[string]string{}
			for _, p := range c.Ports {
				ports[map[string]string{"http": "api", "operations": "admin"}[p.Name]] = fmt.Sprintf(":%d", p.ContainerPort)
			}
			if diff := cmp.Diff(want, ports); diff != "" {
				t.Errorf("the pod's ports (-want +got):\n%s", diff)
			}
			for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if probe.HTTPGet.Port.StrVal != "operations" {
					t.Errorf("it is probed at %v", probe.HTTPGet)
				}
			}
			grace, err := time.ParseDuration(file.Stop["grace"])
			if err != nil || time.Duration(*spec.TerminationGracePeriodSeconds)*time.Second < grace+5*time.Second {
				t.Errorf("it stops within %v (%v), and is killed after %d s", grace, err, *spec.TerminationGracePeriodSeconds)
			}
			if file.Log["format"] != "google:clarity-example" {
				t.Errorf("it logs %v", file.Log)
			}
		})
	}
	// The load balancer hears of a pod that ends by two questions that go wrong, five seconds apart.
	if linger := stageConfig(t, objects, "ingress").Stop["linger"]; linger != "15s" {
		t.Errorf("the ingress goes on for %s", linger)
	}
}

// What values say of a stage's configuration wins over what the chart does.
func TestValuesWinOverWhatTheChartSays(t *testing.T) {
	objects := render(t, "--values="+full, "--set=dataPlane.ingress.config.backends.writer=template,dataPlane.ingress.config.log.level=debug")
	file := stageConfig(t, objects, "ingress")
	if file.Backends["writer"] != "template" || file.Log["level"] != "debug" || file.Log["format"] != "google:clarity-example" || !strings.HasPrefix(file.Backends["store"], "firestore:") {
		t.Errorf("%+v", file)
	}
	if diff := cmp.Diff([]string{"https://app.clarity.example"}, file.Ingress["origins"]); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

// Another configuration is another pod, and a secret is a file of it.
func TestAStageIsRolledByItsConfiguration(t *testing.T) {
	hash := func(args ...string) string {
		o := find(t, render(t, append([]string{"--values=" + full}, args...)...), "Deployment", "clarity-ingress")
		return templateOf(t, o).Annotations["clarityloop.dev/config"]
	}
	if hash() == "" || hash() == hash("--set=dataPlane.ingress.config.log.level=warn") {
		t.Error("another configuration restarts nothing")
	}
	spec := podOf(t, render(t, "--values="+full), "ingress")
	i := slices.IndexFunc(spec.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/etc/clarity-secrets/push-keys" })
	if i < 0 || !spec.Containers[0].VolumeMounts[i].ReadOnly {
		t.Errorf("the secret is mounted as %v", spec.Containers[0].VolumeMounts)
	}
}

// Who follows the traffic plan, the worker, has a token, and may read that one ConfigMap; the
// ingress, which shows it, has it mounted; nobody else has any of this.
func TestThePlanIsFollowedByWhoAsksModels(t *testing.T) {
	objects := render(t, "--values="+full)
	rules, _, err := unstructured.NestedSlice(find(t, objects, "Role", "clarity-traffic-plan").Object, "rules")
	if err != nil {
		t.Fatal(err)
	}
	content, _ := json.Marshal(rules)
	if want := `[{"apiGroups":[""],"resourceNames":["` + traffic.ConfigMapName("order") + `"],"resources":["configmaps"],"verbs":["get","list","watch"]}]`; string(content) != want {
		t.Errorf("the role is %s, want %s", content, want)
	}
	subjects, _, _ := unstructured.NestedSlice(find(t, objects, "RoleBinding", "clarity-traffic-plan").Object, "subjects")
	content, _ = json.Marshal(subjects)
	for stage, follows := range map[string]bool{"ingress": false, "worker": true, "insights": false, "manager": false} {
		if strings.Contains(string(content), "clarity-"+stage) != follows {
			t.Errorf("the role is given to %s", content)
		}
		if stage == "manager" {
			continue
		}
		if token := *podOf(t, objects, stage).AutomountServiceAccountToken; token != follows {
			t.Errorf("%s has a token: %v", stage, token)
		}
	}
	for stage, mounted := range map[string]bool{"ingress": true, "worker": false, "insights": false} {
		spec := podOf(t, objects, stage)
		i := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool {
			return v.ConfigMap != nil && v.ConfigMap.Name == traffic.ConfigMapName("order") && *v.ConfigMap.Optional
		})
		if (i >= 0) != mounted {
			t.Errorf("%s has the plan mounted: %v", stage, i >= 0)
		}
	}
	for _, o := range render(t, "--values=clarity/ci/minimal-values.yaml") {
		if strings.HasSuffix(o.GetName(), "-traffic-plan") {
			t.Errorf("without a model there is the %s %s", o.GetKind(), o.GetName())
		}
	}
}

// A stage that reads the queue is scaled by how long the messages wait that somebody waits for,
// whoever tells it; without, by the CPU alone.
func TestReplicasFollowTheQueue(t *testing.T) {
	awaited := map[string][]string{}
	for _, by := range []string{"none", "google", "keda"} {
		objects := render(t, "--values="+full, "--set=autoscaling.queueAge="+by+",dataPlane.insights.replicas.max=9")
		for _, o := range objects {
			content, err := json.Marshal(o.Object["spec"])
			if err != nil {
				t.Fatal(err)
			}
			stage := strings.TrimPrefix(o.GetName(), "clarity-")
			switch o.GetKind() {
			case "HorizontalPodAutoscaler":
				if by == "keda" && stage != "ingress" || by == "none" && strings.Contains(string(content), "External") {
					t.Errorf("by %s %s is scaled by %s", by, stage, content)
				}
				metrics, _, _ := unstructured.NestedSlice(o.Object, "spec", "metrics")
				for _, m := range metrics {
					labels, is, _ := unstructured.NestedStringMap(m.(map[string]any), "external", "metric", "selector", "matchLabels")
					if !is {
						continue
					}
					name, _, _ := unstructured.NestedString(m.(map[string]any), "external", "metric", "name")
					if name != "prometheus.googleapis.com|clarity_queue_age_seconds|gauge" || labels["resource.labels.namespace"] != namespace {
						t.Errorf("%s follows %s of %v", stage, name, labels)
					}
					awaited[stage] = append(awaited[stage], labels["metric.labels.topic"]+"/"+labels["metric.labels.consumer"])
				}
			case "ScaledObject":
				if by != "keda" || stage == "ingress" || !strings.Contains(string(content), `clarity_queue_age_seconds{namespace=\"clarity\"`) {
					t.Errorf("by %s %s is scaled by %s", by, stage, content)
				}
			}
		}
	}
	want := map[string][]string{"worker": {"analyses/analyse", "uploads/intake"}, "insights": {"results/insights"}}
	if diff := cmp.Diff(want, awaited); diff != "" {
		t.Errorf("what is waited for (-want +got):\n%s", diff)
	}
	for stage, all := range awaited {
		for _, one := range all {
			topic, consumer, _ := strings.Cut(one, "/")
			if !slices.Contains(flow.Consumers()[topic], consumer) {
				t.Errorf("%s waits for %s, which nobody reads", stage, one)
			}
		}
	}
}

// The programs themselves take what the chart writes for them.
func TestTheProgramsTakeTheirConfiguration(t *testing.T) {
	if testing.Short() {
		t.Skip("linking the programs takes its time")
	}
	for name, args := range installs() {
		objects := render(t, args...)
		for stage, command := range map[string][]string{"ingress": nil, "worker": {"serve"}, "insights": nil} {
			if !slices.ContainsFunc(objects, func(o unstructured.Unstructured) bool {
				return o.GetKind() == "Deployment" && o.GetName() == "clarity-"+stage
			}) {
				continue
			}
			file := filepath.Join(t.TempDir(), "config.yaml")
			content := text(t, find(t, objects, "ConfigMap", "clarity-"+stage+"-config"), "data", "config.yaml")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			_, err := run(ctx, nil, program(t, stage), append(command, "--check", "--config="+file)...)
			cancel()
			if err != nil {
				t.Errorf("with %s %s says: %v of\n%s", name, stage, err, content)
			}
		}
	}
}
