package charts_test

import (
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// A standing is what tools that wait for an object (Flux, Argo CD, kpt, by kstatus) see of a
// kind: its status where it is as it is to be and where it is not yet, or why it has none to
// wait for.
type standing struct {
	ready, waits map[string]any
	why          string
}

func condition(kind, is string) map[string]any {
	return map[string]any{"conditions": []any{map[string]any{"type": kind, "status": is, "reason": "R", "message": "m"}}}
}

// made is of the kinds of Config Connector and KEDA, whose Ready says it.
func made() standing {
	return standing{ready: condition("Ready", "True"), waits: condition("Ready", "False")}
}

func atOnce(why string) standing { return standing{why: why} }

// standings are the kinds that the chart makes.
func standings() map[string]standing {
	const inForce = "it is in force once it is stored"
	return map[string]standing{
		"ConfigMap": atOnce(inForce), "Secret": atOnce(inForce), "ServiceAccount": atOnce(inForce), "Role": atOnce(inForce), "RoleBinding": atOnce(inForce),
		"ClusterRole": atOnce(inForce), "ClusterRoleBinding": atOnce(inForce), "NetworkPolicy": atOnce(inForce), "PriorityClass": atOnce(inForce),
		"Service":                 atOnce("a Service within the cluster has its address once it is stored; whether there are pods, the Deployment says"),
		"HorizontalPodAutoscaler": atOnce("kstatus knows none of its conditions; where it cannot scale, ScalingActive is False and an alert on replicas says so"),
		"Gateway":                 atOnce("kstatus knows none of its conditions: wait for Programmed"),
		"HTTPRoute":               atOnce("its conditions are each parent's: wait for Accepted and ResolvedRefs below status.parents"),
		"HealthCheckPolicy":       atOnce("its condition is Attached"), "GCPBackendPolicy": atOnce("its condition is Attached"), "GCPGatewayPolicy": atOnce("its condition is Attached"),
		"GCPHTTPFilter":  atOnce("it says nothing of itself: the HTTPRoute that refers to it does"),
		"PodMonitoring":  atOnce("its condition is ConfigurationCreateSuccess, and whether anything is read, up says"),
		"Rules":          atOnce("its condition is ConfigurationCreateSuccess"),
		"PrometheusRule": atOnce("it has no status"),
		"ComputeClass":   atOnce("its condition is Health, and nodes are made with the first pod"),
		"LocalQueue":     atOnce("its condition is Active"),
		"CustomResourceDefinition": {ready: map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "True"}}},
			waits: map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": "False", "reason": "Installing"}}}},
		"Deployment": {
			ready: map[string]any{"observedGeneration": int64(1), "replicas": int64(2), "updatedReplicas": int64(2), "readyReplicas": int64(2), "availableReplicas": int64(2),
				"conditions": []any{map[string]any{"type": "Available", "status": "True"}, map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}}},
			waits: map[string]any{"observedGeneration": int64(1), "replicas": int64(2), "updatedReplicas": int64(2), "readyReplicas": int64(1), "availableReplicas": int64(1)},
		},
		"PodDisruptionBudget": {ready: map[string]any{"observedGeneration": int64(1), "currentHealthy": int64(2), "desiredHealthy": int64(1)},
			waits: map[string]any{"observedGeneration": int64(0)}},
		"ScaledObject": made(), "FirestoreDatabase": made(), "FirestoreField": made(), "FirestoreBackupSchedule": made(), "PubSubTopic": made(), "PubSubSubscription": made(), "StorageBucket": made(),
		"KMSKeyRing": made(), "KMSCryptoKey": made(), "IAMServiceAccount": made(), "IAMPolicyMember": made(), "IAMCustomRole": made(),
		"ComputeAddress": made(), "ComputeSecurityPolicy": made(), "CertificateManagerCertificateMap": made(), "CertificateManagerCertificate": made(),
		"CertificateManagerCertificateMapEntry": made(), "AccessContextManagerServicePerimeter": made(), "MonitoringDashboard": made(),
	}
}

// Of every object that the chart makes, tools that wait see whether it is as it is to be; or a
// sentence says why there is nothing to see, and then they do not wait for ever.
func TestWhoWaitsForAnObjectSeesHowItIs(t *testing.T) {
	known, seen := standings(), map[string]bool{}
	renderings := installs()
	renderings["KEDA"] = []string{"--values=" + full, "--set=autoscaling.queueAge=keda"}
	renderings["Prometheus' operator"] = []string{"--values=" + full, "--set=monitoring.rules=prometheus-operator"}
	for name, args := range renderings {
		for _, o := range render(t, append(args, "--skip-tests")...) {
			kind := o.GetKind()
			is, there := known[kind]
			if !there {
				t.Fatalf("with %s there is the %s %s, of which nobody says how it stands", name, kind, o.GetName())
			}
			seen[kind] = true
			if is.why != "" {
				sees(t, o, nil, status.CurrentStatus)
				continue
			}
			sees(t, o, is.ready, status.CurrentStatus)
			sees(t, o, is.waits, status.InProgressStatus)
		}
	}
	for kind := range known {
		if !seen[kind] {
			t.Errorf("no %s is made", kind)
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %v were seen", slices.Sorted(maps.Keys(seen)))
	}
}

// sees computes what a tool sees of the object with the status.
func sees(t *testing.T, o unstructured.Unstructured, with map[string]any, want status.Status) {
	t.Helper()
	o = *o.DeepCopy()
	o.SetGeneration(1)
	if with != nil {
		o.Object["status"] = with
	}
	if o.GetKind() == "Deployment" {
		if err := unstructured.SetNestedField(o.Object, int64(2), "spec", "replicas"); err != nil {
			t.Fatal(err)
		}
	}
	result, err := status.Compute(&o)
	if err != nil || result.Status != want {
		t.Errorf("%s %s with the status %v: %v, %v; want %s", o.GetKind(), o.GetName(), with, result, err, want)
	}
}
