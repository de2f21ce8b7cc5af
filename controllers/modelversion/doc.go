// Package modelversion reconciles ModelVersion, all versions of a model in one
// pass: the newest earns its place step by step, the one before serves until it
// has, and what is known to be good comes back when the newest is not.
//
// A pass is: get, phases (a file each, by its name, listed in controller.go), one write of
// the model's traffic plan if the traffic moves, one status patch a version
// that changed. What the plan should be is a pure function (rollout/) of the
// versions, the state so far and the gates' answers. The state lies beside the plan
// in one ConfigMap, so that what was decided and why is one atomic write; see
// docs/adr/0011-the-plan-is-the-record.md. Servers are not dependents of their
// version in the collector's sense; see docs/adr/0012-servers-outlive-their-version.md.
package modelversion

// What the operator may do for this kind. The roles of config/rbac are generated from here.
//
// Objects of other namespaces are read and told that they are not served; nothing is created there.
//
// +kubebuilder:rbac:groups=clarityloop.dev,resources=modelversions,verbs=get;list;watch
// +kubebuilder:rbac:groups=clarityloop.dev,resources=modelversions/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=clarityloop.dev,namespace=clarity,resources=modelversions,verbs=patch
// +kubebuilder:rbac:groups=clarityloop.dev,namespace=clarity,resources=modelversions/finalizers,verbs=update
// +kubebuilder:rbac:groups="",namespace=clarity,resources=configmaps,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",namespace=clarity,resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",namespace=clarity,resources=services,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,namespace=clarity,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,namespace=clarity,resources=deployments/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,namespace=clarity,resources=jobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=autoscaling,namespace=clarity,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,namespace=clarity,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,namespace=clarity,resources=networkpolicies,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=monitoring.googleapis.com,namespace=clarity,resources=podmonitorings,verbs=get;list;watch;create;patch
