package serving

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// podMonitoringKind is how Google Cloud's managed Prometheus is told what to scrape.
var podMonitoringKind = schema.GroupVersionKind{Group: "monitoring.googleapis.com", Version: "v1", Kind: "PodMonitoring"}

// PodMonitoring is an empty object of the kind; the API server may not have it.
func PodMonitoring() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(podMonitoringKind)
	return o
}
