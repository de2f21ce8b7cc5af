// Package spent is what is kept of what a person has used up of what is bounded a day.
package spent

// Key is where a person's record lies, of which there is one.
const Key = "day"

// A Day is what a person has used up on one UTC day; on another, nothing of it counts.
type Day struct {
	Day      int64 `json:"day"`      // since 1970
	Insights int   `json:"insights"` // on demand
	// Texts are those that a language model was asked for as the data changed.
	Texts int `json:"texts,omitempty"`
}
