package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The condition types of a ModelVersion, beside Ready, Reconciling and Stalled.
const (
	ConditionArtifactVerified = "ArtifactVerified" // the bundle at uri has the digest
	ConditionAvailable        = "Available"        // Triton says this version is ready on at least one replica
	ConditionValidated        = "Validated"        // the golden vectors came out within the tolerance
	ConditionPromoted         = "Promoted"         // the version carries all of its model's traffic
)

// The condition types both kinds share, in kstatus' sense.
const (
	ConditionReady       = "Ready"
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
)

// The reasons of a ModelVersion's conditions.
const (
	ReasonSucceeded             = "Succeeded"
	ReasonProgressing           = "Progressing"
	ReasonQueuedBehind          = "QueuedBehind"          // a newer or older candidate goes first
	ReasonUnknownServingClass   = "UnknownServingClass"   // the operator's configuration has no such class
	ReasonGateInvalid           = "GateInvalid"           // a gate asks what cannot be answered
	ReasonContractUnsupported   = "ContractUnsupported"   // workers cannot feed the model
	ReasonDigestMismatch        = "DigestMismatch"        // the bundle's bytes are others
	ReasonArtifactNotFound      = "ArtifactNotFound"      // nothing at uri
	ReasonContractMismatch      = "ContractMismatch"      // the bundle's own contract is another
	ReasonGoldenSetMismatch     = "GoldenSetMismatch"     // the golden set's bytes are others
	ReasonUnreadable            = "Unreadable"            // the bundle or the golden set is not what its format says
	ReasonVerificationFailed    = "VerificationFailed"    // the check ended without a result: it is made again
	ReasonValidationIncomplete  = "ValidationIncomplete"  // the validation ended without a result: it is made again
	ReasonVersionTaken          = "VersionTaken"          // an older object is the same version of the model
	ReasonChildNameTaken        = "ChildNameTaken"        // an object that is not ours has the name
	ReasonChildRefused          = "ChildRefused"          // the API server refuses an object that is needed
	ReasonUnavailable           = "Unavailable"           // no replica says that it is ready
	ReasonScaledToZero          = "ScaledToZero"          // it is not meant to run now
	ReasonHandingOver           = "HandingOver"           // it serves until another version can
	ReasonUnschedulable         = "Unschedulable"         // no node has room
	ReasonCrashLooping          = "CrashLooping"          // the server ends again and again
	ReasonImagePull             = "ImagePullFailed"       // the serving image cannot be pulled
	ReasonStartDeadline         = "StartDeadlineExceeded" // not ready in time
	ReasonValidationFailed      = "ValidationFailed"      // beyond the tolerance
	ReasonValidationTimeout     = "ValidationTimeout"
	ReasonGateFailed            = "GateFailed"
	ReasonGateSourceUnavailable = "GateSourceUnavailable" // the source of a gate's number is down: nothing is promoted
	ReasonWaitingForSamples     = "WaitingForSamples"
	ReasonWaitingForDuration    = "WaitingForDuration"
	ReasonPaused                = "Paused"
	ReasonHeld                  = "Held" // strategy Hold: validated, no traffic
	ReasonAborted               = "Aborted"
	ReasonSuperseded            = "Superseded" // a newer version took its place
	ReasonRetired               = "Retired"
)

// ModelVersionStatus is what the operator found and did.
type ModelVersionStatus struct {
	// observedGeneration is the spec's generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are the truth; stage, reason and message are derived from them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=12
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// stage is how far the version has come, in one word.
	// +optional
	Stage Stage `json:"stage,omitempty"`
	// since is when the stage began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// reason is the reason of the condition that explains the stage.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message is one sentence for a person: what it waits for, or why it ended.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// traffic is the version's share of its model's traffic.
	// +optional
	Traffic TrafficStatus `json:"traffic,omitzero"`
	// serving is how many replicas there are and how many answer.
	// +optional
	Serving ServingStatus `json:"serving,omitzero"`
	// validation is the verdict of the golden vectors.
	// +optional
	Validation *ValidationStatus `json:"validation,omitempty"`
	// rollout is where the rollout stands.
	// +optional
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// gates are the newest verdicts.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Gates []GateStatus `json:"gates,omitempty"`
	// lastFailure is the newest failure, kept after recovery.
	// +optional
	LastFailure *Failure `json:"lastFailure,omitempty"`
}

// TrafficStatus is the version's share of its model's traffic.
type TrafficStatus struct {
	// weight is the share in percent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// revision is the traffic plan's revision that the weight is from.
	// +optional
	Revision int64 `json:"revision,omitempty"`
}

// ServingStatus is how many replicas there are and how many answer.
type ServingStatus struct {
	// replicas is how many pods there are to be.
	// +optional
	Replicas int32 `json:"replicas"`
	// ready counts pods that are Ready.
	// +optional
	Ready int32 `json:"ready"`
	// loaded counts pods whose Triton says that this very version is ready.
	// +optional
	Loaded int32 `json:"loaded"`
	// summary is loaded/replicas.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Summary string `json:"summary,omitempty"`
	// endpoint is host:port of the version's Open Inference Protocol over gRPC.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Endpoint string `json:"endpoint,omitempty"`
	// selector is for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Selector string `json:"selector,omitempty"`
}

// ValidationStatus is the verdict of the golden vectors.
type ValidationStatus struct {
	// cases is how many golden vectors there are.
	// +optional
	Cases int32 `json:"cases"`
	// passed is how many came out within the tolerance.
	// +optional
	Passed int32 `json:"passed"`
	// maxError is the largest relative error seen, a decimal.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	MaxError string `json:"maxError,omitempty"`
}

// RolloutStatus is where the rollout stands.
type RolloutStatus struct {
	// step counts the steps reached: 0 is the shadow, 1 the first step.
	// +optional
	Step int32 `json:"step"`
	// stepStarted is when the step's weight was in the plan.
	// +optional
	StepStarted *metav1.Time `json:"stepStarted,omitempty"`
	// evaluated is when the gates were asked last.
	// +optional
	Evaluated *metav1.Time `json:"evaluated,omitempty"`
	// samples counts the requests of this step when the gates were asked last.
	// +optional
	Samples int64 `json:"samples,omitempty"`
	// promoted is when the version got all of the traffic.
	// +optional
	Promoted *metav1.Time `json:"promoted,omitempty"`
	// demoted is when it lost its traffic to another version.
	// +optional
	Demoted *metav1.Time `json:"demoted,omitempty"`
	// sourceErrors counts gate evaluations in a row whose source did not answer.
	// +optional
	SourceErrors int32 `json:"sourceErrors,omitempty"`
}

// Verdict is a gate's answer.
//
// +kubebuilder:validation:Enum=Pass;Fail;Wait;Error
type Verdict string

// The verdicts.
const (
	VerdictPass  Verdict = "Pass"
	VerdictFail  Verdict = "Fail"
	VerdictWait  Verdict = "Wait"  // not enough samples
	VerdictError Verdict = "Error" // the source did not answer: never promotes
)

// GateStatus is a gate's newest verdict.
type GateStatus struct {
	// name is the gate's.
	// +required
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// verdict is the newest answer.
	// +required
	Verdict Verdict `json:"verdict"`
	// value is the number compared, a decimal.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Value string `json:"value,omitempty"`
	// failures counts Fail verdicts in a row.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// at is when it was given.
	// +required
	At metav1.Time `json:"at"`
}

// Failure says what went wrong last.
type Failure struct {
	// stage is where it failed.
	// +required
	Stage Stage `json:"stage"`
	// reason is one CamelCase word.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message is one sentence for a person.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// pod is the pod that failed, if one did.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// exitCode is the container's, if one ended.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// at is when it failed.
	// +required
	At metav1.Time `json:"at"`
}
