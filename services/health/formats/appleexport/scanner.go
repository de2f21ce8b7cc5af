package appleexport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// The bounds of an XML file: far above what Apple writes, far below what
// would cost memory.
const (
	maxTag   = 256 << 10 // bytes of one tag, attributes included
	maxAttrs = 64
	maxDepth = 32
	maxDTD   = 1 << 20
)

// A scanner splits an XML file into tags. It is no general XML parser: text
// between tags is skipped, since Health exports keep everything in attributes;
// a document type may declare elements and attributes (Apple's does) but no
// entities, and names nothing outside the file.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int
	readErr  error

	line    int // of lined, from 1
	lined   int // up to where newlines are counted
	started bool

	open       []string // names of the elements that are open
	names      map[string]string
	name       string // of the current tag
	attrs      []attr
	scratch    []byte // unescaped values
	badText    bool   // the tag has invalid UTF-8 or control characters
	pendingEnd bool   // the tag closes itself
}

// An attr is valid until the next tag.
type attr struct{ name, value []byte }

type token int

const (
	startTag token = iota
	endTag
	endOfFile
)

func newScanner(r io.Reader) *scanner {
	return &scanner{r: r, buf: make([]byte, 64<<10), line: 1, names: make(map[string]string)}
}

// errShort asks for more bytes of the current tag.
var errShort = errors.New("more bytes needed")

// next moves to the next tag.
func (s *scanner) next() (token, error) {
	if s.pendingEnd {
		s.pendingEnd = false
		s.open = s.open[:len(s.open)-1]
		return endTag, nil
	}
	for {
		at := bytes.IndexByte(s.buf[s.pos:s.end], '<')
		whole := at >= 0 || s.started || s.end-s.pos >= len(byteOrderMark) || s.readErr != nil
		if at < 0 {
			at = s.end - s.pos
		}
		if whole {
			if err := s.passText(at); err != nil {
				return 0, err
			}
		}
		if s.pos == s.end || !whole {
			if err := s.fill(); err != nil && (whole || !errors.Is(err, io.EOF)) {
				return s.finish(err)
			}
			continue
		}
		tok, isTag, err := s.markup()
		switch {
		case errors.Is(err, errShort):
			if err := s.fill(); err != nil {
				return s.finish(err)
			}
		case err != nil:
			return 0, err
		case isTag:
			return tok, nil
		}
	}
}

const byteOrderMark = "\xef\xbb\xbf"

// passText skips n bytes before a tag. Outside of the root element there is
// nothing but white space, or the encoding is not UTF-8.
func (s *scanner) passText(n int) error {
	text := s.buf[s.pos : s.pos+n]
	if n > 0 && !s.started {
		s.started = true
		text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	}
	if len(s.open) == 0 {
		if rest := bytes.TrimLeft(text, " \t\r\n"); len(rest) > 0 {
			s.pos += n - len(rest)
			return s.malformed("there is text outside of the root element, or the encoding is not UTF-8")
		}
	}
	s.pos += n
	return nil
}

func (s *scanner) finish(err error) (token, error) {
	if !errors.Is(err, io.EOF) {
		return 0, err
	}
	if len(s.open) > 0 {
		return 0, s.malformed("the file ends inside <" + s.open[len(s.open)-1] + ">")
	}
	if s.pos < s.end {
		return 0, s.malformed("the file ends inside a tag")
	}
	return endOfFile, nil
}

// markup reads what begins with the '<' at pos. isTag is false for what is
// skipped: comments, instructions, declarations.
func (s *scanner) markup() (tok token, isTag bool, err error) {
	b := s.buf[s.pos:s.end]
	if len(b) < 2 {
		return 0, false, errShort
	}
	s.started = true
	switch b[1] {
	case '/':
		return endTag, true, s.closeTag(b)
	case '?':
		return 0, false, s.instruction(b)
	case '!':
		return 0, false, s.declaration(b)
	}
	return startTag, true, s.openTag(b)
}

func (s *scanner) closeTag(b []byte) error {
	close := bytes.IndexByte(b, '>')
	if close < 0 {
		return errShort
	}
	name := bytes.TrimRight(b[2:close], " \t\r\n")
	if len(s.open) == 0 || s.open[len(s.open)-1] != string(name) {
		return s.malformed("an end tag closes another element than the open one")
	}
	s.name = s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	s.pos += close + 1
	return nil
}

// openTag reads a start tag into name and attrs.
func (s *scanner) openTag(b []byte) error {
	i := 1
	for i < len(b) && isName(b[i]) {
		i++
	}
	if i == len(b) {
		return errShort
	}
	if i == 1 {
		return s.malformed("a tag has no name")
	}
	name := b[1:i]
	s.attrs, s.scratch = s.attrs[:0], s.scratch[:0]
	for {
		space := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		if i+1 >= len(b) && (i >= len(b) || b[i] != '>') {
			return errShort
		}
		switch {
		case b[i] == '>':
			return s.opened(name, b[:i+1], false)
		case b[i] == '/':
			if b[i+1] != '>' {
				return s.malformed("a '/' inside a tag")
			}
			return s.opened(name, b[:i+2], true)
		case space == i:
			return s.malformed("two attributes without a space between them")
		}
		n, err := s.attribute(b[i:])
		if err != nil {
			return err
		}
		i += n
	}
}

func (s *scanner) opened(name, tag []byte, selfClosing bool) error {
	if len(s.open) >= maxDepth {
		return s.malformed(fmt.Sprintf("elements are nested deeper than %d", maxDepth))
	}
	if len(s.open) == 0 && s.name != "" {
		return s.malformed("there is a second root element")
	}
	known, ok := s.names[string(name)]
	if !ok {
		known = string(name)
		if len(s.names) < 256 {
			s.names[known] = known
		}
	}
	s.name = known
	s.open = append(s.open, known)
	s.badText = !utf8.Valid(tag)
	s.pendingEnd = selfClosing
	s.pos += len(tag)
	return nil
}

// attribute reads name="value" and says how long it is.
func (s *scanner) attribute(b []byte) (int, error) {
	i := 0
	for i < len(b) && isName(b[i]) {
		i++
	}
	name := b[:i]
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i == len(b) {
		return 0, errShort
	}
	if len(name) == 0 || b[i] != '=' {
		return 0, s.malformed("an attribute has no name or no value")
	}
	i++
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i == len(b) {
		return 0, errShort
	}
	quote := b[i]
	if quote != '"' && quote != '\'' {
		return 0, s.malformed("an attribute's value has no quotes")
	}
	i++
	length := bytes.IndexByte(b[i:], quote)
	if length < 0 {
		return 0, errShort
	}
	value, err := s.unescape(b[i : i+length])
	if err != nil {
		return 0, err
	}
	for _, a := range s.attrs {
		if bytes.Equal(a.name, name) {
			return 0, s.malformed("a tag has an attribute twice")
		}
	}
	if len(s.attrs) == maxAttrs {
		return 0, s.malformed(fmt.Sprintf("a tag has more than %d attributes", maxAttrs))
	}
	s.attrs = append(s.attrs, attr{name, value})
	return i + length + 1, nil
}

// unescape resolves XML's five entities and character references. Any other
// entity is refused: nothing is defined, fetched or expanded.
func (s *scanner) unescape(v []byte) ([]byte, error) {
	if bytes.IndexByte(v, '<') >= 0 {
		return nil, s.malformed("there is a '<' in an attribute's value")
	}
	amp := bytes.IndexByte(v, '&')
	if amp < 0 {
		return v, nil
	}
	start := len(s.scratch)
	for amp >= 0 {
		s.scratch = append(s.scratch, v[:amp]...)
		v = v[amp+1:]
		semicolon := bytes.IndexByte(v[:min(len(v), 12)], ';')
		if semicolon < 0 {
			return nil, s.malformed("there is an '&' without an entity")
		}
		r, ok := entity(string(v[:semicolon]))
		if !ok {
			return nil, s.malformed("there is an entity that is not one of XML's own; none are defined or fetched")
		}
		s.scratch = utf8.AppendRune(s.scratch, r)
		v = v[semicolon+1:]
		amp = bytes.IndexByte(v, '&')
	}
	s.scratch = append(s.scratch, v...)
	return s.scratch[start:], nil
}

func entity(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(name) < 2 || name[0] != '#' {
		return 0, false
	}
	digits, base := name[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n == 0 || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

// attr is the value of an attribute of the current tag.
func (s *scanner) attr(name string) ([]byte, bool) {
	for i := range s.attrs {
		if string(s.attrs[i].name) == name {
			return s.attrs[i].value, true
		}
	}
	return nil, false
}

// lineNow is the line of pos.
func (s *scanner) lineNow() int {
	s.line += bytes.Count(s.buf[s.lined:s.pos], []byte{'\n'})
	s.lined = s.pos
	return s.line
}

// fill reads more bytes behind those from pos on, and makes room for them.
func (s *scanner) fill() error {
	if s.readErr != nil {
		return s.readErr
	}
	s.lineNow()
	if s.pos > 0 {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos, s.lined = 0, 0
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxTag {
			return s.malformed(fmt.Sprintf("a tag is longer than %d bytes", maxTag))
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		s.readErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *scanner) malformed(what string) error {
	return fmt.Errorf("read export.xml: line %d: %s", s.lineNow(), what)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isName(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == ':' || c >= 0x80
}
