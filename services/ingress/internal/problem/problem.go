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

// A Problem is one refusal, as the client sees it.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type   string  `json:"type" format:"uri" doc:"identifies the kind of problem: urn:clarityloop:problem: and the code"`
	Title  string  `json:"title" doc:"the status in words; the same for every occurrence"`
	Status int     `json:"status" minimum:"400" maximum:"599" doc:"the HTTP status"`
	Code   string  `json:"code" doc:"stable reason to switch on"`
	Detail string  `json:"detail" doc:"what was wrong this time, for a person; never quotes what was sent"`
	Limit  *Limit  `json:"limit,omitempty" doc:"the bound that was passed, where one was"`
	Errors []Field `json:"errors,omitempty" doc:"which parts of the request were wrong" nullable:"false"`

	headers http.Header
}

// A Limit is a bound that a request passed.
type Limit struct {
	What string `json:"what" enum:"samples,inflated_bytes,body_bytes,ratio,depth,requests,streams,insights,exports,document_bytes,webhooks,devices" doc:"what is bounded"`
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
		Type:   "urn:clarityloop:problem:" + code.Reason(),
		Title:  http.StatusText(status),
		Status: status,
		Code:   code.Reason(),
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
