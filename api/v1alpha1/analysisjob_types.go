package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AnalysisJob is one intent to analyse: a cohort, a backfill, one subject by
// hand. It becomes one Indexed Job of worker shards.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ajob,categories=clarity
// +kubebuilder:selectablefield:JSONPath=.status.state
// +kubebuilder:selectablefield:JSONPath=.spec.queueName
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=.status.state
// +kubebuilder:printcolumn:name="Shards",type=string,JSONPath=.status.shards.summary
// +kubebuilder:printcolumn:name="Subjects",type=integer,JSONPath=.status.subjects.done
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=.status.subjects.failed
// +kubebuilder:printcolumn:name="Rate",type=string,JSONPath=.status.rate
// +kubebuilder:printcolumn:name="ETA",type=string,JSONPath=.status.eta
// +kubebuilder:printcolumn:name="Model",type=string,JSONPath=.status.model.version
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=.metadata.creationTimestamp
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=.status.message,priority=1
type AnalysisJob struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is as of any object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// spec is what to analyse; all but suspend, cancel and ttlSecondsAfterFinished is immutable.
	// +required
	Spec AnalysisJobSpec `json:"spec"`
	// status is derived from the Job and its pods alone.
	// +optional
	Status AnalysisJobStatus `json:"status,omitzero"`
}

// AnalysisJobList is a list of AnalysisJobs.
//
// +kubebuilder:object:root=true
type AnalysisJobList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []AnalysisJob `json:"items"`
}

// AnalysisJobSpec says what to analyse and how.
//
// +kubebuilder:validation:XValidation:rule="self.subjects == oldSelf.subjects",message="subjects is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="self.window == oldSelf.window",message="window is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="self.analyses == oldSelf.analyses",message="analyses is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="has(self.model) == has(oldSelf.model) && (!has(self.model) || self.model == oldSelf.model)",message="model is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="self.shards == oldSelf.shards && (has(self.parallelism) ? has(oldSelf.parallelism) && self.parallelism == oldSelf.parallelism : !has(oldSelf.parallelism))",message="shards and parallelism are immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="has(self.queueName) == has(oldSelf.queueName) && (!has(self.queueName) || self.queueName == oldSelf.queueName)",message="queueName is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="has(self.priorityClassName) == has(oldSelf.priorityClassName) && (!has(self.priorityClassName) || self.priorityClassName == oldSelf.priorityClassName)",message="priorityClassName is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="self.retry == oldSelf.retry",message="retry is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="has(self.deadline) == has(oldSelf.deadline) && (!has(self.deadline) || self.deadline == oldSelf.deadline)",message="deadline is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="self.onExisting == oldSelf.onExisting",message="onExisting is immutable: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",message="cancel cannot be taken back: create a new AnalysisJob"
// +kubebuilder:validation:XValidation:rule="!has(self.subjects.subject) || self.shards == 1",message="one subject takes one shard"
// +kubebuilder:validation:XValidation:rule="!self.analyses.exists(a, a == 'model') || has(self.model)",message="the analysis model needs spec.model"
type AnalysisJobSpec struct {
	// subjects says whose data; exactly one of its members.
	// +required
	Subjects Subjects `json:"subjects"`
	// window says which days.
	// +required
	Window AnalysisWindow `json:"window"`
	// analyses are the families to compute.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Analyses []AnalysisName `json:"analyses"`
	// model is the model to ask, by name (its active version) or by version.
	// +optional
	Model *ModelReference `json:"model,omitempty"`
	// shards is how many parts the subjects are divided into by hash.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Shards int32 `json:"shards,omitempty"`
	// parallelism is how many shards run at a time; all if absent.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Parallelism *int32 `json:"parallelism,omitempty"`
	// queueName is a Kueue LocalQueue; the Job is then born suspended.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	QueueName string `json:"queueName,omitempty"`
	// priorityClassName is the PriorityClass of the shards' pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// retry bounds failures.
	// +optional
	// +kubebuilder:default={}
	Retry Retry `json:"retry,omitzero"`
	// deadline bounds time; there is none if absent.
	// +optional
	Deadline *Deadline `json:"deadline,omitempty"`
	// onExisting says what to do with a subject whose result for the same input exists.
	// +optional
	// +kubebuilder:default=Skip
	OnExisting OnExisting `json:"onExisting,omitempty"`
	// suspend stops the shards without losing what they did.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
	// cancel ends the job. One-way.
	// +optional
	Cancel bool `json:"cancel,omitempty"`
	// ttlSecondsAfterFinished removes the finished job after a while.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// AnalysisName is a family of metrics.
//
// +kubebuilder:validation:Enum=wear;sleep;circadian;activity;cardio;trend;model
type AnalysisName string

// Subjects says whose data; exactly one member.
//
// +kubebuilder:validation:XValidation:rule="[has(self.subject), has(self.manifest), has(self.all)].filter(x, x).size() == 1",message="exactly one of subject, manifest and all is required"
type Subjects struct {
	// subject is one person's pseudonym; never a uid or an address.
	// +optional
	// +kubebuilder:validation:MinLength=16
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	Subject string `json:"subject,omitempty"`
	// manifest is a file of pseudonyms, one a line.
	// +optional
	Manifest *Artifact `json:"manifest,omitempty"`
	// all is everyone.
	// +optional
	All *AllSubjects `json:"all,omitempty"`
}

// AllSubjects has no parameters.
type AllSubjects struct{}

// AnalysisWindow says which local days: start and end, or the last n.
//
// +kubebuilder:validation:XValidation:rule="has(self.lastDays) ? !has(self.start) && !has(self.end) : has(self.start) && has(self.end)",message="either lastDays, or start and end"
// +kubebuilder:validation:XValidation:rule="!has(self.start) || !has(self.end) || self.start <= self.end",message="start must not be after end"
type AnalysisWindow struct {
	// start is the first day.
	// +optional
	// +kubebuilder:validation:Format=date
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}$`
	// +kubebuilder:validation:MaxLength=10
	Start string `json:"start,omitempty"`
	// end is the last day.
	// +optional
	// +kubebuilder:validation:Format=date
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}$`
	// +kubebuilder:validation:MaxLength=10
	End string `json:"end,omitempty"`
	// lastDays are the n days that were over in UTC when the object was created.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	LastDays *int32 `json:"lastDays,omitempty"`
}

// ModelReference names a model, or one version of it.
//
// +kubebuilder:validation:XValidation:rule="has(self.name)",message="name is required"
type ModelReference struct {
	// name is the model's, as in spec.model of its versions.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// version is the active one if absent.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Version string `json:"version,omitempty"`
}

// Retry bounds failures.
type Retry struct {
	// perShard is how often one shard is tried again.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=20
	PerShard *int32 `json:"perShard,omitempty"`
	// maxFailedShardsPercent is how many shards may fail before the job does.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxFailedShardsPercent *int32 `json:"maxFailedShardsPercent,omitempty"`
}

// Deadline bounds time, counted from the object's creation; waiting and suspension count.
type Deadline struct {
	// startWithin fails the job where no shard started in time.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]') && duration(self) >= duration('0s')",message="must be a duration such as 10m or 1h30m"
	StartWithin *metav1.Duration `json:"startWithin,omitempty"`
	// completeWithin fails the job where it did not finish in time.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]') && duration(self) >= duration('0s')",message="must be a duration such as 10m or 1h30m"
	CompleteWithin *metav1.Duration `json:"completeWithin,omitempty"`
}

// OnExisting says what to do with a result that exists.
//
// +kubebuilder:validation:Enum=Skip;Replace
type OnExisting string

// The policies.
const (
	OnExistingSkip    OnExisting = "Skip"
	OnExistingReplace OnExisting = "Replace"
)

// State is the one derived word for how a job stands.
//
// +kubebuilder:validation:Enum=Pending;Queued;Running;Suspended;Succeeded;Failed;Cancelled
type State string

// The states.
const (
	StatePending   State = "Pending"
	StateQueued    State = "Queued"
	StateRunning   State = "Running"
	StateSuspended State = "Suspended"
	StateSucceeded State = "Succeeded"
	StateFailed    State = "Failed"
	StateCancelled State = "Cancelled"
)

// The condition types of an AnalysisJob, beside Reconciling and Stalled.
const (
	ConditionAccepted      = "Accepted"
	ConditionModelResolved = "ModelResolved"
	ConditionQueued        = "Queued"
	ConditionStarted       = "Started"
	ConditionSuspended     = "Suspended"
	ConditionSucceeded     = "Succeeded"
	ConditionFailed        = "Failed"
)

// The reasons of an AnalysisJob's conditions, beside the shared ones.
const (
	ReasonAccepted            = "Accepted"
	ReasonModelNotFound       = "ModelNotFound"
	ReasonModelNotActive      = "ModelNotActive"
	ReasonNoModel             = "NoModelRequested"
	ReasonWaitingForQueue     = "WaitingForQueue"
	ReasonAdmitted            = "Admitted"
	ReasonSuspendedBySpec     = "SuspendedBySpec"
	ReasonTooManyFailedShards = "TooManyFailedShards"
	ReasonDeadlineExceeded    = "DeadlineExceeded"
	ReasonNotStartedInTime    = "NotStartedInTime"
	ReasonCancelled           = "Cancelled"
	ReasonJobNameTaken        = "JobNameTaken" // a Job of the name exists and is not ours
	ReasonCompleted           = "Completed"
	ReasonNamespaceNotServed  = "NamespaceNotServed" // the operator runs analyses in another namespace
	ReasonResolved            = "Resolved"           // a version and its digest are recorded
	ReasonShardStarted        = "ShardStarted"       // the first shard ran
	ReasonWaitingForShard     = "WaitingForShard"    // no shard has started yet
	ReasonJobDeleted          = "JobDeleted"         // someone else deleted the Job; there is never a second one
	ReasonJobFailed           = "JobFailed"          // the Job failed for a reason of its own
	ReasonShardCannotStart    = "ShardCannotStart"
	ReasonWorkerMisconfigured = "WorkerMisconfigured" // a worker says that it is configured wrongly: a ModelVersion's, too
	ReasonFinished            = "Finished"
)

// AnalysisJobStatus is derived from the Job and its pods alone.
type AnalysisJobStatus struct {
	// observedGeneration is the spec's generation that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are the truth; state and message are derived from them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=12
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// state is the one word derived from the conditions.
	// +optional
	State State `json:"state,omitempty"`
	// message is one sentence for a person.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// job is the name of the Indexed Job.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Job string `json:"job,omitempty"`
	// window is the days the job was resolved to when it was accepted.
	// +optional
	Window *ResolvedWindow `json:"window,omitempty"`
	// model is the version the job was resolved to when it was accepted.
	// +optional
	Model *ResolvedModel `json:"model,omitempty"`
	// shards counts shards.
	// +optional
	Shards ShardCounts `json:"shards,omitzero"`
	// subjects counts the subjects of shards that ended.
	// +optional
	Subjects SubjectCounts `json:"subjects,omitzero"`
	// rate is subjects a second, e.g. "42/s": while running over the shards that ended, then over the whole run.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Rate string `json:"rate,omitempty"`
	// eta is the time left at that rate, e.g. "4m".
	// +optional
	// +kubebuilder:validation:MaxLength=24
	ETA string `json:"eta,omitempty"`
	// failureSummary counts the commonest reasons of failed subjects and shards (those begin with Shard); Other is the rest.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=10
	FailureSummary []FailureCount `json:"failureSummary,omitempty"`
	// startTime is when the first shard started.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when the job ended, well or not.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// updated is when the counts were last written; at most once in ten seconds while running.
	// +optional
	Updated *metav1.Time `json:"updated,omitempty"`
}

// ResolvedWindow is first and last day.
type ResolvedWindow struct {
	// start is the first day.
	// +required
	// +kubebuilder:validation:MaxLength=10
	Start string `json:"start"`
	// end is the last day.
	// +required
	// +kubebuilder:validation:MaxLength=10
	End string `json:"end"`
}

// ResolvedModel is the version that was chosen.
type ResolvedModel struct {
	// name is the model's.
	// +required
	// +kubebuilder:validation:MaxLength=40
	Name string `json:"name"`
	// version is the version's name within the model.
	// +required
	// +kubebuilder:validation:MaxLength=40
	Version string `json:"version"`
	// digest is the bundle's.
	// +required
	// +kubebuilder:validation:MaxLength=71
	Digest string `json:"digest"`
}

// ShardCounts counts shards.
type ShardCounts struct {
	// total is spec.shards.
	// +optional
	Total int32 `json:"total"`
	// active counts shards that have a running or waiting pod.
	// +optional
	Active int32 `json:"active"`
	// succeeded counts shards that ended well.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// failed counts shards that are not tried again.
	// +optional
	Failed int32 `json:"failed"`
	// summary is succeeded/total.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Summary string `json:"summary,omitempty"`
	// counted has bit i (of byte i/8, lowest first) set once shard i ended and its report is in the counts of subjects.
	// +optional
	// +kubebuilder:validation:MaxLength=1668
	Counted []byte `json:"counted,omitempty"`
	// uncounted is how many shards ended whose pods were removed before their reports were read.
	// +optional
	Uncounted int32 `json:"uncounted,omitempty"`
	// seconds is how long the counted shards' last attempts ran, together.
	// +optional
	Seconds int64 `json:"seconds,omitempty"`
}

// SubjectCounts counts subjects, as the shards' termination messages tell.
type SubjectCounts struct {
	// done is succeeded, skipped and failed together.
	// +optional
	Done int64 `json:"done"`
	// succeeded counts subjects with a new result.
	// +optional
	Succeeded int64 `json:"succeeded"`
	// skipped counts subjects whose result existed.
	// +optional
	Skipped int64 `json:"skipped"`
	// failed counts subjects without a result.
	// +optional
	Failed int64 `json:"failed"`
}

// FailureCount is how often a reason was given.
type FailureCount struct {
	// reason is one CamelCase word.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// count is how often.
	// +required
	Count int64 `json:"count"`
}
