// Package opmetrics is what the operator tells Prometheus about itself.
//
// There are two kinds. Counters and histograms are told of transitions, by the
// controllers, and begin anew with every start of the operator. Gauges are
// counted from the cached objects when they are scraped (see State): they are
// what `kubectl get` shows, whatever crashed in between, and alerts that must
// not miss anything are about them.
//
// Series are bounded. Values of labels are from the written lists below; a
// value that is not in its list is "Other". Names of models and versions are
// people's, so that there are no more than MaxModels models of them; the rest
// is the model "other".
//
// How long reconciles take and how they end, the queues' lengths and who leads
// are told by controller-runtime: docs/operations/metrics.md has them all.
package opmetrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// MaxModels is how many models have series of their own.
const MaxModels = 200

const (
	other      = "Other" // of a written list
	otherModel = "other" // of models, whose names are lower case
)

// A Metric is one row of the catalog.
type Metric struct {
	Name   string
	Kind   string // counter, gauge or histogram
	Help   string
	Labels []string
}

func (m Metric) desc() *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}

// The metrics of transitions.
var (
	stageTransitions = Metric{"clarity_operator_stage_transitions_total", "counter",
		"Versions of models that came to a stage.", []string{"stage"}}
	stageDuration = Metric{"clarity_operator_stage_duration_seconds", "histogram",
		"Time versions of models spent in a stage that they left.", []string{"stage"}}
	gateVerdicts = Metric{"clarity_operator_gate_verdicts_total", "counter",
		"Answers of gates by source and verdict.", []string{"source", "verdict"}}
	rollbacks = Metric{"clarity_operator_rollbacks_total", "counter",
		"Versions that lost their traffic, or the chance of any, by reason.", []string{"model", "reason"}}
	jobTransitions = Metric{"clarity_operator_analysisjob_transitions_total", "counter",
		"Analysis jobs that came to a state.", []string{"state"}}
	jobCreation = Metric{"clarity_operator_analysisjob_creation_seconds", "histogram",
		"Time from an analysis job's creation to its Job.", nil}
	jobStart = Metric{"clarity_operator_analysisjob_start_seconds", "histogram",
		"Time from an analysis job's creation to the start of its first shard.", nil}
)

// The metrics of state.
var (
	info = Metric{"clarity_operator_info", "gauge",
		"1 while the operator runs, by its version.", []string{"version"}}
	stateReadable = Metric{"clarity_operator_state_readable", "gauge",
		"1 if the objects that the other gauges count could be read, 0 if not.", nil}
	versions = Metric{"clarity_operator_modelversions", "gauge",
		"Versions of models by stage.", []string{"model", "stage"}}
	versionsStalled = Metric{"clarity_operator_modelversions_stalled", "gauge",
		"Versions of models that wait for a person, by reason.", []string{"model", "reason"}}
	rolledBack = Metric{"clarity_operator_model_rolled_back_timestamp_seconds", "gauge",
		"When a version of the model was last rolled back, of those that still exist.", []string{"model", "reason"}}
	planEntries = Metric{"clarity_operator_traffic_plan_entries", "gauge",
		"Versions that the model's traffic plan divides requests among; -1 if the plan cannot be read.", []string{"model"}}
	planRevision = Metric{"clarity_operator_traffic_plan_revision", "gauge",
		"Revision of the model's traffic plan.", []string{"model"}}
	planWeight = Metric{"clarity_operator_traffic_weight_ratio", "gauge",
		"Share of the model's requests that the version gets.", []string{"model", "version"}}
	replicasWanted = Metric{"clarity_operator_serving_wanted_replicas", "gauge",
		"Replicas that a version with traffic is to have.", []string{"model", "version"}}
	replicasLoaded = Metric{"clarity_operator_serving_loaded_replicas", "gauge",
		"Replicas whose server says that a version with traffic is ready.", []string{"model", "version"}}
	jobs = Metric{"clarity_operator_analysisjobs", "gauge",
		"Analysis jobs by state.", []string{"state"}}
	jobsStalled = Metric{"clarity_operator_analysisjobs_stalled", "gauge",
		"Analysis jobs that wait for a person, by reason.", []string{"reason"}}
	shards = Metric{"clarity_operator_analysisjob_shards", "gauge",
		"Shards of the analysis jobs that have not ended, by state.", []string{"state"}}
)

func transitionMetrics() []Metric {
	return []Metric{stageTransitions, stageDuration, gateVerdicts, rollbacks, jobTransitions, jobCreation, jobStart}
}

func stateMetrics() []Metric {
	return []Metric{info, stateReadable, versions, versionsStalled, rolledBack, planEntries, planRevision, planWeight,
		replicasWanted, replicasLoaded, jobs, jobsStalled, shards}
}

// The values of labels.

func stages() []string {
	return words(v1alpha1.StagePending, v1alpha1.StageVerifying, v1alpha1.StageStarting, v1alpha1.StageValidating,
		v1alpha1.StageShadow, v1alpha1.StageCanary, v1alpha1.StageActive, v1alpha1.StageStandby, v1alpha1.StageRetired,
		v1alpha1.StageRejected, v1alpha1.StageRolledBack)
}

func states() []string {
	return words(v1alpha1.StatePending, v1alpha1.StateQueued, v1alpha1.StateRunning, v1alpha1.StateSuspended,
		v1alpha1.StateSucceeded, v1alpha1.StateFailed, v1alpha1.StateCancelled)
}

func verdicts() []string {
	return words(v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictWait, v1alpha1.VerdictError)
}

// sources are the kinds of gates.
func sources() []string { return []string{"Prometheus", "Latency", "ErrorRate", "ShadowDrift", "NaN"} }

// shardStates are what a shard of a job that has not ended can be.
func shardStates() []string { return []string{"waiting", "active", "succeeded", "failed"} }

// versionReasons are the reasons of a ModelVersion's conditions.
func versionReasons() []string {
	return []string{
		v1alpha1.ReasonSucceeded, v1alpha1.ReasonProgressing, v1alpha1.ReasonQueuedBehind,
		v1alpha1.ReasonUnknownServingClass, v1alpha1.ReasonGateInvalid, v1alpha1.ReasonContractUnsupported, v1alpha1.ReasonDigestMismatch,
		v1alpha1.ReasonArtifactNotFound, v1alpha1.ReasonContractMismatch, v1alpha1.ReasonGoldenSetMismatch,
		v1alpha1.ReasonUnreadable, v1alpha1.ReasonVerificationFailed, v1alpha1.ReasonValidationIncomplete,
		v1alpha1.ReasonVersionTaken, v1alpha1.ReasonChildNameTaken, v1alpha1.ReasonChildRefused, v1alpha1.ReasonUnavailable,
		v1alpha1.ReasonScaledToZero, v1alpha1.ReasonHandingOver, v1alpha1.ReasonUnschedulable, v1alpha1.ReasonCrashLooping,
		v1alpha1.ReasonImagePull, v1alpha1.ReasonStartDeadline, v1alpha1.ReasonValidationFailed,
		v1alpha1.ReasonValidationTimeout, v1alpha1.ReasonGateFailed, v1alpha1.ReasonGateSourceUnavailable,
		v1alpha1.ReasonWaitingForSamples, v1alpha1.ReasonWaitingForDuration, v1alpha1.ReasonPaused, v1alpha1.ReasonHeld,
		v1alpha1.ReasonAborted, v1alpha1.ReasonSuperseded, v1alpha1.ReasonRetired, v1alpha1.ReasonNamespaceNotServed, v1alpha1.ReasonWorkerMisconfigured,
	}
}

// jobReasons are the reasons of an AnalysisJob's conditions.
func jobReasons() []string {
	return []string{
		v1alpha1.ReasonAccepted, v1alpha1.ReasonModelNotFound, v1alpha1.ReasonModelNotActive, v1alpha1.ReasonNoModel,
		v1alpha1.ReasonWaitingForQueue, v1alpha1.ReasonAdmitted, v1alpha1.ReasonSuspendedBySpec, v1alpha1.ReasonTooManyFailedShards,
		v1alpha1.ReasonDeadlineExceeded, v1alpha1.ReasonNotStartedInTime, v1alpha1.ReasonCancelled, v1alpha1.ReasonJobNameTaken,
		v1alpha1.ReasonCompleted, v1alpha1.ReasonNamespaceNotServed, v1alpha1.ReasonResolved, v1alpha1.ReasonShardStarted,
		v1alpha1.ReasonWaitingForShard, v1alpha1.ReasonJobDeleted, v1alpha1.ReasonJobFailed, v1alpha1.ReasonWorkerMisconfigured,
		v1alpha1.ReasonShardCannotStart, v1alpha1.ReasonFinished, v1alpha1.ReasonProgressing, v1alpha1.ReasonUnschedulable,
	}
}

func words[S ~string](values ...S) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}

// oneOf is the value if the list has it.
func oneOf[S ~string](value S, list []string) string {
	if slices.Contains(list, string(value)) {
		return string(value)
	}
	return other
}
