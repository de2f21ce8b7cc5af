package why

import (
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/survey"
)

// An Actor is who can change how an object stands.
type Actor string

// The actors.
const (
	Nobody           Actor = "nobody"
	PlatformEngineer Actor = "platform engineer"
	MLEngineer       Actor = "ML engineer"
	Autoscaler       Actor = "cluster autoscaler"
	Kueue            Actor = "Kueue"
)

// A Row says what a reason means, who can act on it, and what to do. Words in
// braces are filled in: {object} (mv/NAME), {name}, {ns}, {model}, {version}, {class}, {queue}, {job}.
type Row struct {
	Reason string
	Who    Actor
	Means  string
	Do     string
}

// VersionRows are the reasons of a ModelVersion.
func VersionRows() []Row {
	return []Row{
		{v1alpha1.ReasonSucceeded, Nobody, "everything it needs is done", ""},
		{v1alpha1.ReasonProgressing, Nobody, "the operator is at work on it", "it continues by itself"},
		{v1alpha1.ReasonQueuedBehind, Nobody, "another version of the model is ahead of it", "it starts once that one is done; `kubectl clarity traffic {model} -n {ns}` shows which"},
		{v1alpha1.ReasonUnknownServingClass, PlatformEngineer, "the operator's configuration has no serving class {class}", "add the class to the operator's configuration, or have a ModelVersion applied that names one that is there"},
		{v1alpha1.ReasonGateInvalid, MLEngineer, "a gate asks what cannot be answered", "correct spec.rollout.gates of the ModelVersion as the message says; it continues by itself then"},
		{v1alpha1.ReasonContractUnsupported, MLEngineer, "the workers cannot feed what spec.contract asks for", "apply a new ModelVersion whose inputs, window and preprocessing the workers know"},
		{v1alpha1.ReasonDigestMismatch, MLEngineer, "the bytes at spec.artifact.uri are not those of spec.artifact.digest", "upload the bundle again and apply a new ModelVersion with the digest that `clarity model inspect` prints"},
		{v1alpha1.ReasonArtifactNotFound, MLEngineer, "nothing can be read at spec.artifact.uri", "upload the bundle and apply a new ModelVersion; if it is there, a platform engineer gives the worker's service account the right to read it"},
		{v1alpha1.ReasonContractMismatch, MLEngineer, "the bundle's own contract is not spec.contract", "apply a new ModelVersion with the contract that `clarity model inspect` prints"},
		{v1alpha1.ReasonGoldenSetMismatch, MLEngineer, "the bytes at spec.validation.goldenSet.uri are not those of its digest", "upload the golden set again and apply a new ModelVersion with its digest"},
		{v1alpha1.ReasonUnreadable, MLEngineer, "the bundle or the golden set is not what its format says", "check it with `clarity model verify`, upload it again and apply a new ModelVersion"},
		{v1alpha1.ReasonVerificationFailed, PlatformEngineer, "the check of the bundle ended without a result", "it is retried automatically; if that ends the same way, read `kubectl clarity logs mv/{name} -n {ns} --component verify`"},
		{v1alpha1.ReasonValidationIncomplete, PlatformEngineer, "the validation ended without a result", "it is retried automatically; if that ends the same way, read `kubectl clarity logs mv/{name} -n {ns} --component validate`"},
		{v1alpha1.ReasonVersionTaken, MLEngineer, "an older object is the same version of the model", "delete this one and apply it under another spec.version; `kubectl clarity traffic {model} -n {ns}` lists the versions"},
		{v1alpha1.ReasonChildNameTaken, PlatformEngineer, "an object that is not the operator's has the name of one that it needs", "delete the object that the message names"},
		{v1alpha1.ReasonChildRefused, PlatformEngineer, "the API server refuses an object that is needed", "fix what the message names: quota, Pod Security or the operator's configuration"},
		{v1alpha1.ReasonUnavailable, PlatformEngineer, "no replica says that it is ready", "find the pod with `kubectl clarity tree mv/{name} -n {ns}` and read `kubectl clarity logs mv/{name} -n {ns}`"},
		{v1alpha1.ReasonScaledToZero, Nobody, "it is not meant to run now", ""},
		{v1alpha1.ReasonHandingOver, Nobody, "it serves until another version can", "the other version is being started"},
		{v1alpha1.ReasonUnschedulable, Autoscaler, "no node has room for a pod", "it adds a node where a pool has what the pod asks for"},
		{v1alpha1.ReasonCrashLooping, MLEngineer, "the model's server ends again and again", "read `kubectl clarity logs mv/{name} -n {ns}`, fix the bundle and apply a new ModelVersion"},
		{v1alpha1.ReasonImagePull, PlatformEngineer, "the serving image cannot be pulled", "check the image of serving class {class} and the nodes' right to pull it"},
		{v1alpha1.ReasonStartDeadline, PlatformEngineer, "no replica was ready within the serving class's start time", "find what held it up with `kubectl clarity tree mv/{name} -n {ns}`, then have it applied again as a new ModelVersion"},
		{v1alpha1.ReasonValidationFailed, MLEngineer, "the golden vectors came out beyond spec.validation.tolerance", "compare the bundle with its golden set and apply a new ModelVersion"},
		{v1alpha1.ReasonValidationTimeout, MLEngineer, "the golden vectors did not get through within spec.validation.timeout", "read `kubectl clarity logs mv/{name} -n {ns}` and apply a new ModelVersion with more time or fewer vectors"},
		{v1alpha1.ReasonGateFailed, MLEngineer, "a gate's number was beyond its bound more often than failureLimit allows", "look at the gate's number with `kubectl clarity why mv/{name} -n {ns} --facts` and apply a new ModelVersion"},
		{v1alpha1.ReasonGateSourceUnavailable, PlatformEngineer, "the source of a gate's number does not answer, so nothing is promoted", "bring Prometheus back, or correct its address in the operator's configuration; the rollout continues by itself then"},
		{v1alpha1.ReasonWaitingForSamples, Nobody, "too few requests were seen at this step", "the next step comes by itself; `kubectl clarity promote mv/{name} -n {ns}` does not wait"},
		{v1alpha1.ReasonWaitingForDuration, Nobody, "the step's minDuration is not over", "the next step comes by itself; `kubectl clarity promote mv/{name} -n {ns}` does not wait"},
		{v1alpha1.ReasonPaused, MLEngineer, "spec.rollout.paused holds it at its step", "`kubectl clarity resume mv/{name} -n {ns}`"},
		{v1alpha1.ReasonHeld, MLEngineer, "spec.rollout.strategy is Hold: it is validated and warm and gets no traffic", "`kubectl clarity promote mv/{name} -n {ns}`"},
		{v1alpha1.ReasonAborted, MLEngineer, "spec.rollout.abort ended it", "apply a new ModelVersion: an abort cannot be taken back"},
		{v1alpha1.ReasonSuperseded, Nobody, "a newer version took its place", ""},
		{v1alpha1.ReasonRetired, Nobody, "spec.retire took it out of service for good", ""},
	}
}

// JobRows are the reasons of an AnalysisJob.
func JobRows() []Row {
	return []Row{
		{v1alpha1.ReasonAccepted, Nobody, "the operator has taken it in", ""},
		{v1alpha1.ReasonModelNotFound, MLEngineer, "there is no such model, or no such version of it, in namespace {ns}", "apply the ModelVersion: the job continues by itself then; `kubectl get mv -n {ns}` lists what is there"},
		{v1alpha1.ReasonModelNotActive, MLEngineer, "no version of the model is active, or the one named is not validated", "see what the version waits for with `kubectl clarity traffic {model} -n {ns}`"},
		{v1alpha1.ReasonNoModel, Nobody, "it asks for no model", ""},
		{v1alpha1.ReasonResolved, Nobody, "the model's version and digest are recorded", ""},
		{v1alpha1.ReasonWaitingForQueue, Kueue, "it waits for quota in queue {queue}", "it is admitted when there is room; `kubectl describe localqueue {queue} -n {ns}` shows who is before it"},
		{v1alpha1.ReasonAdmitted, Nobody, "the queue has admitted it", ""},
		{v1alpha1.ReasonWaitingForShard, Nobody, "no shard has started yet", "the first shard is on its way"},
		{v1alpha1.ReasonShardStarted, Nobody, "shards run", "they go on by themselves"},
		{v1alpha1.ReasonShardCannotStart, PlatformEngineer, "no shard can start", "look at the pod with `kubectl clarity tree ajob/{name} -n {ns}` and fix the operator's configuration of analysis jobs"},
		{v1alpha1.ReasonSuspendedBySpec, PlatformEngineer, "spec.suspend holds it", "`kubectl clarity resume ajob/{name} -n {ns}`"},
		{v1alpha1.ReasonTooManyFailedShards, PlatformEngineer, "more shards failed than spec.retry allows", "read `kubectl clarity logs ajob/{name} -n {ns}` and create a new AnalysisJob: results that exist are skipped"},
		{v1alpha1.ReasonDeadlineExceeded, PlatformEngineer, "it did not finish within spec.deadline.completeWithin", "create a new AnalysisJob with more time or more parallelism: results that exist are skipped"},
		{v1alpha1.ReasonNotStartedInTime, PlatformEngineer, "no shard started within spec.deadline.startWithin", "make room in the cluster or the queue and create a new AnalysisJob"},
		{v1alpha1.ReasonCancelled, Nobody, "spec.cancel ended it", ""},
		{v1alpha1.ReasonJobNameTaken, PlatformEngineer, "a Job of its name exists and is not its own", "delete that Job: `kubectl get jobs -n {ns}`"},
		{v1alpha1.ReasonJobDeleted, PlatformEngineer, "someone deleted its Job", "create a new AnalysisJob: results that exist are skipped"},
		{v1alpha1.ReasonJobFailed, PlatformEngineer, "its Job failed for a reason of its own", "look at it with `kubectl describe job {job} -n {ns}`"},
		{v1alpha1.ReasonWorkerMisconfigured, PlatformEngineer, "a worker says that it is configured wrongly, and so is every other of the Job", "read `kubectl clarity logs {object} -n {ns}` and fix the worker's ConfigMap; a version is checked again automatically, a job is created anew: results that exist are skipped"},
		{v1alpha1.ReasonNamespaceNotServed, PlatformEngineer, "the operator serves another namespace", "create it in the namespace that the message names"},
		{v1alpha1.ReasonCompleted, Nobody, "its shards are done", ""},
		{v1alpha1.ReasonFinished, Nobody, "it has ended", ""},
	}
}

// The reasons that are neither the API's nor a pod's: what the plugin itself finds.
const (
	reasonDeleting = "Deleting"
	reasonUnseen   = "NotSeenByOperator"
	reasonNoQueue  = "NoWorkload"
)

// ClusterRows are the reasons that pods, events and the plugin itself give.
func ClusterRows() []Row {
	const manager = "see whether the operator runs: `kubectl get deployments --all-namespaces -l app.kubernetes.io/name=clarity-manager`"
	return []Row{
		{reasonDeleting, Nobody, "it is being deleted", "its traffic moves first, then it goes"},
		{reasonUnseen, PlatformEngineer, "the operator has not looked at it as it is now", manager},
		{reasonNoQueue, PlatformEngineer, "Kueue has made nothing of its Job", "see whether Kueue is installed and has the queue: `kubectl get localqueue {queue} -n {ns}`"},
		{"Inadmissible", PlatformEngineer, "the queue cannot admit it as it is", "fix the queue: `kubectl describe localqueue {queue} -n {ns}`"},
		{"TriggeredScaleUp", Autoscaler, "a node is being added", "the pod starts on it"},
		{"NotTriggerScaleUp", PlatformEngineer, "no node pool can grow to fit the pod", "add a pool, or raise its limit or its quota"},
		{"SchedulingGated", Kueue, "a gate holds the pod from the scheduler", "it is opened when there is room"},
		{"FailedCreate", PlatformEngineer, "pods cannot be created", "fix what the message names: quota, Pod Security or the service account"},
		{"ErrImagePull", PlatformEngineer, "the image cannot be pulled", "check the image in the operator's configuration and the nodes' right to pull it"},
		{"ImagePullBackOff", PlatformEngineer, "the image cannot be pulled", "check the image in the operator's configuration and the nodes' right to pull it"},
		{"InvalidImageName", PlatformEngineer, "the image's name is none", "correct the image in the operator's configuration"},
		{"CreateContainerConfigError", PlatformEngineer, "what the container's configuration refers to is not there", "check the worker's ConfigMap and service account"},
		{"CreateContainerError", PlatformEngineer, "the node cannot create the container", "find the pod with `kubectl clarity tree {object} -n {ns}` and look at it with `kubectl describe pod`"},
		{"RunContainerError", PlatformEngineer, "the node cannot run the container", "find the pod with `kubectl clarity tree {object} -n {ns}` and look at it with `kubectl describe pod`"},
		{"CrashLoopBackOff", MLEngineer, "a container ends again and again", "read its log with `kubectl clarity logs {object} -n {ns}`"},
		{"OOMKilled", PlatformEngineer, "a container ran out of memory", "raise the memory limit in the operator's configuration"},
		{"Evicted", Nobody, "the node was short of something", "it is tried again elsewhere"},
		{survey.ExitReason(worker.ExitInvalidInput), MLEngineer, "its input can never be computed", "read its log with `kubectl clarity logs {object} -n {ns}`"},
		{survey.ExitReason(worker.ExitConfiguration), PlatformEngineer, "this worker is configured wrongly", "read its log with `kubectl clarity logs {object} -n {ns}` and fix the worker's ConfigMap"},
	}
}

func find(reason string, tables ...[]Row) (Row, bool) {
	for _, rows := range tables {
		for _, r := range rows {
			if r.Reason == reason {
				return r, true
			}
		}
	}
	return Row{Reason: reason, Who: PlatformEngineer, Do: "look at `kubectl clarity tree {object} -n {ns}` and at the operator's log"}, false
}
