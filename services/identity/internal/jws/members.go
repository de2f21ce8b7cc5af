package jws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// Members are those of one JSON object.
type Members map[string]json.RawMessage

// Read reads one JSON object of at most eight levels, refusing names twice.
func Read(raw []byte) (Members, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	if deepest(raw) > 8 {
		return nil, errors.New("nested too deep")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	m := make(Members)
	for d.More() {
		t, err := d.Token()
		name, isText := t.(string)
		if err != nil || !isText {
			return nil, errors.New("not a JSON object")
		}
		if _, twice := m[name]; twice {
			return nil, errors.New("a member is there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("not a JSON object")
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if d.More() {
		return nil, errors.New("bytes behind the JSON object")
	}
	return m, nil
}

// deepest counts brackets, those in strings too: an upper bound of the nesting.
func deepest(raw []byte) (most int) {
	depth := 0
	for _, c := range raw {
		switch c {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most
}

// Has says whether there is one of the name.
func (m Members) Has(name string) bool {
	_, there := m[name]
	return there
}

// Text is a text that is not empty.
func (m Members) Text(name string) (string, error) {
	var s string
	raw := m[name]
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || s == "" {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// Texts is a list of texts, none of them empty.
func (m Members) Texts(name string) ([]string, error) {
	var list []*string
	raw := m[name]
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("%s is not a list of strings", name)
	}
	texts := make([]string, len(list))
	for i, s := range list {
		if s == nil || *s == "" {
			return nil, fmt.Errorf("%s is not a list of strings", name)
		}
		texts[i] = *s
	}
	return texts, nil
}

// Object is an object within.
func (m Members) Object(name string) (Members, error) {
	inner, err := Read(m[name])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return inner, nil
}

// Is refuses where the text of the name is not the one wanted.
func (m Members) Is(name, want string) error {
	if got, err := m.Text(name); err != nil || got != want {
		return fmt.Errorf("%s is another", name)
	}
	return nil
}

// Moment is a whole number of seconds between 2000 and 2200.
func (m Members) Moment(name string) (time.Time, error) {
	var seconds float64
	raw := m[name]
	if len(raw) == 0 || raw[0] == '"' || json.Unmarshal(raw, &seconds) != nil ||
		seconds != math.Trunc(seconds) || seconds < 946_684_800 || seconds > 7_258_118_400 {
		return time.Time{}, fmt.Errorf("%s is not a time in seconds", name)
	}
	return time.Unix(int64(seconds), 0), nil
}

// Clock is by what a token's times are checked.
type Clock struct {
	Now     time.Time
	Leeway  time.Duration // how far clocks may be apart
	MaxLife time.Duration // from iat to exp
}

// Past is a moment that has been.
func (m Members) Past(name string, c Clock) (time.Time, error) {
	at, err := m.Moment(name)
	if err == nil && at.After(c.Now.Add(c.Leeway)) {
		err = fmt.Errorf("%s is in the future", name)
	}
	return at, err
}

// Expires is until when the token is valid, which it is now.
func (m Members) Expires(c Clock) (time.Time, error) {
	exp, err := m.Moment("exp")
	if err != nil {
		return exp, err
	}
	iat, err := m.Past("iat", c)
	if err == nil && m.Has("nbf") {
		_, err = m.Past("nbf", c)
	}
	switch {
	case err != nil:
	case !c.Now.Before(exp.Add(c.Leeway)):
		err = errors.New("expired")
	case exp.Sub(iat) > c.MaxLife:
		err = errors.New("lives too long")
	}
	return exp, err
}
