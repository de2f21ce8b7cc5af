// Package jsonstream walks a JSON file of any size with memory for one value
// at a time. It is strict: what it returns is valid JSON in valid UTF-8.
package jsonstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// The bounds of a file.
const (
	MaxValue = 8 << 20 // bytes of one value that is kept
	maxKey   = 64 << 10
	maxDepth = 64 // of what is walked or skipped
)

// A Stream reads one file from front to back.
type Stream struct {
	r        io.Reader
	buf      []byte
	pos, end int
	base     int64 // of buf[0] in the file
	err      error // of the reader
	depth    int
}

// New starts at an offset of a file, which is a place where a value begins.
func New(r io.ReaderAt, offset, size int64) *Stream {
	return &Stream{r: io.NewSectionReader(r, offset, size-offset), base: offset, buf: make([]byte, 32<<10)}
}

// ErrTooLarge is the error of a value longer than MaxValue. The stream has
// moved behind the value.
var ErrTooLarge = errors.New("the value is too large")

// Offset is the place in the file where the next value begins.
func (s *Stream) Offset() (int64, error) {
	_, err := s.Peek()
	return s.base + int64(s.pos), err
}

// Peek is the first byte of the next value or delimiter. At the end of the
// file it is io.EOF.
func (s *Stream) Peek() (byte, error) {
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case ' ', '\n', '\t', '\r':
				s.pos++
			case 0xef:
				if s.base+int64(s.pos) != 0 || !s.has(3) || string(s.buf[s.pos:s.pos+3]) != "\xef\xbb\xbf" {
					return c, nil
				}
				s.pos += 3
			default:
				return c, nil
			}
		}
		if err := s.fill(0); err != nil {
			return 0, err
		}
	}
}

func (s *Stream) has(n int) bool {
	for s.end-s.pos < n {
		if s.fill(s.end-s.pos) != nil {
			return false
		}
	}
	return true
}

// Object calls member for each member of the object that comes next; member
// must read the value. The key is valid until it does.
func (s *Stream) Object(member func(key string) error) error {
	return s.list('{', '}', func(int) error {
		if c, err := s.Peek(); err != nil || c != '"' {
			return s.malformed("an object's member has no name", err)
		}
		raw, err := s.value(maxKey)
		if err != nil {
			return err
		}
		var key string
		if err := json.Unmarshal(raw, &key); err != nil {
			return s.malformed("a member's name is no string", nil)
		}
		if c, err := s.Peek(); err != nil || c != ':' {
			return s.malformed("there is no ':' behind a member's name", err)
		}
		s.pos++
		return member(key)
	})
}

// Array calls element for each element of the array that comes next; element
// must read the value.
func (s *Stream) Array(element func(i int) error) error { return s.list('[', ']', element) }

func (s *Stream) list(open, close byte, element func(i int) error) error {
	if c, err := s.Peek(); err != nil || c != open {
		return s.malformed(fmt.Sprintf("there is no '%c' where one must be", open), err)
	}
	if s.depth++; s.depth > maxDepth {
		return s.malformed(fmt.Sprintf("values are nested deeper than %d", maxDepth), nil)
	}
	defer func() { s.depth-- }()
	s.pos++
	for i := 0; ; i++ {
		c, err := s.Peek()
		if err != nil {
			return s.malformed("", err)
		}
		if c == close && i == 0 {
			s.pos++
			return nil
		}
		if err := element(i); err != nil {
			return err
		}
		switch c, err := s.Peek(); {
		case err != nil:
			return s.malformed("", err)
		case c == close:
			s.pos++
			return nil
		case c != ',':
			return s.malformed("there is no ',' between two values", nil)
		}
		s.pos++
	}
}

// Value is the next value as it stands, valid until the stream moves on.
func (s *Stream) Value() (json.RawMessage, error) { return s.value(MaxValue) }

// Skip reads the next value, whatever its size, and drops it.
func (s *Stream) Skip() error {
	c, err := s.Peek()
	if err != nil {
		return s.malformed("", err)
	}
	switch c {
	case '{':
		return s.Object(func(string) error { return s.Skip() })
	case '[':
		return s.Array(func(int) error { return s.Skip() })
	}
	_, err = s.value(MaxValue)
	return err
}

// value finds the end of the next value, then checks the whole.
func (s *Stream) value(limit int) (json.RawMessage, error) {
	c, err := s.Peek()
	if err != nil {
		return nil, s.malformed("", err)
	}
	n, err := s.extent(c, limit)
	if errors.Is(err, ErrTooLarge) && (c == '{' || c == '[') {
		if err := s.Skip(); err != nil {
			return nil, err
		}
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	raw := s.buf[s.pos : s.pos+n]
	if !utf8.Valid(raw) {
		return nil, s.malformed("the text is not UTF-8", nil)
	}
	if !json.Valid(raw) {
		return nil, s.malformed("a value is not valid JSON", nil)
	}
	s.pos += n
	return raw, nil
}

// extent is the length of the value at pos, which begins with c.
func (s *Stream) extent(c byte, limit int) (int, error) {
	x := extent{}
	for n := 0; ; {
		more, done := x.scan(s.buf[s.pos+n:s.end], c)
		n += more
		if done {
			if n > limit {
				return 0, fmt.Errorf("read JSON: offset %d: %w", s.base+int64(s.pos), ErrTooLarge)
			}
			return n, nil
		}
		if n > limit {
			return 0, fmt.Errorf("read JSON: offset %d: %w", s.base+int64(s.pos), ErrTooLarge)
		}
		switch err := s.fill(n); {
		case errors.Is(err, io.EOF) && n > 0 && c != '{' && c != '[' && c != '"':
			return n, nil // a number at the end of the file
		case err != nil:
			return 0, s.malformed("", err)
		}
	}
}

// An extent finds the end of one value; it balances brackets and knows
// strings, no more.
type extent struct {
	depth            int
	inString, escape bool
}

// scan reads on; done says that the value ends after n bytes of b.
func (x *extent) scan(b []byte, first byte) (n int, done bool) {
	compound := first == '{' || first == '['
	for i := 0; i < len(b); i++ {
		if x.inString {
			if x.escape {
				x.escape = false
				continue
			}
			stop := bytes.IndexAny(b[i:min(len(b), i+64)], "\"\\")
			if stop < 0 {
				i = min(len(b), i+64) - 1
				continue
			}
			i += stop
			if b[i] == '\\' {
				x.escape = true
				continue
			}
			if x.inString = false; x.depth == 0 {
				return i + 1, true
			}
			continue
		}
		switch b[i] {
		case '"':
			x.inString = true
		case '{', '[':
			x.depth++
		case '}', ']':
			if !compound {
				return i, true
			}
			if x.depth--; x.depth == 0 {
				return i + 1, true
			}
		case ',', ' ', '\n', '\t', '\r', ':':
			if !compound {
				return i, true
			}
		}
	}
	return len(b), false
}

// fill reads more, keeping the bytes from pos on; keep says how many the caller counts on.
func (s *Stream) fill(keep int) error {
	if s.err != nil {
		return s.err
	}
	if s.pos > 0 {
		s.base += int64(s.pos)
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	} else if keep == 0 && len(s.buf) > 1<<20 && s.end == 0 {
		s.buf = make([]byte, 32<<10) // one large value does not stay for good
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *Stream) malformed(what string, err error) error {
	at := s.base + int64(s.pos)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("read JSON: the file ends inside a value, at offset %d", at)
	case err != nil:
		return fmt.Errorf("read JSON: offset %d: %w", at, err)
	}
	return fmt.Errorf("read JSON: offset %d: %s", at, what)
}
