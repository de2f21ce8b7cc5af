package modelversion

import (
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/internal/label"
)

// Triton's ports, and the containers of a server.
const (
	httpPort    = 8000
	grpcPort    = 8001
	metricsPort = 8002

	serverContainer = "triton"
	fetchContainer  = "fetch"
)

const (
	modelVolume  = "models"
	drainSeconds = 30 // for requests under way, once no new ones come
	pauseSeconds = 5  // beyond the plan's propagation
)

// readyPath is where Triton says whether this very model is ready. A server
// has one model in one version, which it calls 1.
func readyPath(model string) string { return "/v2/models/" + model + "/versions/1/ready" }

// deploymentFor is a version's servers. It belongs to no version in the
// collector's sense: it outlives its version until the traffic has left.
func (r *Reconciler) deploymentFor(m *versionPass, class ServingClass) *appsv1.Deployment {
	labels := labelsOf(m.mv, label.Server)
	strategy := appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0))}
	if class.NoSurge {
		strategy = appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromInt32(1))}
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: m.name, Namespace: m.mv.Namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:             new(m.mv.Spec.Serving.Replicas.Min),
			Selector:             &metav1.LabelSelector{MatchLabels: selectorOf(m.mv)},
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &strategy},
			RevisionHistoryLimit: new(int32(1)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       r.serverSpec(m.mv, class),
			},
		},
	}
}

// serverSpec is a server's pod: the bundle is fetched and checked by the worker,
// then Triton serves it, within the restricted Pod Security profile.
func (r *Reconciler) serverSpec(mv *v1alpha1.ModelVersion, class ServingClass) corev1.PodSpec {
	pause := int64(r.config.Propagation.Seconds()) + pauseSeconds
	models := corev1.VolumeMount{Name: modelVolume, MountPath: "/models"}
	return corev1.PodSpec{
		ServiceAccountName:            r.config.ServiceAccount,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		PriorityClassName:             class.PriorityClassName,
		NodeSelector:                  nodesOf(class),
		Tolerations:                   class.Tolerations,
		TerminationGracePeriodSeconds: new(pause + drainSeconds),
		SecurityContext:               restricted(),
		Volumes: []corev1.Volume{
			scratch(modelVolume, class.Scratch, ""),
			scratch("tmp", resource.MustParse("1Gi"), ""),
			scratch("shm", resource.MustParse("256Mi"), corev1.StorageMediumMemory),
		},
		InitContainers: []corev1.Container{r.worker(fetchContainer, fetchArgs(mv, hasGPU(class)), models,
			corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})},
		Containers: []corev1.Container{{
			Name: serverContainer, Image: class.Image,
			Command: []string{"tritonserver"}, Args: tritonArgs(class), Resources: class.Resources,
			Ports: []corev1.ContainerPort{
				{Name: "http", ContainerPort: httpPort}, {Name: "grpc", ContainerPort: grpcPort}, {Name: "metrics", ContainerPort: metricsPort},
			},
			VolumeMounts: []corev1.VolumeMount{
				{Name: modelVolume, MountPath: "/models", ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}, {Name: "shm", MountPath: "/dev/shm"},
			},
			StartupProbe:  probe("/v2/health/live", 5, int32(max(class.StartTimeout.Seconds()/5, 1))),
			LivenessProbe: probe("/v2/health/live", 10, 3), ReadinessProbe: probe(readyPath(mv.Spec.Model), 5, 2),
			Lifecycle:       &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: pause}}},
			SecurityContext: confined(),
		}},
	}
}

func tritonArgs(class ServingClass) []string {
	return append([]string{
		"--model-repository=/models", "--model-control-mode=none", "--exit-on-error=true", "--strict-readiness=true",
		"--http-port=" + strconv.Itoa(httpPort), "--grpc-port=" + strconv.Itoa(grpcPort), "--metrics-port=" + strconv.Itoa(metricsPort),
		"--exit-timeout-secs=" + strconv.Itoa(drainSeconds-pauseSeconds),
	}, class.Args...)
}

func probe(path string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http")}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 2,
	}
}

// hasGPU says whether the class's servers have a GPU, or a part of one.
func hasGPU(class ServingClass) bool {
	for name := range class.Resources.Limits {
		if strings.HasPrefix(string(name), "nvidia.com/") {
			return true
		}
	}
	return false
}

// nodesOf selects the class's nodes, and those that share their GPUs as it says.
func nodesOf(class ServingClass) map[string]string {
	nodes := maps.Clone(class.NodeSelector)
	set := func(key, value string) {
		if nodes == nil {
			nodes = map[string]string{}
		}
		nodes[key] = value
	}
	switch class.Sharing.Mode {
	case SharingMIG:
		set("cloud.google.com/gke-gpu-partition-size", class.Sharing.Partition)
	case SharingMPS:
		set("cloud.google.com/gke-gpu-sharing-strategy", "mps")
	case SharingTimeSlice:
		set("cloud.google.com/gke-gpu-sharing-strategy", "time-sharing")
	}
	if n := class.Sharing.Clients; n > 0 {
		set("cloud.google.com/gke-max-shared-clients-per-gpu", strconv.Itoa(int(n)))
	}
	return nodes
}

func childMeta(m *versionPass) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.name, Namespace: m.mv.Namespace, Labels: labelsOf(m.mv, label.Server)}
}

// serviceFor names every ready server: clients balance over them by themselves.
func serviceFor(m *versionPass) *corev1.Service {
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: childMeta(m),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: selectorOf(m.mv),
			Ports: []corev1.ServicePort{
				{Name: "http", Port: httpPort, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP},
				{Name: "grpc", Port: grpcPort, TargetPort: intstr.FromString("grpc"), Protocol: corev1.ProtocolTCP},
				{Name: "metrics", Port: metricsPort, TargetPort: intstr.FromString("metrics"), Protocol: corev1.ProtocolTCP},
			},
		},
	}
}

// scalerFor lets the number of replicas follow the load. At 0 replicas it stands still.
func scalerFor(m *versionPass, by Autoscaling) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv2.SchemeGroupVersion.String(), Kind: "HorizontalPodAutoscaler"}, ObjectMeta: childMeta(m),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: m.name},
			MinReplicas:    new(m.mv.Spec.Serving.Replicas.Min), MaxReplicas: m.mv.Spec.Serving.Replicas.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.PodsMetricSourceType,
				Pods: &autoscalingv2.PodsMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: by.Metric},
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: new(by.AverageValue.DeepCopy())},
				},
			}},
		},
	}
}

// budgetFor lets drains take one server at a time.
func budgetFor(m *versionPass) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"}, ObjectMeta: childMeta(m),
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selectorOf(m.mv)}, MaxUnavailable: new(intstr.FromInt32(1)),
		},
	}
}

// policyFor lets clients call, observers look, and the bundle be fetched.
func policyFor(m *versionPass, n Network) *networkingv1.NetworkPolicy {
	ports := func(protocol corev1.Protocol, numbers ...int32) []networkingv1.NetworkPolicyPort {
		list := make([]networkingv1.NetworkPolicyPort, len(numbers))
		for i, number := range numbers {
			list[i] = networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(number))}
		}
		return list
	}
	clients, observers, egress := n.Clients, n.Observers, n.Egress
	if len(clients) == 0 {
		clients = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	}
	if len(observers) == 0 {
		observers = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label.Instance: m.name, label.Component: label.Validate}}}
	if len(egress) == 0 {
		metadata := &networkingv1.IPBlock{CIDR: "169.254.169.252/30"}
		egress = []networkingv1.NetworkPolicyEgressRule{
			{Ports: append(ports(corev1.ProtocolUDP, 53), ports(corev1.ProtocolTCP, 53, 443)...)},
			{To: []networkingv1.NetworkPolicyPeer{{IPBlock: metadata}}, Ports: ports(corev1.ProtocolTCP, 80, 988)},
		}
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"}, ObjectMeta: childMeta(m),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: selectorOf(m.mv)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{From: append([]networkingv1.NetworkPolicyPeer{own}, clients...), Ports: ports(corev1.ProtocolTCP, grpcPort)},
				{From: observers, Ports: ports(corev1.ProtocolTCP, httpPort, metricsPort)},
			},
			Egress: egress,
		},
	}
}

// monitoringFor has Google Cloud's managed Prometheus read the servers' metrics.
func monitoringFor(m *versionPass) *unstructured.Unstructured {
	o := podMonitoring()
	o.SetName(m.name)
	o.SetNamespace(m.mv.Namespace)
	o.SetLabels(labelsOf(m.mv, label.Server))
	selector := map[string]any{}
	for key, value := range selectorOf(m.mv) {
		selector[key] = value
	}
	o.Object["spec"] = map[string]any{
		"selector":  map[string]any{"matchLabels": selector},
		"endpoints": []any{map[string]any{"port": "metrics", "interval": "30s"}},
	}
	return o
}
