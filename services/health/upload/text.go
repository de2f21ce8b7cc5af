package upload

import (
	"bytes"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape writes the string's content into the sample's arena. It was scanned
// before. Half a surrogate pair becomes U+FFFD; whoever cares asks d.halfPair.
func (d *decoder) unescape(s []byte) []byte {
	from := len(d.arena)
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			d.arena = append(d.arena, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		if c == 'u' {
			r, _ := hex4(s, i)
			i += 4
			if utf16.IsSurrogate(r) {
				var low rune
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					low, _ = hex4(s, i+2)
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			d.arena = utf8.AppendRune(d.arena, r)
			continue
		}
		d.arena = append(d.arena, escaped(c))
	}
	return d.arena[from:len(d.arena):len(d.arena)]
}

func escaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hasControl(s []byte) bool {
	return slices.ContainsFunc(s, func(c byte) bool { return c < ' ' })
}

// A member is one of a metadata object: its name, and its value as it was sent.
type member struct {
	name  []byte
	value []byte
}

// canonical is the JSON object of the members, by rising names, or nothing
// where there are none. It may reorder them.
func (d *decoder) canonical(members []member) []byte {
	if len(members) == 0 {
		return nil
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	out := append(d.canon[:0], '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, m.name)
		out = append(out, ':')
		out = appendCompact(out, m.value)
	}
	d.canon = append(out, '}')
	return d.canon
}

func appendQuoted(out, s []byte) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	if !slices.ContainsFunc(s, func(c byte) bool { return c < ' ' || c == '"' || c == '\\' }) {
		out = append(out, s...)
		return append(out, '"')
	}
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < ' ':
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}

// appendCompact copies JSON without the white space between its tokens.
func appendCompact(out, value []byte) []byte {
	if value[0] != '{' && value[0] != '[' {
		return append(out, value...)
	}
	quoted := false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c <= ' ':
			continue
		}
		out = append(out, value[i])
	}
	return out
}
