package problem

import (
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

func TestACodeIsAStatusAndAReason(t *testing.T) {
	tests := map[Code]struct {
		status int
		reason string
	}{
		NotFound:         {404, "not_found"},
		Internal:         {500, "internal_error"},
		"418 short":      {418, "short"},
		"x04 not_a_code": {500, "not_a_code"},
		"404_not_a_code": {500, "not_a_code"},
		"404 ":           {500, ""},
		"4":              {500, ""},
		"":               {500, ""},
	}
	for code, want := range tests {
		if code.Status() != want.status || code.Reason() != want.reason {
			t.Errorf("%q is %d and %q, want %d and %q", code, code.Status(), code.Reason(), want.status, want.reason)
		}
	}
}

// What huma echoes, the client's values and member names, is dropped.
func TestFromValidationQuotesNothing(t *testing.T) {
	const canary = "CANARY"
	tests := map[string]struct {
		found *huma.ErrorModel
		code  Code
		want  []Field
	}{
		"a value of another type": {
			&huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{{Location: "body.granted", Message: "expected boolean", Value: canary}}},
			InvalidRequest, []Field{{"body.granted", "expected boolean"}},
		},
		"a member that is unknown": {
			&huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{{Location: "body." + canary, Message: "unexpected property", Value: canary}}},
			InvalidRequest, []Field{{"body", "unexpected property"}},
		},
		"a query parameter that is unknown": {
			&huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{{Location: "query." + canary, Message: "unknown query parameter"}}},
			InvalidRequest, []Field{{"query", "unknown query parameter"}},
		},
		"a message that quotes": {
			&huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{{Location: "path.x", Message: "expected string to be RFC 4122 uuid: invalid " + canary}, {Location: "body", Message: canary + " is odd"}}},
			InvalidRequest, []Field{{"path.x", "expected string to be RFC 4122 uuid"}, {"body", "has another form than the schema says"}},
		},
		"a body that is no JSON": {
			&huma.ErrorModel{Status: 400, Errors: []*huma.ErrorDetail{{Location: "body", Message: "invalid character " + canary, Value: canary}}},
			MalformedJSON, nil,
		},
		"a body that could not be read": {&huma.ErrorModel{Status: 500, Detail: canary}, Internal, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := FromValidation(tt.found)
			if got.Code != tt.code.Reason() || got.Status != tt.code.Status() || strings.Contains(string(got.JSON()), canary) {
				t.Errorf("%s", got.JSON())
			}
			if diff := cmp.Diff(tt.want, got.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromValidationKeepsTheCodeOfTheStatus(t *testing.T) {
	for status, want := range map[int]Code{400: MalformedJSON, 408: RequestTimeout, 413: TooLarge, 415: UnsupportedMediaType, 422: InvalidRequest, 500: Internal, 418: Internal} {
		if got := FromValidation(&huma.ErrorModel{Status: status}); got.Code != want.Reason() || got.Status != want.Status() {
			t.Errorf("%d: %d %s, want %s", status, got.Status, got.Code, want)
		}
	}
	if got := FromValidation(&huma.ErrorModel{Status: 400}); got.Detail != "the body is not one JSON object without duplicate members" {
		t.Errorf("malformed JSON: %q", got.Detail)
	}
	many := &huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{nil}}
	for range 30 {
		many.Errors = append(many.Errors, &huma.ErrorDetail{Location: "body.a", Message: "expected number"})
	}
	if got := FromValidation(many); len(got.Errors) != 20 {
		t.Errorf("%d parts are told, want 20", len(got.Errors))
	}
}

func TestFromValidationKeepsWhatIsSafe(t *testing.T) {
	for message, want := range map[string]string{
		"expected string to be one of: a, b": "expected string to be one of: a, b",
		"expected string to be RFC 3339":     "expected string to be RFC 3339",
		"required property: \"x\"":           "required property: \"x\"",
		"invalid integer":                    "invalid integer",
		"invalid boolean":                    "invalid boolean",
		"is odd":                             "has another form than the schema says",
	} {
		got := FromValidation(&huma.ErrorModel{Status: 422, Errors: []*huma.ErrorDetail{{Location: "query.a.b", Message: message}}})
		if diff := cmp.Diff([]Field{{"query.a.b", want}}, got.Errors); diff != "" {
			t.Errorf("%s (-want +got):\n%s", message, diff)
		}
	}
}

func TestAProblemAsItIsSent(t *testing.T) {
	p := OverLimit(TooLarge, "too many", "samples", 10).At("body.samples", "fewer").With("Retry-After", "1").With("X-A", "b")
	want := `{"type":"urn:clarityloop:problem:too_large","title":"Request Entity Too Large","status":413,"code":"too_large","detail":"too many",` +
		`"limit":{"what":"samples","max":10},"errors":[{"location":"body.samples","detail":"fewer"}]}`
	if diff := cmp.Diff(want, string(p.JSON())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.GetStatus() != 413 || p.Error() != "too many" || p.GetHeaders().Get("Retry-After") != "1" || p.GetHeaders().Get("X-A") != "b" || p.ContentType("") != ContentType {
		t.Errorf("%d %q %v %s", p.GetStatus(), p.Error(), p.GetHeaders(), p.ContentType(""))
	}
}
