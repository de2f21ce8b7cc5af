// Package jsontext writes and reads the bits of JSON that the formats share:
// what they keep of a record that the upload contract has no member for.
package jsontext

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/services/health"
)

// AppendString adds s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(dst, '"')
}

// A Member is a name and its value as JSON.
type Member struct {
	Name string
	JSON string
}

// AppendObject adds an object of members, sorted by name; of two members of
// one name the later stays.
func AppendObject(dst []byte, members []Member) []byte {
	sorted := members
	byName := func(a, b Member) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(members, byName) {
		sorted = slices.Clone(members)
		slices.SortStableFunc(sorted, byName)
	}
	dst = append(dst, '{')
	first := true
	for i, m := range sorted {
		if i+1 < len(sorted) && sorted[i+1].Name == m.Name {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = AppendString(dst, m.Name)
		dst = append(dst, ':')
		dst = append(dst, m.JSON...)
	}
	return append(dst, '}')
}

// AppendSource adds the source member's value as the upload contract has it.
func AppendSource(dst []byte, s health.Source) []byte {
	dst = append(dst, '{')
	first := true
	for _, m := range [...][2]string{
		{"bundleId", s.BundleID}, {"name", s.Name}, {"productType", s.ProductType}, {"osVersion", s.OSVersion},
	} {
		if m[1] == "" {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = AppendString(dst, m[0])
		dst = append(dst, ':')
		dst = AppendString(dst, m[1])
	}
	return append(dst, '}')
}

// MetadataValue is the JSON of a metadata value that a format wrote as text.
// HealthKit's own keys held numbers, so a whole number is one again; a key of
// an app stays the text it was.
func MetadataValue(key, text string) string {
	if strings.HasPrefix(key, "HK") && len(text) > 0 && len(text) <= 15 {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
			return text
		}
	}
	return string(AppendString(nil, text))
}

// ParseNumber reads a decimal number; unlike strconv it refuses hexadecimal,
// infinities and NaN in words.
func ParseNumber[T string | []byte](text T) (float64, bool) {
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil
}

// Compact is a JSON value, which must be valid, without its white space. Where
// an object within it names a member twice, the later stays, as in AppendObject:
// the upload contract refuses two.
func Compact(raw []byte) string {
	if repeats(raw) {
		if once, err := decodeOnce(raw); err == nil {
			return once
		}
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return "null"
	}
	return b.String()
}

// repeats reports whether an object within the value names a member twice.
func repeats(raw []byte) bool {
	if bytes.IndexByte(raw, '{') < 0 {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var open []map[string]bool // the names of each object that is open; nil for an array
	name := false              // the next token of the innermost object is a name
	for {
		t, err := d.Token()
		if err != nil {
			return false // the end; or not JSON, which json.Compact tells
		}
		inObject := len(open) > 0 && open[len(open)-1] != nil
		if text, ok := t.(string); ok && inObject && name {
			if open[len(open)-1][text] {
				return true
			}
			open[len(open)-1][text] = true
			name = false
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
		case json.Delim('['):
			open = append(open, nil)
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// decodeOnce writes the value anew from what a decoder keeps of it.
func decodeOnce(raw []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
