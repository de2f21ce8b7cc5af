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
