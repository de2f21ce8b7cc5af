package appleexport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// instruction skips <?…?> and refuses an encoding that is not UTF-8.
func (s *scanner) instruction(b []byte) error {
	close := bytes.Index(b, []byte("?>"))
	if close < 0 {
		return errShort
	}
	if bytes.HasPrefix(b, []byte("<?xml ")) {
		declared := bytes.ToLower(b[:close])
		if i := bytes.Index(declared, []byte("encoding")); i >= 0 &&
			!bytes.Contains(declared[i:], []byte("utf-8")) && !bytes.Contains(declared[i:], []byte("us-ascii")) {
			return s.malformed("the encoding is not UTF-8")
		}
	}
	s.pos += close + 2
	return nil
}

// declaration skips comments, CDATA (text, which an export does not use) and
// the document type.
func (s *scanner) declaration(b []byte) error {
	for _, form := range [...]struct{ open, close string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}} {
		if bytes.HasPrefix(b, []byte(form.open)) {
			s.pos += len(form.open)
			return s.skipPast(form.close)
		}
	}
	if bytes.HasPrefix(b, []byte("<!DOCTYPE")) {
		s.pos += len("<!DOCTYPE")
		return s.doctype()
	}
	if len(b) < len("<![CDATA[") {
		return errShort
	}
	return s.malformed("there is a '<!' that begins nothing known")
}

// skipPast moves behind the next occurrence of end, however far it is.
func (s *scanner) skipPast(end string) error {
	for {
		b := s.buf[s.pos:s.end]
		if i := bytes.Index(b, []byte(end)); i >= 0 {
			s.pos += i + len(end)
			return nil
		}
		s.pos += max(0, len(b)-len(end)+1)
		if err := s.fillWithin("a comment or CDATA section"); err != nil {
			return err
		}
	}
}

func (s *scanner) fillWithin(what string) error {
	err := s.fill()
	if errors.Is(err, io.EOF) {
		return s.malformed("the file ends inside " + what)
	}
	return err
}

// doctype skips the document type with its internal subset. Apple's lists
// elements and attributes, in some versions with faults, so it is read only as
// far as its end can be found. An entity declaration or a reference to
// something outside of the file is refused.
func (s *scanner) doctype() error {
	var quote byte
	brackets, length := 0, 0
	var word []byte // the bytes since the last delimiter, to find keywords
	for {
		if s.pos == s.end {
			if err := s.fillWithin("the document type"); err != nil {
				return err
			}
		}
		c := s.buf[s.pos]
		if length++; length > maxDTD {
			return s.malformed(fmt.Sprintf("the document type is longer than %d bytes", maxDTD))
		}
		if quote == 0 && c == '-' && string(word) == "!-" {
			s.pos++
			word = word[:0]
			if err := s.skipPast("-->"); err != nil {
				return err
			}
			continue
		}
		s.pos++
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			brackets++
		case c == ']':
			brackets--
		case c == '>' && brackets <= 0:
			return nil
		case isName(c) || c == '!' || c == '%':
			if len(word) < 16 {
				word = append(word, c)
			}
			continue
		}
		if err := s.checkKeyword(word); err != nil {
			return err
		}
		word = word[:0]
	}
}

func (s *scanner) checkKeyword(word []byte) error {
	switch string(word) {
	case "!ENTITY":
		return s.malformed("the document type declares an entity, which is refused")
	case "SYSTEM", "PUBLIC":
		return s.malformed("the document type names a file outside of this one, which is refused")
	}
	return nil
}
