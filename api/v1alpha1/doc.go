// Package v1alpha1 holds the two kinds that platform and ML engineers apply:
// ModelVersion, one immutable version of one model, whose existence is its
// rollout; and AnalysisJob, one intent to analyse a cohort. It reconciles nothing.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=clarityloop.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "clarityloop.dev", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that the generated apply configurations know it by.
var SchemeGroupVersion = GroupVersion

// AddToScheme registers the kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ModelVersion{}, &ModelVersionList{},
		&AnalysisJob{}, &AnalysisJobList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
