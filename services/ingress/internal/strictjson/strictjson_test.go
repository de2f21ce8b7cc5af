package strictjson

import (
	"strings"
	"testing"
)

type answer struct {
	Granted bool   `json:"granted"`
	Version string `json:"version"`
}

func TestUnmarshal(t *testing.T) {
	tests := map[string]struct {
		text string
		ok   bool
	}{
		"an object of known members":           {`{"granted":true,"version":"1"}`, true},
		"a member left out":                    {`{"granted":true}`, true},
		"a member twice":                       {`{"granted":true,"granted":false}`, false},
		"a member twice further in":            {`{"version":{"a":1,"a":2}}`, false},
		"a member twice by an escape":          {`{"granted":true,"grant\u0065d":false}`, false},
		"a member in another case":             {`{"Granted":true}`, false},
		"an unknown member":                    {`{"uid":"x"}`, false},
		"something behind":                     {`{} 1`, false},
		"nothing":                              {``, false},
		"cut off":                              {`{"granted":`, false},
		"a number beyond float64 is no string": {`{"version":1e400}`, false},
		"nested too deep":                      {strings.Repeat("[", Depth+1) + strings.Repeat("]", Depth+1), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var first any
			var a answer
			err := Unmarshal([]byte(tt.text), &first)
			if err == nil {
				err = Unmarshal([]byte(tt.text), &a)
			}
			if (err == nil) != tt.ok {
				t.Errorf("%s: %v", tt.text, err)
			}
		})
	}
}

// Into an any, Unmarshal is strict by itself: nothing else looks at the text.
func TestUnmarshalIntoAnything(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"a":[1,"x",null,true,{}]}`: true,
		`1`:                          true,
		`{"a":1,"a":2}`:              false,
		`[{"a":1,"a":2}]`:            false,
		`{"b":{"a":1,"a":2}}`:        false,
		`{} {}`:                      false,
		`1 x`:                        false,
		`{"a"`:                       false,
		`{"a":}`:                     false,
		`[1,`:                        false,
		`[1`:                         false,
		`{"a":1e400}`:                false,
		`{1:2}`:                      false,
		strings.Repeat("[", Depth) + strings.Repeat("]", Depth):             true,
		strings.Repeat("[", Depth+1) + strings.Repeat("]", Depth+1):         false,
		strings.Repeat(`{"a":`, Depth) + "1" + strings.Repeat("}", Depth):   true,
		strings.Repeat(`[{"a":`, Depth) + "1" + strings.Repeat("}]", Depth): false,
	} {
		var v any
		if err := Unmarshal([]byte(text), &v); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestUnmarshalIntoAStructReadsIt(t *testing.T) {
	var a answer
	if err := Unmarshal([]byte(`{"granted":true,"version":"7"}`), &a); err != nil || a != (answer{true, "7"}) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, text := range []string{`{"granted":1}`, `[]`, `{"granted":`, `{"Granted":true}`} {
		if err := Unmarshal([]byte(text), &a); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	var n int
	if err := Unmarshal([]byte("7"), &n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{`{"granted":true,"version":"1"}`, `{"a":1,"a":2}`, `[[[[]]]]`, `{} {}`, "{\"a\":\"\xff\"}", `{"granted":true,"Version":"x"}`, `1e400`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first any
		if Unmarshal(data, &first) != nil {
			return
		}
		var a answer
		if err := Unmarshal(data, &a); err == nil {
			if object, ok := first.(map[string]any); first != nil && !ok {
				t.Fatalf("%q is no object and was read as one: %v", data, object)
			}
		}
	})
}
