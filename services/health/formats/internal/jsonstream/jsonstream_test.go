package jsonstream

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// walked is what a walk over all values of a text finds: members, elements and
// values, in order.
func walked(s *Stream) (string, error) {
	var b strings.Builder
	var walk func() error
	walk = func() error {
		c, err := s.Peek()
		if err != nil {
			return err
		}
		switch c {
		case '{':
			b.WriteString("{")
			err = s.Object(func(key string) error {
				fmt.Fprintf(&b, "%q:", key)
				return walk()
			})
			b.WriteString("}")
			return err
		case '[':
			b.WriteString("[")
			err = s.Array(func(i int) error {
				fmt.Fprintf(&b, "%d=", i)
				return walk()
			})
			b.WriteString("]")
			return err
		}
		raw, err := s.Value()
		b.Write(raw)
		b.WriteString(";")
		return err
	}
	for {
		if err := walk(); errors.Is(err, io.EOF) {
			return b.String(), nil
		} else if err != nil {
			return b.String(), err
		}
	}
}

func over(text string) *Stream { return New(strings.NewReader(text), 0, int64(len(text))) }

func TestValuesAreWalkedInOrder(t *testing.T) {
	tests := map[string]struct{ text, want, err string }{
		"nothing":                         {"", "", ""},
		"white space":                     {" \r\n\t ", "", ""},
		"a byte order mark":               {"\ufeff 1", "1;", ""},
		"a byte order mark alone":         {"\ufeff", "", ""},
		"a number with a colon behind it": {`[1:2]`, "[0=1;]", "offset 2: there is no ',' between two values"},
		"a mark that is cut":              {"\xef\xbb", ";", "not UTF-8"},
		"a mark that is another":          {"\xef\xbb\xbe", ";", "valid"},
		"a mark later is none":            {" \ufeff1", ";", "valid"},
		"values on lines":                 {"1\r2\n3\t4 5", "1;2;3;4;5;", ""},
		"scalars of every kind":           {`[1,-2.5e3,"a",true,false,null]`, `[0=1;1=-2.5e3;2="a";3=true;4=false;5=null;]`, ""},
		"a number at the very end":        {"12", "12;", ""},
		"an object":                       {`{"a":1,"b":{"c":[]},"":{}}`, `{"a":1;"b":{"c":[]}"":{}}`, ""},
		"names with escapes":              {`{"a\"\\\u0062":1}`, `{"a\"\\b":1;}`, ""},
		"white space everywhere":          {" { \"a\" : [ 1 , 2 ] , \"b\" : { } } ", `{"a":[0=1;1=2;]"b":{}}`, ""},
		"brackets within strings":         {`["}]{[", "\"]"]`, `[0="}]{[";1="\"]";]`, ""},
		"a member without a name":         {`{1:2}`, "{}", "offset 1: an object's member has no name"},
		"a name that is no string":        {"{\"a\x01\":2}", "{}", "not valid JSON"},
		"a name that is too long":         {`{"` + strings.Repeat("a", maxKey) + `":2}`, "{}", "offset 1: the value is too large"},
		"no colon":                        {`{"a" 2}`, "{}", "offset 5: there is no ':' behind a member's name"},
		"no comma":                        {`[1 2]`, "[0=1;]", "offset 3: there is no ',' between two values"},
		"a comma too many":                {`[1,]`, "[0=1;1=;]", "not valid JSON"},
		"an array that ends as an object": {`[1}`, "[0=1;]", "there is no ','"},
		"cut behind a bracket":            {`[`, "[]", "the file ends inside a value, at offset 1"},
		"cut behind a value":              {`[1`, "[0=1;]", "the file ends inside a value, at offset 2"},
		"cut behind a comma":              {`[1,`, "[0=1;]", "the file ends inside a value, at offset 3"},
		"cut in a string":                 {`"abc`, ";", "the file ends inside a value, at offset 0"},
		"cut behind a name":               {`{"a"`, "{}", "the file ends inside a value, at offset 4"},
		"no value at all":                 {`[nope]`, "[0=;]", "not valid JSON"},
		"not UTF-8":                       {"\"\xff\"", ";", "the text is not UTF-8"},
		"as deep as may be":               {strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", 1) + strings.Repeat("0=[", maxDepth-1) + strings.Repeat("]", maxDepth), ""},
		"deeper":                          {strings.Repeat("[", maxDepth+1), strings.Repeat("[", 1) + strings.Repeat("0=[", maxDepth) + strings.Repeat("]", maxDepth+1), "nested deeper than 64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := walked(over(tt.text))
			if got != tt.want {
				t.Errorf("walked %s, want %s", got, tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestAWholeValueIsReturnedAsItStands(t *testing.T) {
	for _, text := range []string{`{"a":[1,{"b":"]}"}],"c":"\\"}`, `[[],[[]],{}]`, `"a\"b"`, "true", `"` + strings.Repeat("x", 100_000) + `"`, `["` + strings.Repeat(`\"`, 50_000) + `"]`} {
		s := over(" " + text + " 7")
		raw, err := s.Value()
		if err != nil || string(raw) != text {
			t.Errorf("%.40s is %.40s, %v", text, raw, err)
		}
		if at, err := s.Offset(); err != nil || at != int64(len(text)+2) {
			t.Errorf("behind %.40s: offset %d, %v", text, at, err)
		}
		if raw, err := s.Value(); err != nil || string(raw) != "7" {
			t.Errorf("behind %.40s: %s, %v", text, raw, err)
		}
	}
}

func TestAStreamBeginsAtItsOffset(t *testing.T) {
	text := `[1,{"a":2},x`
	s := New(strings.NewReader(text), 3, int64(len(text)))
	if at, err := s.Offset(); err != nil || at != 3 {
		t.Errorf("offset %d, %v", at, err)
	}
	if raw, err := s.Value(); err != nil || string(raw) != `{"a":2}` {
		t.Errorf("%s, %v", raw, err)
	}
	s.pos++ // the comma
	if _, err := s.Value(); err == nil || !strings.Contains(err.Error(), "offset 11: a value is not valid JSON") {
		t.Errorf("error %v", err)
	}
	cut := New(strings.NewReader(text), 3, 6) // no further than its size
	if _, err := cut.Value(); err == nil || err.Error() != "read JSON: the file ends inside a value, at offset 3" {
		t.Errorf("error %v", err)
	}
}

// Strings are searched in pieces: wherever a piece ends, what ends or escapes is seen.
func TestStringsOfEveryLength(t *testing.T) {
	for n := range 200 {
		x := strings.Repeat("x", n)
		for _, text := range []string{`"` + x + `"`, `"` + x + `\""`, `"` + x + `\\"`, `["` + x + `",1]`, `"` + x + `\"` + x + `"`} {
			s := over(text + ` 7`)
			if raw, err := s.Value(); err != nil || string(raw) != text {
				t.Errorf("%s is %s, %v", text, raw, err)
			}
			if raw, err := s.Value(); err != nil || string(raw) != "7" {
				t.Errorf("behind %s: %s, %v", text, raw, err)
			}
		}
	}
}

func TestTheOffsetOfNothing(t *testing.T) {
	if at, err := over("  ").Offset(); at != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("offset %d, %v", at, err)
	}
}

// A byte order mark is one at the beginning of the file, wherever reading begins.
func TestAMarkWhereReadingBegins(t *testing.T) {
	text := "1 \ufeff2"
	s := New(strings.NewReader(text), 1, int64(len(text)))
	if _, err := s.Value(); err == nil || err.Error() != "read JSON: offset 2: a value is not valid JSON" {
		t.Errorf("error %v", err)
	}
}

func TestSkippingIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":[1,2,{"b":null}]}`: "", `"a"`: "", `[]`: "", `[1 2]`: "no ','", `{"a":nope}`: "not valid JSON", `{"a":"` + "\x01" + `"}`: "not valid JSON", ``: "ends inside a value", `[[[`: "ends inside a value",
	} {
		s := over(text + " 7")
		if text == "" || strings.HasPrefix(text, "[[[") {
			s = over(text)
		}
		err := s.Skip()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if want == "" {
			if raw, err := s.Value(); err != nil || string(raw) != "7" {
				t.Errorf("behind %s: %s, %v", text, raw, err)
			}
		}
	}
}

// A value that is too large is passed over, so that what follows can be read;
// as large as it may be it is returned.
func TestTheLargestValue(t *testing.T) {
	array := func(bytes int) string {
		return "[" + strings.Repeat("1,", (bytes-3)/2) + "1]" + strings.Repeat(" ", (bytes+1)%2)
	}
	whole := array(MaxValue - 1)
	s := over(whole + ",7")
	if raw, err := s.Value(); err != nil || len(raw) != MaxValue-1 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	s = over(array(MaxValue+1) + " 7")
	if _, err := s.Value(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an array of more: %v", err)
	}
	if raw, err := s.Value(); err != nil || string(raw) != "7" {
		t.Errorf("behind it: %s, %v", raw, err)
	}
	text := func(bytes int) string { return `"` + strings.Repeat("x", bytes-2) + `"` }
	if raw, err := over(text(MaxValue)).Value(); err != nil || len(raw) != MaxValue {
		t.Errorf("a text of as much as may be: %d bytes, %v", len(raw), err)
	}
	s = over(" " + text(MaxValue+1))
	if _, err := s.Value(); !errors.Is(err, ErrTooLarge) || err.Error() != "read JSON: offset 1: the value is too large" {
		t.Errorf("a text of more: %v", err)
	}
	s = over(" " + text(3*MaxValue))
	if _, err := s.Value(); !errors.Is(err, ErrTooLarge) || err.Error() != "read JSON: offset 1: the value is too large" {
		t.Errorf("a text of ever so many more: %v", err)
	}
	if _, err := over(array(MaxValue + 1)[:MaxValue]).Value(); errors.Is(err, ErrTooLarge) || err == nil {
		t.Errorf("one that is cut: %v", err)
	}
}

// stutter reads a byte at a time, and now and then none.
type stutter struct {
	text string
	turn int
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.turn++; s.turn%3 == 0 {
		return 0, nil
	}
	if s.text == "" {
		return 0, io.EOF
	}
	n := copy(p[:1], s.text)
	s.text = s.text[n:]
	return n, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cable pulled") }

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReadersThatAreSlowOrFail(t *testing.T) {
	text := "\ufeff" + `{"a":["x\"y",{"b":[]},12],"c":{}}`
	s := &Stream{r: &stutter{text: text}, buf: make([]byte, 4)}
	if got, err := walked(s); err != nil || got != `{"a":[0="x\"y";1={"b":[]}2=12;]"c":{}}` {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := (&Stream{r: broken{}, buf: make([]byte, 4)}).Value(); err == nil || err.Error() != "read JSON: offset 0: cable pulled" {
		t.Errorf("error %v", err)
	}
	if _, err := (&Stream{r: silent{}, buf: make([]byte, 4)}).Peek(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v", err)
	}
}

func TestALargeValueDoesNotStayInMemory(t *testing.T) {
	s := over(`"` + strings.Repeat("x", 3<<20) + `"` + strings.Repeat(" ", 8<<20) + "1")
	if _, err := s.Value(); err != nil {
		t.Fatal(err)
	}
	if raw, err := s.Value(); err != nil || string(raw) != "1" {
		t.Fatal(raw, err)
	}
	if len(s.buf) != 32<<10 {
		t.Errorf("%d bytes stay", len(s.buf))
	}
}
