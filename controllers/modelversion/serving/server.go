package serving

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

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Triton's ports, and the containers of a server.
const (
	HTTPPort    = 8000
	grpcPort    = 8001
	metricsPort = 8002

	ServerContainer = "triton"
	FetchContainer  = "fetch"
)

const (
	modelVolume  = "models"
	drainSeconds = 30 // for requests under way, once no new ones come
	pauseSeconds = 5  // beyond the plan's propagation
)

// ReadyPath is where Triton says whether this very model is ready. A server
// has one model in one version, which it calls 1.
func ReadyPath(model string) string { return "/v2/models/" + model + "/versions/1/ready" }

// Deployment is a version's servers. It belongs to no version in the
// collector's sense: it outlives its version until the traffic has left.
func (b *Builder) Deployment(mv *v1alpha1.ModelVersion, class Class) *appsv1.Deployment {
	labels := labelsOf(mv, label.Server)
	strategy := appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0))}
	if class.NoSurge {
		strategy = appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromInt32(1))}
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: Name(mv), Namespace: mv.Namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas:             new(mv.Spec.Serving.Replicas.Min),
			Selector:             &metav1.LabelSelector{MatchLabels: Selector(mv)},
			Strategy:             appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &strategy},
			RevisionHistoryLimit: new(int32(1)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       b.serverSpec(mv, class),
			},
		},
	}
}

// serverSpec is a server's pod: the bundle is fetched and checked by the worker,
// then Triton serves it, within the restricted Pod Security profile.
func (b *Builder) serverSpec(mv *v1alpha1.ModelVersion, class Class) corev1.PodSpec {
	pause := int64(b.Propagation.Seconds()) + pauseSeconds
	models := corev1.VolumeMount{Name: modelVolume, MountPath: "/models"}
	return corev1.PodSpec{
		ServiceAccountName:            b.ServiceAccount,
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
		InitContainers: []corev1.Container{b.worker(FetchContainer, fetchArgs(mv, hasGPU(class)), models,
			corev1.VolumeMount{Name: "tmp", MountPath: "/tmp"})},
		Containers: []corev1.Container{{
			Name: ServerContainer, Image: class.Image,
			Command: []string{"tritonserver"}, Args: tritonArgs(class), Resources: class.Resources,
			Ports: []corev1.ContainerPort{
				{Name: "http", ContainerPort: HTTPPort}, {Name: "grpc", ContainerPort: grpcPort}, {Name: "metrics", ContainerPort: metricsPort},
			},
			VolumeMounts: []corev1.VolumeMount{
				{Name: modelVolume, MountPath: "/models", ReadOnly: true}, {Name: "tmp", MountPath: "/tmp"}, {Name: "shm", MountPath: "/dev/shm"},
			},
			StartupProbe:  probe("/v2/health/live", 5, int32(max(class.StartTimeout.Seconds()/5, 1))),
			LivenessProbe: probe("/v2/health/live", 10, 3), ReadinessProbe: probe(ReadyPath(mv.Spec.Model), 5, 2),
			Lifecycle:       &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: pause}}},
			SecurityContext: confined(),
		}},
	}
}

func tritonArgs(class Class) []string {
	return append([]string{
		"--model-repository=/models", "--model-control-mode=none", "--exit-on-error=true", "--strict-readiness=true",
		"--http-port=" + strconv.Itoa(HTTPPort), "--grpc-port=" + strconv.Itoa(grpcPort), "--metrics-port=" + strconv.Itoa(metricsPort),
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
func hasGPU(class Class) bool {
	for name := range class.Resources.Limits {
		if strings.HasPrefix(string(name), "nvidia.com/") {
			return true
		}
	}
	return false
}

// nodesOf selects the class's nodes, and those that share their GPUs as it says.
func nodesOf(class Class) map[string]string {
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
	case SharingTimeSlice:
		set("cloud.google.com/gke-gpu-sharing-strategy", "time-sharing")
	}
	if n := class.Sharing.Clients; n > 0 {
		set("cloud.google.com/gke-max-shared-clients-per-gpu", strconv.Itoa(int(n)))
	}
	return nodes
}

func childMeta(mv *v1alpha1.ModelVersion) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: Name(mv), Namespace: mv.Namespace, Labels: labelsOf(mv, label.Server)}
}

// Service names every ready server: clients balance over them by themselves.
func (b *Builder) Service(mv *v1alpha1.ModelVersion) *corev1.Service {
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: childMeta(mv),
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: Selector(mv),
			Ports: []corev1.ServicePort{
				{Name: "http", Port: HTTPPort, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP},
				{Name: "grpc", Port: grpcPort, TargetPort: intstr.FromString("grpc"), Protocol: corev1.ProtocolTCP},
				{Name: "metrics", Port: metricsPort, TargetPort: intstr.FromString("metrics"), Protocol: corev1.ProtocolTCP},
			},
		},
	}
}

// Autoscaler lets the number of replicas follow the load. At 0 replicas it stands still.
func (b *Builder) Autoscaler(mv *v1alpha1.ModelVersion, by Autoscaling) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv2.SchemeGroupVersion.String(), Kind: "HorizontalPodAutoscaler"}, ObjectMeta: childMeta(mv),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: Name(mv)},
			MinReplicas:    new(mv.Spec.Serving.Replicas.Min), MaxReplicas: mv.Spec.Serving.Replicas.Max,
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

// DisruptionBudget lets drains take one server at a time.
func (b *Builder) DisruptionBudget(mv *v1alpha1.ModelVersion) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"}, ObjectMeta: childMeta(mv),
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: Selector(mv)}, MaxUnavailable: new(intstr.FromInt32(1)),
		},
	}
}

// NetworkPolicy lets clients call, observers look, and the bundle be fetched.
func (b *Builder) NetworkPolicy(mv *v1alpha1.ModelVersion) *networkingv1.NetworkPolicy {
	ports := func(protocol corev1.Protocol, numbers ...int32) []networkingv1.NetworkPolicyPort {
		list := make([]networkingv1.NetworkPolicyPort, len(numbers))
		for i, number := range numbers {
			list[i] = networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(number))}
		}
		return list
	}
	clients, observers, egress := b.Network.Clients, b.Network.Observers, b.Network.Egress
	if len(clients) == 0 {
		clients = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	}
	if len(observers) == 0 {
		observers = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	}
	own := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{label.Instance: Name(mv), label.Component: label.Validate}}}
	if len(egress) == 0 {
		// Behind the one address or the other, as the cluster's dataplane has it.
		metadata := []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "169.254.169.254/32"}}, {IPBlock: &networkingv1.IPBlock{CIDR: "169.254.169.252/32"}}}
		egress = []networkingv1.NetworkPolicyEgressRule{
			{Ports: append(ports(corev1.ProtocolUDP, 53), ports(corev1.ProtocolTCP, 53, 443)...)},
			{To: metadata, Ports: ports(corev1.ProtocolTCP, 80, 987, 988)},
		}
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"}, ObjectMeta: childMeta(mv),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: Selector(mv)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{From: append([]networkingv1.NetworkPolicyPeer{own}, clients...), Ports: ports(corev1.ProtocolTCP, grpcPort)},
				{From: observers, Ports: ports(corev1.ProtocolTCP, HTTPPort, metricsPort)},
			},
			Egress: egress,
		},
	}
}

// Monitoring has Google Cloud's managed Prometheus read the servers' metrics.
func (b *Builder) Monitoring(mv *v1alpha1.ModelVersion) *unstructured.Unstructured {
	o := PodMonitoring()
	o.SetName(Name(mv))
	o.SetNamespace(mv.Namespace)
	o.SetLabels(labelsOf(mv, label.Server))
	selector := map[string]any{}
	for key, value := range Selector(mv) {
		selector[key] = value
	}
	o.Object["spec"] = map[string]any{
		"selector":  map[string]any{"matchLabels": selector},
		"endpoints": []any{map[string]any{"port": "metrics", "interval": "30s"}},
	}
	return o
}
