package problem

import (
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
)

func TestEveryCodeHasAStatus(t *testing.T) {
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] {
			t.Errorf("%s is listed twice", c)
		}
		seen[c] = true
		if c.Status() < 400 || http.StatusText(c.Status()) == "" || c.Status() == 500 && c != Internal {
			t.Errorf("%s stands for %d", c, c.Status())
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
			if got.Code != tt.code || strings.Contains(string(got.JSON()), canary) {
				t.Errorf("%s", got.JSON())
			}
			if diff := cmp.Diff(tt.want, got.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
