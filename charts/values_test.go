package charts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/controllers/operator"
)

func TestTheChartIsLinted(t *testing.T) {
	for name, args := range map[string][]string{
		"default values": {"lint", "--strict", chart},
		"full values":    {"lint", "--strict", chart, "--values=" + full},
		"Autopilot":      append([]string{"lint", "--strict", chart}, installs()["Autopilot"]...),
		"Standard":       append([]string{"lint", "--strict", chart}, installs()["Standard"]...),
		"the least":      append([]string{"lint", "--strict", chart}, installs()["the least"]...),
	} {
		t.Run(name, func(t *testing.T) {
			if output, err := helm(t, args...); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// What is wrong is told by the name of the value, before anything is installed.
func TestWrongValuesAreRefused(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	class := "modelVersions.servingClasses.gpu-l4."
	tests := map[string]struct{ set, told string }{
		"a tag for a digest":                      {"manager.image.digest=latest", "/manager/image/digest"},
		"a digest that is cut":                    {"worker.image.digest=" + digest[:70], "/worker/image/digest"},
		"a digest in capitals":                    {"worker.image.digest=" + strings.ToUpper(digest), "/worker/image/digest"},
		"a tag in the repository":                 {"manager.image.repository=clarity/manager:v1@x", "/manager/image/repository"},
		"a serving class without digest":          {class + "image=triton:26.01", "/modelVersions/servingClasses/gpu-l4/image"},
		"a serving class without memory limit":    {class + "resources.limits.memory=null", "'memory'"},
		"a serving class that has a strange name": {"modelVersions.servingClasses.GPU.image=x@" + digest, "propertyName 'GPU'"},
		"MIG without its partition":               {class + "sharing.mode=MIG", "'partition'"},
		"a partition of nothing":                  {class + "sharing.partition=1g.5gb", "/sharing"},
		"a way of sharing that is none":           {class + "sharing.mode=Half", "/sharing/mode"},
		"no serving class":                        {"modelVersions.servingClasses=null", "'servingClasses'"},
		"no feed":                                 {"modelVersions.feeds=null", "'feeds'"},
		"a duration without unit":                 {"modelVersions.propagation=30", "/modelVersions/propagation"},
		"a duration in words":                     {"analysisJobs.gracePeriod=soon", "/analysisJobs/gracePeriod"},
		"Prometheus without a scheme":             {"modelVersions.prometheus.url=prometheus:9090", "/modelVersions/prometheus/url"},
		"Prometheus with a password":              {"modelVersions.prometheus.url=http://a:b@prometheus", "/modelVersions/prometheus/url"},
		"a value that does not exist":             {"manager.replicaCount=2", "'replicaCount'"},
		"a misspelt part":                         {"networkPolicy.enabled=false", "'networkPolicy'"},
		"no replica":                              {"manager.replicas=0", "/manager/replicas"},
		"half a replica":                          {"manager.replicas=1.5", "/manager/replicas"},
		"a log level that is none":                {"manager.logLevel=verbose", "/manager/logLevel"},
		"a secret in the environment":             {"worker.config.DATABASE_PASSWORD=hunter2", "'DATABASE_PASSWORD'"},
		"an emulator in the environment":          {"worker.config.FIREBASE_AUTH_EMULATOR_HOST=localhost:9099", "'FIREBASE_AUTH_EMULATOR_HOST'"},
		"environment in small letters":            {"worker.config.bucket=b", "'bucket'"},
		"memory as a word":                        {"manager.resources.limits.memory=lots", "/manager/resources/limits/memory"},
		"no memory limit":                         {"manager.resources.limits=null", "'limits'"},
		"a service account that is not Google's":  {"worker.serviceAccount.googleServiceAccount=someone@example.com", "/worker/serviceAccount"},
		"an address that is no range":             {"networkPolicies.data.cidrs={anywhere}", "/networkPolicies/data/cidrs/0"},
		"a port that does not exist":              {"networkPolicies.monitoring.port=70000", "/networkPolicies/monitoring/port"},
		"a port that is not to be chosen":         {"dataPlane.ingress.port=80", "'port'"},
		"a secret in a stage's configuration":     {"dataPlane.ingress.config.push.privateKey=x", "'privateKey'"},
		"a secret in a stage's environment":       {"dataPlane.worker.env.API_TOKEN=x", "'API_TOKEN'"},
		"an emulator in a stage's environment":    {"dataPlane.worker.env.PUBSUB_EMULATOR_HOST=x", "'PUBSUB_EMULATOR_HOST'"},
		"less time than a drain takes":            {"dataPlane.ingress.graceSeconds=5", "/dataPlane/ingress/graceSeconds"},
		"an image of the worker's stage alone":    {"dataPlane.worker.image.digest=" + digest, "'image'"},
		"a scaler that is none":                   {"autoscaling.queueAge=cron", "/autoscaling/queueAge"},
		"a project without a place":               {"google.projectId=my-project", "/google/location"},
		"a project's number that is its name":     {"google.projectNumber=my-project", "/google/projectNumber"},
		"an access policy by name":                {"configConnector.perimeter.accessPolicy=ours", "/configConnector/perimeter/accessPolicy"},
		"a timeout that cuts every stream":        {"gateway.timeoutSeconds=30", "/gateway/timeoutSeconds"},
		"a way of sharing that GKE refuses here":  {class + "sharing.mode=MPS", "/sharing/mode"},
		"a stage that is none":                    {"dataPlane.narrator.enabled=true", "'narrator'"},
		"alerts for nobody":                       {"monitoring.rules=datadog", "/monitoring/rules"},
		"a gateway without a name to serve":       {"gateway.enabled=true", "/gateway/hostnames"},
		"a host with a path":                      {"gateway.hostnames={api.example/v1}", "/gateway/hostnames/0"},
		"Google's resources without a project":    {"configConnector.enabled=true", "/google/projectId"},
		"a deletion policy that deletes":          {"configConnector.deletionPolicy=delete", "/configConnector/deletionPolicy"},
		"a compute class without pools":           {"computeClasses.gpu.description=x", "'pools'"},
		"a pool of no machine":                    {"computeClasses.gpu.pools[0].spot=true", "/computeClasses/gpu/pools/0"},
		"a priority without a reason":             {"priorityClasses.high.value=1", "'description'"},
		"a queue without a cluster queue":         {"kueue.localQueues.night.name=x", "/kueue/localQueues/night"},
		"a name in capitals":                      {"nameOverride=Clarity", "/nameOverride"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, "template", "clarity", chart, "--set="+tt.set)
			if err == nil {
				t.Fatalf("%s is taken", tt.set)
			}
			if !strings.Contains(err.Error(), tt.told) || !strings.Contains(err.Error(), "values don't meet the specifications") {
				t.Errorf("%s: %v; want %s to be named", tt.set, err, tt.told)
			}
		})
	}
}

func TestAGatewayNeedsSomethingToRouteTo(t *testing.T) {
	_, err := helm(t, "template", "clarity", chart, "--set=gateway.enabled=true,gateway.hostnames={api.example}")
	if err == nil || !strings.Contains(err.Error(), "gateway.enabled needs dataPlane.ingress.enabled") {
		t.Errorf("%v, want it told", err)
	}
}

// configuration is the file that a manager of the rendered objects reads.
func configuration(t *testing.T, objects []unstructured.Unstructured) string {
	t.Helper()
	return text(t, find(t, objects, "ConfigMap", "clarity-manager-config"), "data", "manager.yaml")
}

// The manager reads what the chart writes, and what it reads is what was asked for.
func TestTheManagerReadsItsConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		see  func(operator.Config) []any
		want []any
	}{
		"with the default values": {nil, func(c operator.Config) []any {
			return []any{c.Namespace, c.LeaderElection.Enabled, c.Pprof.Address, c.Metrics.Insecure, c.AnalysisJobs.ServiceAccount,
				c.ModelVersions.ServiceAccount, c.AnalysisJobs.ModelServer, len(c.ModelVersions.Network.Clients), len(c.ModelVersions.Network.Egress)}
		}, []any{namespace, true, "", false, "clarity-worker", "clarity-models", true, 1, 3}},
		"with everything turned on": {[]string{"--values=" + full}, func(c operator.Config) []any {
			return []any{c.LogLevel, c.Pprof.Address, c.Concurrency.Models, c.AnalysisJobs.GracePeriod.Duration.String(),
				c.AnalysisJobs.Resources.Limits.Memory().String(), c.ModelVersions.Resources.Limits.Memory().String(),
				c.ModelVersions.Propagation.Duration.String(), c.ModelVersions.ErrorLimit,
				c.ModelVersions.ServingClasses["shared"].Sharing.Partition, len(c.ModelVersions.Network.Clients), len(c.ModelVersions.Network.Egress)}
		}, []any{"debug", "127.0.0.1:6060", 8, "45s", "2Gi", "512Mi", "20s", int32(3), "1g.5gb", 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := operator.Parse([]byte(configuration(t, render(t, tt.args...))))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, tt.see(config)); diff != "" {
				t.Errorf("what was read (-want +got):\n%s", diff)
			}
		})
	}
}

// What the schema takes and the manager would not is told by the manager, at
// its start and by `helm test`; the chart does not hide it.
func TestTheManagerTellsWhatTheSchemaCannot(t *testing.T) {
	objects := render(t, "--set=manager.leaderElection.renewDeadline=1h")
	_, err := operator.Parse([]byte(configuration(t, objects)))
	if err == nil || !strings.Contains(err.Error(), "renewDeadline 1h") {
		t.Errorf("%v, want the lease's times told", err)
	}
}

// kustomize's configuration and the chart's default are one.
func TestTheConfigurationsAgree(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "config", "manager", "manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := operator.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := operator.Parse([]byte(configuration(t, render(t))))
	if err != nil {
		t.Fatal(err)
	}
	// The chart knows the release and which stages run; config/ has one of each.
	ours.ModelVersions.Network = theirs.ModelVersions.Network
	a, err := yaml.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(a), string(b)); diff != "" {
		t.Errorf("configurations (-config +chart):\n%s", diff)
	}
}
