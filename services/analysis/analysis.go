// Package analysis is the vocabulary of what is computed: what is asked for (a
// Request), what comes out (a Result and the Lineage that explains it), and that
// in words (an Insight). It computes nothing.
package analysis

import (
	"cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
)

// Schema is the version of the Result document.
const Schema = "clarity.result/1"

// NoModel is what a Result says of its model where none is configured.
const NoModel = "none"

// A Request asks for the analysis of the seven local days that end with End.
type Request struct {
	UID string     `json:"uid"`
	End health.Day `json:"end"`
}

// A Family holds a family's metrics by snake_case name; the unit is part of the
// name. A nil value has an entry in Result.Insufficient.
type Family map[string]*float64

// A Result is what one window of one person came to. The same input gives the
// same Result, byte for byte: it holds no time of computation and no identity.
type Result struct {
	Schema       string         `json:"schema"`
	Window       Window         `json:"window"`
	Input        Input          `json:"input"`
	Wear         Family         `json:"wear"`
	Sleep        Family         `json:"sleep"`
	Circadian    Family         `json:"circadian"`
	Activity     Family         `json:"activity"`
	Cardio       Family         `json:"cardio"`
	Nights       []Night        `json:"nights"`
	Days         []DaySummary   `json:"days"`
	Model        *ModelSummary  `json:"model,omitempty" doc:"what the model version says; absent where none is configured (lineage.model is none)"`
	Insufficient []Insufficient `json:"insufficient"`
	Lineage      Lineage        `json:"lineage"`
}

// A Window is a run of whole local days.
type Window struct {
	Start    health.Day `json:"start" doc:"first local day"`
	End      health.Day `json:"end" doc:"last local day, inclusive"`
	Days     int        `json:"days" doc:"number of local days"`
	TimeZone string     `json:"time_zone" doc:"IANA zone whose midnights bound the window"`
}

// Input says what the numbers rest on.
type Input struct {
	Kind           actigraphy.InputKind `json:"kind" enum:"counts,acceleration,energy,steps,none" doc:"what the epochs are; energy and steps are proxies for counts, acceleration (mg) comes from recordings only"`
	Proxy          bool                 `json:"proxy" doc:"true where kind stands in for an accelerometer's counts"`
	EpochSeconds   int                  `json:"epoch_seconds"`
	Epochs         int                  `json:"epochs" doc:"epochs of the window"`
	MissingEpochs  int                  `json:"missing_epochs" doc:"epochs without any data"`
	SleepSource    string               `json:"sleep_source" enum:"stages,counts,none" doc:"HealthKit stages, or an algorithm on epochs"`
	SleepAlgorithm string               `json:"sleep_algorithm" doc:"the algorithm, where sleep_source is counts"`
	SampleCount    int                  `json:"samples" doc:"samples of the window that the numbers can be made of, after deduplication; 0 for a recording"`
}

// A Night is one main sleep period.
type Night struct {
	Day               health.Day `json:"day" doc:"the local day on which the night ends"`
	Onset             string     `json:"onset" doc:"sleep onset, RFC 3339 with the local offset"`
	Offset            string     `json:"offset" doc:"final awakening, RFC 3339 with the local offset"`
	TimeInBedMin      float64    `json:"time_in_bed_minutes"`
	TotalSleepMin     float64    `json:"total_sleep_time_minutes"`
	OnsetLatencyMin   *float64   `json:"sleep_onset_latency_minutes"`
	WakeAfterOnsetMin float64    `json:"wake_after_sleep_onset_minutes"`
	EfficiencyPercent float64    `json:"sleep_efficiency_percent"`
	Awakenings        int        `json:"awakenings"`
	MidpointMin       float64    `json:"midpoint_minutes" doc:"middle of onset and offset, minutes after local midnight, −720 to 720"`
	DeepMin           *float64   `json:"deep_minutes"`
	RemMin            *float64   `json:"rem_minutes"`
	CoreMin           *float64   `json:"core_minutes"`
	Source            string     `json:"source" enum:"stages,counts"`
}

// A DaySummary is one local day's totals.
type DaySummary struct {
	Day              health.Day `json:"day"`
	Minutes          int        `json:"minutes" doc:"1440, or 1380 or 1500 where the clock changed"`
	WornMinutes      int        `json:"worn_minutes"`
	Valid            bool       `json:"valid" doc:"enough worn minutes to count"`
	Steps            *float64   `json:"steps"`
	ActiveEnergyKcal *float64   `json:"active_energy_kcal"`
	TotalActivity    *float64   `json:"total_activity" doc:"sum of the epochs"`
	RestingHeartRate *float64   `json:"resting_heart_rate_bpm"`
}

// A ModelSummary is what the configured model version says of the window. The embedding
// itself stays in the platform.
type ModelSummary struct {
	Version       string               `json:"version" doc:"digest of the model version"`
	Name          string               `json:"name"`
	Preprocessing string               `json:"preprocessing"`
	Scaling       string               `json:"scaling" enum:"record,cohort" doc:"whose spread the input was standardised by: the record's own, or a cohort's"`
	InputKind     actigraphy.InputKind `json:"input_kind" enum:"counts,energy,steps,none" doc:"what the model was given; energy and steps are proxies for counts"`
	Label         string               `json:"label" doc:"must be shown beside whatever is shown of the model"`
	WornMinutes   int                  `json:"worn_minutes" doc:"minutes that the model took as measured and worn"`
	Distance      *float64             `json:"distance_from_own_weeks" doc:"1 − cosine between this week's embedding and the mean of the person's own earlier weeks': 0 is alike, 2 the opposite; four decimals"`
	Weeks         []EarlierWeek        `json:"own_weeks" doc:"the earlier weeks compared with: of those that end 7, 14, 21 and 28 days before, the ones with an embedding of the same version and input kind"`
}

// An EarlierWeek is a window that a Result was compared with.
type EarlierWeek struct {
	End    health.Day `json:"end" doc:"last local day"`
	Digest string     `json:"input_digest" doc:"SHA-256 of what it was made of"`
}

// Insufficient explains one null: which data was missing.
type Insufficient struct {
	Metric string `json:"metric" doc:"family.name"`
	Reason string `json:"reason" doc:"stable code, e.g. too_few_valid_days, no_samples, no_variance"`
	Detail string `json:"detail" doc:"what was found and what is needed"`
}

// Lineage names everything that determined a Result.
type Lineage struct {
	InputDigest string        `json:"input_digest" doc:"SHA-256 over the window and, of each of its days, the digest of the samples that the numbers are made of"`
	Pipeline    string        `json:"pipeline" doc:"version of the analysis code"`
	Model       string        `json:"model" doc:"digest of the model version, or none"`
	Chunks      []ChunkOrigin `json:"chunks"`
}

// A ChunkOrigin is one day of input.
type ChunkOrigin struct {
	Day health.Day `json:"day"`
	// Digest is what Measured is: nothing else of the day determines a Result, so that
	// nothing else shows in it. Of a release before it is of all samples.
	Digest string `json:"digest" doc:"what measured is; of a release before, the digest of all samples of the day"`
	// Measured is of the samples that the numbers are made of.
	Measured string `json:"measured,omitempty" doc:"digest of the samples that the numbers are made of; absent where a release before wrote the day"`
}

// Basis is what the numbers rest on of the day: a day with another digest and this
// one gives the same.
func (c ChunkOrigin) Basis() string { return cmp.Or(c.Measured, c.Digest) }

// An Insight is a Result in words, every number checked against the facts.
type Insight struct {
	Window      Window   `json:"window"`
	Sentences   []Claim  `json:"sentences"`
	Facts       []Fact   `json:"facts"`
	Writer      string   `json:"writer" doc:"template, or the language model and the version of its prompt"`
	Grounded    bool     `json:"grounded" doc:"always true: an ungrounded text is replaced by the template's"`
	FellBack    string   `json:"fell_back,omitempty" doc:"why the template wrote instead of the model"`
	InputDigest string   `json:"input_digest" doc:"the Result that the facts are from"`
	Disclaimers []string `json:"disclaimers"`
}

// A Claim is one sentence and the facts its numbers come from.
type Claim struct {
	Text  string   `json:"text"`
	Facts []string `json:"facts" doc:"ids of the facts cited"`
}

// A Fact is one number of a Result, ready to be said.
type Fact struct {
	ID    string  `json:"id" doc:"family.metric"`
	Label string  `json:"label"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Text  string  `json:"text" doc:"the value as it may be written"`
}
