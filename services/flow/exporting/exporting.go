// Package exporting is what travels between the stages about exports.
package exporting

// The topic and its consumer.
const (
	Topic    = "exports" // Due: agenda → exports
	Consumer = "exports" // writes and removes exports
)

// The kinds of events, as a device is told them.
const (
	Ready  = "export.ready"
	Failed = "export.failed" // it will not be ready
)

// Due says that an export is to be written, told of, or removed: which, its record
// says. Its queue key is the uid.
type Due struct {
	UID      string `json:"uid"`
	ExportID string `json:"exportId"`
}
