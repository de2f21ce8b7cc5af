// Package series is the vocabulary of samples that are many points: the route of
// a workout, the beats of a heartbeat series, the voltages of an electrocardiogram.
//
// In HealthKit each is a sample with a uuid of its own, and so it is here: it
// lies in its day, is merged, deleted and counted like any other. Only its points
// lie in an object of their own, as they were sent: the sample's Raw is a Summary,
// which says how many they are and what their digest is. A Summary has no uuid, and
// every Raw that a phone sent has one: neither can be taken for the other.
package series

import (
	"encoding/json"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
)

// Schema is the version of an upload of series: the envelope of samples, with a
// list of series in place of theirs.
const Schema = "clarity.series/1"

// MaxPoints is the most points of one series: a day's route at two a second.
const MaxPoints = 200_000

// The types of series whose points are judged. One of another type is kept as it
// was sent.
const (
	WorkoutRoute      = "HKWorkoutRouteTypeIdentifier"          // locations, of a workout
	Heartbeats        = "HKDataTypeIdentifierHeartbeatSeries"   // beats
	Electrocardiogram = "HKDataTypeIdentifierElectrocardiogram" // voltages, a lead each
)

// Types are all of them.
func Types() []string { return []string{WorkoutRoute, Heartbeats, Electrocardiogram} }

// A Summary is what a day knows of the points of a series.
type Summary struct {
	// Parent is the uuid of the sample that the series is of, a route's workout, or
	// "". Who deletes that deletes the series. It is of one sample, ever: versions of
	// one series that say different parents are not told apart by what is deleted.
	Parent string `json:"parent,omitempty"`
	Points int    `json:"points"`
	// Digest is the hexadecimal SHA-256 of the series as compact JSON.
	Digest string `json:"digest"`
}

// The frame of a Summary as a Raw.
const begins, ends = `{"series":`, `}`

// Raw is the Summary as a sample keeps it.
func (s Summary) Raw() string {
	text, err := json.Marshal(s)
	if err != nil {
		return "" // two strings and a number are JSON
	}
	return begins + string(text) + ends
}

// Of is the Summary of a sample that is a series.
func Of(s *health.Sample) (summary Summary, ok bool) {
	text, ok := strings.CutPrefix(s.Raw, begins)
	if !ok {
		return Summary{}, false
	}
	if text, ok = strings.CutSuffix(text, ends); !ok {
		return Summary{}, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&summary) != nil || d.InputOffset() != int64(len(text)) || summary.Raw() != s.Raw {
		return Summary{}, false
	}
	return summary, true
}

// ParentOf is the uuid of the sample that a series is of; ok is false where the
// sample is no series, or one that is of none.
func ParentOf(s *health.Sample) (parent health.UUID, ok bool) {
	if len(s.Raw) <= len(begins) || s.Raw[:len(begins)] != begins {
		return health.UUID{}, false
	}
	summary, ok := Of(s)
	if !ok || summary.Parent == "" {
		return health.UUID{}, false
	}
	parent, err := health.ParseUUID(summary.Parent)
	return parent, err == nil
}
