// Package told is what a person tells of themselves, as it comes in a body.
package told

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
)

// A Prefix is how a source's product type may begin.
type Prefix string

// most is how many characters it may have.
const most = 200

// Schema is that of a prefix.
func (Prefix) Schema(huma.Registry) *huma.Schema {
	shortest, longest := 1, most
	s := &huma.Schema{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest, Description: "no control characters, and no half of a surrogate pair"}
	s.PrecomputeMessages()
	return s
}

// Prefixes are those at a place of a body, which are text.
func Prefixes(at string, of []Prefix) (all []string, err error) {
	for i, p := range of {
		if strings.ContainsFunc(string(p), func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) || strings.TrimSpace(string(p)) == "" {
			return nil, reply.Invalid(fmt.Sprintf("%s[%d]", at, i), "expected 1 to 200 characters, none of them a control character or half of a surrogate pair")
		}
		all = append(all, string(p))
	}
	return all, nil
}

// Zone is the name of the one at a place of a body; there need be none.
func Zone(at, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	zone, err := health.LoadZone(name)
	if err != nil {
		return "", reply.Invalid(at, "expected an IANA time zone, or GMT and an offset")
	}
	return zone.String(), nil
}
