package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModelVersion is one immutable version of one model. Applying it is the
// rollout; deleting it, or setting spec.rollout.abort, is the rollback.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.serving.replicas.min,statuspath=.status.serving.replicas,selectorpath=.status.serving.selector
// +kubebuilder:resource:shortName=mv,categories=clarity
// +kubebuilder:selectablefield:JSONPath=.spec.model
// +kubebuilder:selectablefield:JSONPath=.spec.version
// +kubebuilder:selectablefield:JSONPath=.status.stage
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=.spec.model
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=.spec.version
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=.status.stage
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=.status.traffic.weight
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=.status.serving.summary
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=.status.reason
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=.metadata.creationTimestamp
// +kubebuilder:printcolumn:name="Digest",type=string,JSONPath=.spec.artifact.digest,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=.status.message,priority=1
type ModelVersion struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is as of any object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec is what the version is (immutable) and how it is rolled out (mutable).
	// +required
	Spec ModelVersionSpec `json:"spec"`
	// status is what the operator found and did.
	// +optional
	Status ModelVersionStatus `json:"status,omitzero"`
}

// ModelVersionList is a list of ModelVersions.
//
// +kubebuilder:object:root=true
type ModelVersionList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ModelVersion `json:"items"`
}

// ModelVersionSpec says what the version is and how it is rolled out.
//
// +kubebuilder:validation:XValidation:rule="self.model == oldSelf.model && self.version == oldSelf.version",message="model and version are immutable: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="self.artifact == oldSelf.artifact",message="artifact is immutable: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="self.contract == oldSelf.contract",message="contract is immutable: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="self.validation == oldSelf.validation",message="validation is immutable: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="self.serving.class == oldSelf.serving.class && self.serving.maxBatchSize == oldSelf.serving.maxBatchSize",message="serving.class and serving.maxBatchSize are immutable: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.retire) && oldSelf.retire) || (has(self.retire) && self.retire)",message="retire cannot be taken back: apply a new ModelVersion"
type ModelVersionSpec struct {
	// model is the model's name; every version of a model names the same.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Model string `json:"model"`
	// version is the version's name within the model, e.g. 2026.11.1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`
	Version string `json:"version"`
	// artifact is the bundle to serve.
	// +required
	Artifact Artifact `json:"artifact"`
	// contract is what the model takes and gives.
	// +required
	Contract Contract `json:"contract"`
	// serving is where and how wide it runs.
	// +required
	Serving Serving `json:"serving"`
	// validation is what must hold before any traffic.
	// +required
	Validation Validation `json:"validation"`
	// rollout is the way from no traffic to all of it.
	// +optional
	// +kubebuilder:default={}
	Rollout Rollout `json:"rollout,omitzero"`
	// retire takes the version out of service for good once another is active. One-way.
	// +optional
	Retire bool `json:"retire,omitempty"`
}

// Artifact names a model bundle by place and content.
type Artifact struct {
	// uri is where the bundle is fetched from.
	// +required
	// +kubebuilder:validation:MinLength=6
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^(gs|oci|file)://[^\s]+$`
	URI string `json:"uri"`
	// digest is the bundle's identity; nothing runs that does not have it.
	// +required
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// Contract is what a model takes and gives.
type Contract struct {
	// inputs are the tensors the model takes.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Inputs []Tensor `json:"inputs"`
	// outputs are the tensors the model gives.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Outputs []OutputTensor `json:"outputs"`
	// window is the stretch of time one inference sees.
	// +required
	Window Window `json:"window"`
	// preprocessing is what workers must do to the epochs first.
	// +required
	Preprocessing Preprocessing `json:"preprocessing"`
}

// Tensor is a named array.
type Tensor struct {
	// name is the tensor's in the model.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// dtype is the type of its elements.
	// +required
	// +kubebuilder:validation:Enum=FP32;FP16;BF16;INT64;INT32;BOOL
	DType string `json:"dtype"`
	// dims are the dimensions without the batch; -1 is variable.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:Minimum=-1
	// +kubebuilder:validation:items:Maximum=1000000000
	Dims []int64 `json:"dims"`
}

// OutputKind says what an output means.
//
// +kubebuilder:validation:Enum=Embedding;Sequence;Class;Regression
type OutputKind string

// OutputTensor is a named array with a meaning.
type OutputTensor struct {
	Tensor `json:",inline"`
	// kind says what the output means.
	// +required
	Kind OutputKind `json:"kind"`
}

// Window is the stretch of time one inference sees.
type Window struct {
	// epochSeconds is how long one epoch is.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	EpochSeconds int32 `json:"epochSeconds"`
	// epochs is how many there are.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Epochs int32 `json:"epochs"`
}

// Preprocessing names the exact steps from epochs to the model's input.
type Preprocessing struct {
	// name is the steps' name and version, e.g. simact-pre/1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// digest is that of the steps' specification, scaler included.
	// +required
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// Serving is where and how wide a version runs.
type Serving struct {
	// class names a ServingClass of the operator's configuration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Class string `json:"class"`
	// maxBatchSize bounds Triton's dynamic batches.
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	MaxBatchSize int32 `json:"maxBatchSize,omitempty"`
	// replicas bound the autoscaler.
	// +optional
	// +kubebuilder:default={}
	Replicas Replicas `json:"replicas,omitzero"`
}

// Replicas bound the autoscaler.
//
// +kubebuilder:validation:XValidation:rule="!has(self.min) || !has(self.max) || self.min <= self.max",message="min must not be above max"
type Replicas struct {
	// min is how many replicas there are at least while the version serves.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Min int32 `json:"min,omitempty"`
	// max is how many replicas there are at most; no autoscaler where it equals min.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Max int32 `json:"max,omitempty"`
}

// Validation is what must hold before any traffic.
type Validation struct {
	// goldenSet is the file of golden vectors.
	// +required
	GoldenSet Artifact `json:"goldenSet"`
	// tolerance is the largest relative error allowed, a decimal such as "1e-3" or "0.001".
	// +optional
	// +kubebuilder:default="1e-3"
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]*\.?[0-9]+([eE][-+]?[0-9]{1,2})?$`
	Tolerance string `json:"tolerance,omitempty"`
	// timeout bounds the validation.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]') && duration(self) >= duration('0s')",message="must be a duration such as 10m or 1h30m"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// Strategy is the way to all of the traffic.
//
// +kubebuilder:validation:Enum=Canary;Immediate;Hold
type Strategy string

// The strategies.
const (
	StrategyCanary    Strategy = "Canary"    // shadow, then the steps, each behind the gates
	StrategyImmediate Strategy = "Immediate" // all of it once validated
	StrategyHold      Strategy = "Hold"      // validated and warm, no traffic until the strategy changes
)

// Rollout is the way from no traffic to all of it.
//
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.abort) && oldSelf.abort) || (has(self.abort) && self.abort)",message="abort cannot be taken back: apply a new ModelVersion"
// +kubebuilder:validation:XValidation:rule="!has(self.gates) || has(self.shadow) || !self.gates.exists(g, has(g.source.shadowDrift))",message="a shadowDrift gate needs a shadow: nothing is compared without one"
type Rollout struct {
	// strategy is the way to all of the traffic.
	// +optional
	// +kubebuilder:default=Canary
	Strategy Strategy `json:"strategy,omitempty"`
	// shadow sends a copy of some requests before any reply of the version is used.
	// +optional
	Shadow *Shadow `json:"shadow,omitempty"`
	// steps are the weights on the way to 100; each must be above the one before.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:XValidation:rule="self.all(i, self.filter(j, j.weight == i.weight).size() == 1) && self.map(s, s.weight).isSorted()",message="weights must rise from step to step"
	Steps []Step `json:"steps,omitempty"`
	// gates must pass at every step, the shadow included.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Gates []Gate `json:"gates,omitempty"`
	// paused stays at the step reached.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// abort takes the traffic back and ends the rollout. One-way.
	// +optional
	Abort bool `json:"abort,omitempty"`
	// keepWarm is how long the version before stays ready after the promotion.
	// +optional
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]') && duration(self) >= duration('0s')",message="must be a duration such as 10m or 1h30m"
	KeepWarm *metav1.Duration `json:"keepWarm,omitempty"`
}

// Shadow sends copies of requests.
type Shadow struct {
	// percent is how many of the requests are copied.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent"`
	// minSamples must be compared before the first step.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	MinSamples int64 `json:"minSamples,omitempty"`
}

// Step is one weight on the way up.
type Step struct {
	// weight is the share of the traffic, in percent.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=99
	Weight int32 `json:"weight"`
	// minDuration is the least time at this weight.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]') && duration(self) >= duration('0s')",message="must be a duration such as 10m or 1h30m"
	MinDuration *metav1.Duration `json:"minDuration,omitempty"`
	// minSamples is the least number of requests at this weight.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	MinSamples int64 `json:"minSamples,omitempty"`
}

// InsufficientDataPolicy says what a gate with too few samples means.
//
// +kubebuilder:validation:Enum=Wait;Fail;Pass
type InsufficientDataPolicy string

// The policies.
const (
	InsufficientWait InsufficientDataPolicy = "Wait"
	InsufficientFail InsufficientDataPolicy = "Fail"
	InsufficientPass InsufficientDataPolicy = "Pass"
)

// Gate compares one number with a bound.
//
// +kubebuilder:validation:XValidation:rule="has(self.max) != has(self.min)",message="exactly one of max and min is required"
type Gate struct {
	// name is the gate's, for people and for status.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// source is where the number comes from.
	// +required
	Source GateSource `json:"source"`
	// max is the largest value that passes.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int || self.matches('^[-+]?[0-9]{1,15}([.][0-9]{1,15})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$')",message="must be a number such as 0.25 or 250m"
	Max *resource.Quantity `json:"max,omitempty"`
	// min is the smallest value that passes.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="type(self) == int || self.matches('^[-+]?[0-9]{1,15}([.][0-9]{1,15})?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{1,2})?$')",message="must be a number such as 0.25 or 250m"
	Min *resource.Quantity `json:"min,omitempty"`
	// failureLimit is how many failures in a row are tolerated.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	FailureLimit int32 `json:"failureLimit,omitempty"`
	// onInsufficientData says what too few samples mean.
	// +optional
	// +kubebuilder:default=Wait
	OnInsufficientData InsufficientDataPolicy `json:"onInsufficientData,omitempty"`
}

// GateSource names exactly one source of a number.
//
// +kubebuilder:validation:XValidation:rule="[has(self.prometheus), has(self.latency), has(self.errorRate), has(self.shadowDrift), has(self.nan)].filter(x, x).size() == 1",message="exactly one source is required"
type GateSource struct {
	// prometheus is a query whose result is one number; {{.Model}}, {{.Version}} and {{.Window}} are filled in.
	// +optional
	Prometheus *PrometheusSource `json:"prometheus,omitempty"`
	// latency is the 99th percentile of the version's replies, in seconds.
	// +optional
	Latency *LatencySource `json:"latency,omitempty"`
	// errorRate is the share of the version's replies that failed, 0 to 1.
	// +optional
	ErrorRate *ErrorRateSource `json:"errorRate,omitempty"`
	// shadowDrift is the mean distance between the active version's and this version's output.
	// +optional
	ShadowDrift *ShadowDriftSource `json:"shadowDrift,omitempty"`
	// nan counts outputs that are not finite.
	// +optional
	NaN *NaNSource `json:"nan,omitempty"`
}

// PrometheusSource is a query.
type PrometheusSource struct {
	// query is PromQL whose result is one number.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Query string `json:"query"`
}

// LatencySource has no parameters but the percentile, which is fixed.
type LatencySource struct {
	// percentile is p99.
	// +optional
	// +kubebuilder:default=p99
	// +kubebuilder:validation:Enum=p99
	Percentile string `json:"percentile,omitempty"`
}

// ErrorRateSource has no parameters.
type ErrorRateSource struct{}

// NaNSource has no parameters.
type NaNSource struct{}

// ShadowDriftSource names the output compared.
type ShadowDriftSource struct {
	// output is one of contract.outputs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Output string `json:"output"`
}

// Stage is the one derived word for how far a version has come.
//
// +kubebuilder:validation:Enum=Pending;Verifying;Starting;Validating;Shadow;Canary;Active;Standby;Retired;Rejected;RolledBack
type Stage string

// The stages, in order.
const (
	StagePending    Stage = "Pending"
	StageVerifying  Stage = "Verifying"
	StageStarting   Stage = "Starting"
	StageValidating Stage = "Validating"
	StageShadow     Stage = "Shadow"
	StageCanary     Stage = "Canary"
	StageActive     Stage = "Active"
	StageStandby    Stage = "Standby"
	StageRetired    Stage = "Retired"
	StageRejected   Stage = "Rejected"
	StageRolledBack Stage = "RolledBack"
)
