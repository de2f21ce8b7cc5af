// Package problem is the ingress's vocabulary of failure: a stable code, the
// status it stands for, and its rendering as application/problem+json (RFC
// 9457). A problem never quotes what the client sent.
package problem

import (
	"encoding/json"
	"net/http"
)

// ContentType is the media type of every error body.
const ContentType = "application/problem+json"

// A Code is a stable, machine-readable reason. Clients switch on it.
type Code string

// The codes.
const (
	BadRequest           Code = "bad_request"
	MalformedJSON        Code = "malformed_json"
	MalformedEncoding    Code = "malformed_encoding"
	Unauthenticated      Code = "unauthenticated"
	Forbidden            Code = "forbidden"
	ConsentRequired      Code = "consent_required"
	NotFound             Code = "not_found"
	MethodNotAllowed     Code = "method_not_allowed"
	RequestTimeout       Code = "request_timeout"
	UploadConflict       Code = "upload_conflict"
	VersionConflict      Code = "version_conflict"
	AccountErased        Code = "account_erased"
	PreconditionFailed   Code = "precondition_failed"
	TooLarge             Code = "too_large"
	UnsupportedMediaType Code = "unsupported_media_type"
	UnsupportedEncoding  Code = "unsupported_encoding"
	InvalidRequest       Code = "invalid_request"
	InvalidEnvelope      Code = "invalid_envelope"
	UnsupportedSchema    Code = "unsupported_schema"
	TooDeep              Code = "too_deep"
	PreconditionRequired Code = "precondition_required"
	TooManyRequests      Code = "too_many_requests"
	BudgetSpent          Code = "budget_spent"
	HeadersTooLarge      Code = "headers_too_large"
	Internal             Code = "internal_error"
	Unavailable          Code = "unavailable"
)

// Codes lists every code, for the documentation and its test.
func Codes() []Code {
	return []Code{BadRequest, MalformedJSON, MalformedEncoding, Unauthenticated, Forbidden, ConsentRequired, NotFound,
		MethodNotAllowed, RequestTimeout, UploadConflict, VersionConflict, AccountErased, PreconditionFailed, TooLarge,
		UnsupportedMediaType, UnsupportedEncoding, InvalidRequest, InvalidEnvelope, UnsupportedSchema, TooDeep,
		PreconditionRequired, TooManyRequests, BudgetSpent, HeadersTooLarge, Internal, Unavailable}
}

// Status is the HTTP status that the code stands for.
func (c Code) Status() int {
	switch c {
	case BadRequest, MalformedJSON, MalformedEncoding:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Forbidden, ConsentRequired:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case RequestTimeout:
		return http.StatusRequestTimeout
	case UploadConflict, VersionConflict:
		return http.StatusConflict
	case AccountErased:
		return http.StatusGone
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case UnsupportedMediaType, UnsupportedEncoding:
		return http.StatusUnsupportedMediaType
	case InvalidRequest, InvalidEnvelope, UnsupportedSchema, TooDeep:
		return http.StatusUnprocessableEntity
	case PreconditionRequired:
		return http.StatusPreconditionRequired
	case TooManyRequests, BudgetSpent:
		return http.StatusTooManyRequests
	case HeadersTooLarge:
		return http.StatusRequestHeaderFieldsTooLarge
	case Unavailable:
		return http.StatusServiceUnavailable
	case Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusInternalServerError
	}
}

// A Problem is one refusal, as the client sees it.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type   string  `json:"type" format:"uri" doc:"identifies the kind of problem: urn:clarityloop:problem: and the code"`
	Title  string  `json:"title" doc:"the status in words; the same for every occurrence"`
	Status int     `json:"status" minimum:"400" maximum:"599" doc:"the HTTP status"`
	Code   Code    `json:"code" doc:"stable reason to switch on"`
	Detail string  `json:"detail" doc:"what was wrong this time, for a person; never quotes what was sent"`
	Limit  *Limit  `json:"limit,omitempty" doc:"the bound that was passed, where one was"`
	Errors []Field `json:"errors,omitempty" doc:"which parts of the request were wrong" nullable:"false"`

	headers http.Header
}

// A Limit is a bound that a request passed.
type Limit struct {
	What string `json:"what" enum:"samples,inflated_bytes,body_bytes,ratio,depth,requests,streams,insights" doc:"what is bounded"`
	Max  int64  `json:"max" doc:"the most that is accepted"`
}

// A Field is one wrong part of a request.
type Field struct {
	Location string `json:"location" doc:"where: body.member, query.name, path.name, header.name, or a JSON pointer into an upload"`
	Detail   string `json:"detail" doc:"what is expected there"`
}

// New is a problem with the code and, for a person, the detail.
func New(code Code, detail string) *Problem {
	status := code.Status()
	return &Problem{
		Type:   "urn:clarityloop:problem:" + string(code),
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Detail: detail,
	}
}

// OverLimit is a problem that says which bound was passed.
func OverLimit(code Code, detail, what string, most int64) *Problem {
	p := New(code, detail)
	p.Limit = &Limit{What: what, Max: most}
	return p
}

// With adds a header to the reply.
func (p *Problem) With(name, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
	return p
}

// At adds a wrong part.
func (p *Problem) At(location, detail string) *Problem {
	p.Errors = append(p.Errors, Field{Location: location, Detail: detail})
	return p
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status; with GetHeaders and ContentType it is how huma reads a problem.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are the reply's further headers.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType is always the package's.
func (p *Problem) ContentType(string) string { return ContentType }

// JSON renders the problem.
func (p *Problem) JSON() []byte {
	body, err := json.Marshal(p)
	if err != nil { // strings and integers alone: cannot happen
		return []byte(`{"type":"urn:clarityloop:problem:internal_error","title":"Internal Server Error","status":500,"code":"internal_error","detail":""}`)
	}
	return body
}
