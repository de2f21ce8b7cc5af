package problem

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Described is the response of the code, and of others of its status, as the API's
// description has it, and its name there: "NotFound" for not_found, and so on for several.
func (c Code) Described(others []Code, schema *huma.Schema) (name string, r *huma.Response) {
	codes, status := append([]Code{c}, others...), c.Status()
	var named strings.Builder
	quoted := make([]string, len(codes))
	for i, c := range codes {
		quoted[i] = "`" + c.Reason() + "`"
		for word := range strings.SplitSeq(c.Reason(), "_") {
			named.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return named.String(), &huma.Response{
		Description: http.StatusText(status) + ": " + strings.Join(quoted, ", "),
		Headers:     headersOf(status),
		Content:     map[string]*huma.MediaType{ContentType: {Schema: schema, Example: New(c, "what was wrong this time")}},
	}
}

// headersOf are the headers that every problem of the status has.
func headersOf(status int) map[string]*huma.Header {
	text := &huma.Schema{Type: huma.TypeString}
	switch status {
	case http.StatusUnauthorized:
		return map[string]*huma.Header{"WWW-Authenticate": {Description: "how to authenticate", Schema: text}}
	case http.StatusTooManyRequests:
		return map[string]*huma.Header{
			"Retry-After":      {Description: "seconds to wait", Schema: text},
			"RateLimit":        {Description: "what is left, and until when (draft-ietf-httpapi-ratelimit-headers)", Schema: text},
			"RateLimit-Policy": {Description: "the rule", Schema: text},
		}
	case http.StatusServiceUnavailable:
		return map[string]*huma.Header{"Retry-After": {Description: "seconds to wait", Schema: text}}
	}
	return nil
}
