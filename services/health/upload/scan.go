package upload

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/services/health/reject"
)

// The scanner: functions take the place to read at and return the place behind
// what they read, or a negative number when d.err says why not. They accept
// exactly the JSON of RFC 8259 in valid UTF-8, nested at most MaxDepth deep.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks the bytes of x that a string cannot hold as they are, or that
// need a closer look: quote, backslash, control characters, beyond ASCII. The
// lowest mark is exact.
func special(x uint64) uint64 {
	quote, slash := x^('"'*ones), x^('\\'*ones)
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-' '*ones)&^x | x) & highs
}

func (d *decoder) space(i int) int {
	for i < len(d.data) && d.data[i] <= ' ' {
		if c := d.data[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			break
		}
		i++
	}
	return i
}

// text scans a string; i is behind its opening quote. The content lies between
// i and end-1, with escapes in it where escaped says so.
func (d *decoder) text(i int) (end int, escaped bool) {
	data := d.data
	for j := i; j+8 <= len(data); j += 8 {
		if m := special(binary.LittleEndian.Uint64(data[j:])); m != 0 {
			j += bits.TrailingZeros64(m) >> 3
			if data[j] == '"' {
				return j + 1, false
			}
			return d.textSlow(i, j)
		}
	}
	return d.textSlow(i, i)
}

// textSlow goes on at j, byte by byte.
func (d *decoder) textSlow(i, j int) (end int, escaped bool) {
	data, ascii := d.data, true
	for j < len(data) {
		switch c := data[j]; {
		case c == '"':
			if !ascii && !utf8.Valid(data[i:j]) {
				return d.malformed(i, "a string is not valid UTF-8"), false
			}
			return j + 1, escaped
		case c == '\\':
			escaped = true
			if j = d.escape(j + 1); j < 0 {
				return j, false
			}
		case c < ' ':
			return d.malformed(j, "a string holds a control character that is not escaped"), false
		default:
			ascii = ascii && c < utf8.RuneSelf
			j++
		}
	}
	return d.malformed(j, "the body ends within a string"), false
}

// escape scans what follows a backslash.
func (d *decoder) escape(j int) int {
	if j >= len(d.data) {
		return d.malformed(j, "the body ends within a string")
	}
	switch d.data[j] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return j + 1
	case 'u':
		r, ok := hex4(d.data, j+1)
		if !ok {
			return d.malformed(j, "a \\u escape has not four hexadecimal digits")
		}
		j += 5
		if r < 0xd800 || r > 0xdfff {
			return j
		}
		if r < 0xdc00 && j+6 <= len(d.data) && d.data[j] == '\\' && d.data[j+1] == 'u' {
			if low, ok := hex4(d.data, j+2); ok && low >= 0xdc00 && low <= 0xdfff {
				return j + 6
			}
		}
		d.halfPair = true
		return j
	}
	return d.malformed(j, "a string has an escape that JSON does not know")
}

func hex4(data []byte, i int) (rune, bool) {
	if i+4 > len(data) {
		return 0, false
	}
	a, b, c, e := hexDigit[data[i]], hexDigit[data[i+1]], hexDigit[data[i+2]], hexDigit[data[i+3]]
	return rune(a)<<12 | rune(b)<<8 | rune(c)<<4 | rune(e), a|b|c|e < 16
}

// name scans a member's name and the colon, up to the value. A name too long for
// any object that is kept stays as it was sent.
func (d *decoder) name(i int) (name []byte, value int) {
	name, escaped, value := d.rawName(i)
	if escaped && len(name) <= maxRawBytes {
		name = d.unescape(name)
	}
	return name, value
}

func (d *decoder) rawName(i int) (name []byte, escaped bool, value int) {
	if i >= len(d.data) || d.data[i] != '"' {
		return nil, false, d.unexpected(i, "a member's name")
	}
	end, escaped := d.text(i + 1)
	if end < 0 {
		return nil, false, end
	}
	name = d.data[i+1 : end-1]
	if end >= len(d.data) || d.data[end] != ':' {
		if end = d.space(end); end >= len(d.data) || d.data[end] != ':' {
			return nil, false, d.unexpected(end, "a colon")
		}
	}
	return name, escaped, d.space(end + 1)
}

// first is where an object's or array's first entry begins; i is behind the
// bracket. more is false, and the place behind closing, where there is none.
func (d *decoder) first(i int, closing byte) (next int, more bool) {
	i = d.space(i)
	if i < len(d.data) && d.data[i] == closing {
		return i + 1, false
	}
	return i, true
}

// next goes from behind an entry to the following one.
func (d *decoder) next(i int, closing byte) (next int, more bool) {
	if i = d.space(i); i < len(d.data) {
		switch d.data[i] {
		case ',':
			return d.space(i + 1), true
		case closing:
			return i + 1, false
		}
	}
	return d.unexpected(i, "a comma or the end of the list"), false
}

// value scans any value; depth is how deep it would be if it were nested.
// Where d.strict says so it also looks for repeated names and for numbers
// beyond float64, and notes what it finds as a rejection.
func (d *decoder) value(i, depth int) int {
	if i >= len(d.data) {
		return d.unexpected(i, "a value")
	}
	switch c := d.data[i]; c {
	case '"':
		end, _ := d.text(i + 1)
		return end
	case '{':
		return d.object(i+1, depth)
	case '[':
		return d.array(i+1, depth)
	case 't':
		return d.literal(i, "true")
	case 'f':
		return d.literal(i, "false")
	case 'n':
		return d.literal(i, "null")
	}
	end := d.number(i)
	if end > 0 && d.strict && !finite(d.data[i:end]) {
		d.reject(reject.InvalidNumber, "a number is beyond the range of float64")
	}
	return end
}

func (d *decoder) literal(i int, word string) int {
	if i+len(word) > len(d.data) || string(d.data[i:i+len(word)]) != word {
		return d.unexpected(i, "a value")
	}
	return i + len(word)
}

func (d *decoder) array(i, depth int) int {
	if depth > MaxDepth {
		return d.tooDeep(i)
	}
	i, more := d.first(i, ']')
	for more {
		if i = d.value(i, depth+1); i < 0 {
			return i
		}
		i, more = d.next(i, ']')
	}
	return i
}

func (d *decoder) object(i, depth int) int {
	if depth > MaxDepth {
		return d.tooDeep(i)
	}
	outer := len(d.names)
	i, more := d.first(i, '}')
	for more {
		var name []byte
		var escaped bool
		if name, escaped, i = d.rawName(i); i < 0 {
			return i
		}
		if d.strict {
			if escaped && len(name) <= maxRawBytes {
				name = d.unescape(name)
			}
			d.names = append(d.names, name)
		}
		if i = d.value(i, depth+1); i < 0 {
			return i
		}
		if d.strict && i > d.limit {
			d.reject(reject.TooLarge, d.limitDetail)
		}
		i, more = d.next(i, '}')
	}
	if d.strict && i > 0 && repeats(d.names[outer:]) {
		d.reject(reject.DuplicateKey, "an object within the sample has a name twice")
	}
	d.names = d.names[:min(outer, len(d.names))]
	return i
}

// repeats says whether a name is there twice; it may reorder them.
func repeats(names [][]byte) bool {
	if len(names) <= 12 {
		for i := range names {
			for _, other := range names[:i] {
				if len(other) == len(names[i]) && string(other) == string(names[i]) {
					return true
				}
			}
		}
		return false
	}
	slices.SortFunc(names, bytes.Compare)
	for i := range names[1:] {
		if bytes.Equal(names[i], names[i+1]) {
			return true
		}
	}
	return false
}

// number scans the grammar of a number.
func (d *decoder) number(i int) int {
	data, from := d.data, i
	if i < len(data) && data[i] == '-' {
		i++
	}
	switch {
	case i >= len(data) || data[i]-'0' > 9:
		return d.unexpected(from, "a value")
	case data[i] == '0':
		i++
	default:
		i = digits(data, i)
	}
	if i < len(data) && data[i] == '.' {
		from, i = i, digits(data, i+1)
		if i == from+1 {
			return d.unexpected(i, "a digit")
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		from, i = i, digits(data, i)
		if i == from {
			return d.unexpected(i, "a digit")
		}
	}
	return i
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i
}
