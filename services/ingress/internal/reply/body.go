package reply

import "github.com/danielgtaylor/huma/v2"

// NDJSON is the media type of replies of a line a record.
const NDJSON = "application/x-ndjson"

// A BodyOutput is a reply that is written by hand.
type BodyOutput struct {
	Body func(huma.Context)
}
