package problem

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// FromValidation turns what huma found wrong with a request into a problem. It
// keeps the places and the expectations and drops every value and every name
// that the client made up: huma echoes those.
func FromValidation(m *huma.ErrorModel) *Problem {
	code := codeOf(m)
	p := New(code, "the request is not what the operation accepts")
	if code == MalformedJSON {
		p.Detail = "the body is not one JSON object without duplicate members"
		return p
	}
	for _, e := range m.Errors {
		if e == nil {
			continue
		}
		if len(p.Errors) == 20 {
			break
		}
		p = p.At(place(e), expectation(e.Message))
	}
	return p
}

func codeOf(m *huma.ErrorModel) Code {
	switch m.Status {
	case http.StatusBadRequest:
		return MalformedJSON
	case http.StatusRequestTimeout:
		return RequestTimeout
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusUnsupportedMediaType:
		return UnsupportedMediaType
	case http.StatusUnprocessableEntity:
		return InvalidRequest
	default:
		return Internal
	}
}

// place is the location without a name that only the client knows.
func place(e *huma.ErrorDetail) string {
	if strings.HasPrefix(e.Message, "unexpected") || strings.HasPrefix(e.Message, "unknown") {
		first, _, _ := strings.Cut(e.Location, ".")
		return first
	}
	return e.Location
}

// expectation is huma's message, where it speaks of the schema alone.
func expectation(message string) string {
	for _, safe := range []string{"expected ", "required ", "unexpected property", "unknown query parameter", "invalid integer", "invalid boolean"} {
		if strings.HasPrefix(message, safe) {
			if head, _, has := strings.Cut(message, ": "); has && strings.HasPrefix(message, "expected string to be RFC") {
				return head // what follows quotes the value
			}
			return message
		}
	}
	return "has another form than the schema says"
}
