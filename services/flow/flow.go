// Package flow is what travels between the stages: the topics, who reads them,
// and the messages on them. A message refers to what is stored, it does not
// contain it.
package flow

import (
	"strings"

	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/health"
)

// The topics, in the order of the flow.
const (
	TopicUploads  = "uploads"  // UploadReceived: ingress → worker/intake
	TopicHistory  = "history"  // UploadReceived of a person's past: a lane behind that of uploads
	TopicAnalyses = "analyses" // WindowsDue: agenda → worker/analyse
	TopicResults  = "results"  // ResultsReady: worker/analyse → insights, and feed where it is of a release before
	TopicEvents   = "events"   // Told: insights and exports → feed
)

// Topics are all of them, in the order of the flow.
func Topics() []string {
	return []string{TopicUploads, TopicHistory, TopicAnalyses, TopicResults, exporting.Topic, TopicEvents, hooking.Topic, waking.Topic}
}

// The consumers: each is a subscription of the topics that Consumers lists it at.
const (
	Intake   = "intake"   // merges uploads into days
	Analyse  = "analyse"  // computes windows
	Insights = "insights" // puts Results into words
	Feed     = "feed"     // records what a person's devices are told
)

// Consumers is who reads each topic. A message published to a topic is kept for
// each of its consumers apart, so that a new one is a row here and a stage, and
// no publisher learns of it.
func Consumers() map[string][]string {
	return map[string][]string{
		TopicUploads:    {Intake},
		TopicHistory:    {Intake},
		TopicAnalyses:   {Analyse},
		TopicResults:    {Insights, Feed},
		exporting.Topic: {exporting.Consumer},
		TopicEvents:     {Feed},
		hooking.Topic:   {hooking.Consumer},
		waking.Topic:    {waking.Consumer},
	}
}

// UploadReceived says that a durable upload waits to be merged. Its queue key is the uid.
type UploadReceived struct {
	UID      string `json:"uid"`
	UploadID string `json:"uploadId"`
}

// Topic is the one it is published to.
func (UploadReceived) Topic(historical bool) string {
	if historical {
		return TopicHistory
	}
	return TopicUploads
}

// WindowsDue says that some of a person's windows are due to be analysed: which
// they are, the agenda knows. Its queue key is the uid.
type WindowsDue struct {
	UID string `json:"uid"`
	// Asked is how often it was said of the same windows.
	Asked int `json:"asked"`
	// End is of the messages of the releases before, of which each asked for one
	// window.
	End *health.Day `json:"end,omitempty"`
}

// ResultsReady says that Results of a person are stored anew, or withdrawn. Its
// queue key is the uid.
type ResultsReady struct {
	UID     string    `json:"uid"`
	Results []Changed `json:"results,omitempty"`
	// WithWords says that whoever puts the Results into words tells the devices of them,
	// too. Of the messages of the releases before feed does.
	WithWords bool `json:"withWords,omitempty"`
	// End is a window whose Insight is to be looked at, though there is nothing to tell
	// of its Result; so was every message of the releases before.
	End *health.Day `json:"end,omitempty"`
}

// Changed is a window whose Result is another.
type Changed struct {
	End health.Day `json:"end"`
	// Version tells the Result from the former; "" where there is none any more.
	Version string `json:"version,omitempty"`
	// Change is that of its Event.
	Change int64 `json:"change,omitempty"`
}

// Ends are the last days of the windows.
func (r ResultsReady) Ends() (ends []health.Day) {
	if r.End != nil {
		ends = append(ends, *r.End)
	}
	for _, c := range r.Results {
		ends = append(ends, c.End)
	}
	return ends
}

// Told is what the person's devices are told of it.
func (r ResultsReady) Told() Told {
	t := Told{Event: Event{UID: r.UID}}
	for _, c := range r.Results {
		e := Event{Kind: ResultStored, Ref: c.End.String(), Version: c.Version, Change: c.Change}
		if c.Version == "" {
			e.Kind, e.Version = ResultWithdrawn, "withdrawn"
		}
		t.Events = append(t.Events, e)
	}
	return t
}

// Told is what there is to tell a person's devices, in order: an Event, or several
// of the person that Event names. Its queue key is the uid.
type Told struct {
	Event
	Events []Event `json:"events,omitempty"`
}

// All are the events.
func (t Told) All() []Event {
	if t.Kind != "" {
		return append([]Event{t.Event}, t.Events...)
	}
	return t.Events
}

// An Event is one thing to tell a person's devices. It refers, it does not contain.
type Event struct {
	UID  string    `json:"uid,omitempty"` // "" where it is one of several
	Kind EventKind `json:"kind,omitempty"`
	// Ref is the upload id, the window's last day, or the export id.
	Ref string `json:"ref,omitempty"`
	// Version tells one state of Ref from the next.
	Version string `json:"version,omitempty"`
	// Change is the version of the record that was written, or removed; 0 where it is not
	// known. A message may come late, when more was done, and Ref may come to a Version
	// again: a Change that was told of is not recorded again. Without one, an event that
	// repeats the last one of its Ref is not.
	Change int64 `json:"change,omitempty"`
}

// An EventKind is the event name on the wire.
type EventKind string

// The events a device can receive, beside those of package exporting.
const (
	UploadMerged     EventKind = "upload.merged"
	UploadFailed     EventKind = "upload.failed" // it will never be merged
	UploadHeld       EventKind = "upload.held"   // it waits for consent
	ResultStored     EventKind = "result.stored"
	ResultWithdrawn  EventKind = "result.withdrawn" // its samples were deleted
	InsightReady     EventKind = "insight.ready"
	InsightWithdrawn EventKind = "insight.withdrawn" // with its result
)

// Known says whether a kind is one of these or an export's.
func (k EventKind) Known() bool {
	switch k {
	case UploadMerged, UploadFailed, UploadHeld, ResultStored, ResultWithdrawn, InsightReady, InsightWithdrawn, exporting.Ready, exporting.Failed:
		return true
	}
	return false
}

// Ends says whether a kind tells that what it is of is gone.
func (k EventKind) Ends() bool { return k == ResultWithdrawn || k == InsightWithdrawn }

// Of is what a kind is of: what happens to an upload is one story, in turn.
func (k EventKind) Of() string {
	what, _, _ := strings.Cut(string(k), ".")
	return what
}
