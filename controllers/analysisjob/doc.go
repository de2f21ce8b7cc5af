// Package analysisjob reconciles AnalysisJob: one intent to analyse becomes
// one Indexed Job of worker shards, ever, and a status that tells how it goes.
//
// A pass is: get, phases (a file each, by its name, listed in controller.go), one status
// patch. Everything is derived again in every pass from the AnalysisJob, its
// Job and the Job's pods; what must survive the pods is kept in status by
// shard (see count.go and docs/adr/0010-shard-reports.md).
package analysisjob

// What the operator may do for this kind. The roles of config/rbac are generated from here.
//
// Objects of other namespaces are read and told that they are not served; nothing is created there.
//
// +kubebuilder:rbac:groups=clarityloop.dev,resources=analysisjobs,verbs=get;list;watch
// +kubebuilder:rbac:groups=clarityloop.dev,resources=analysisjobs/status,verbs=patch
// +kubebuilder:rbac:groups=clarityloop.dev,resources=modelversions,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=clarityloop.dev,namespace=clarity,resources=analysisjobs,verbs=delete
// +kubebuilder:rbac:groups=clarityloop.dev,namespace=clarity,resources=analysisjobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=batch,namespace=clarity,resources=jobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",namespace=clarity,resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=kueue.x-k8s.io,namespace=clarity,resources=workloads,verbs=get;list;watch;patch
