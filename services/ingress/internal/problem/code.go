package problem

import "strconv"

// A Code is a stable, machine-readable reason, behind the HTTP status that it
// stands for: "404 not_found". Clients switch on the reason. A reason that one
// room alone gives stands in that room; those of several stand here.
type Code string

// The codes that several rooms give.
const (
	BadRequest           Code = "400 bad_request"
	MalformedJSON        Code = "400 malformed_json"
	Unauthenticated      Code = "401 unauthenticated"
	Forbidden            Code = "403 forbidden"
	ConsentRequired      Code = "403 consent_required"
	NotFound             Code = "404 not_found"
	RequestTimeout       Code = "408 request_timeout"
	VersionConflict      Code = "409 version_conflict"
	AccountErased        Code = "410 account_erased"
	TooLarge             Code = "413 too_large"
	UnsupportedMediaType Code = "415 unsupported_media_type"
	UnsupportedEncoding  Code = "415 unsupported_encoding"
	InvalidRequest       Code = "422 invalid_request"
	TooManyRequests      Code = "429 too_many_requests"
	HeadersTooLarge      Code = "431 headers_too_large"
	Internal             Code = "500 internal_error"
	Unavailable          Code = "503 unavailable"
)

// Status is the HTTP status that the code stands for.
func (c Code) Status() int {
	if len(c) < len("404 x") {
		return 500
	}
	status, err := strconv.Atoi(string(c[:3]))
	if err != nil || c[3] != ' ' {
		return 500
	}
	return status
}

// Reason is what clients switch on.
func (c Code) Reason() string { return string(c[min(len(c), len("404 ")):]) }
