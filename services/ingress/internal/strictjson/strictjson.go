// Package strictjson reads small JSON documents without the leniency of
// encoding/json: no member twice, none whose name differs in case, nothing
// behind the value, no nesting beyond a bound.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Depth bounds the nesting of a document.
const Depth = 16

// Unmarshal reads one JSON value into v: anything into an *any, an object with
// members that the struct names into a pointer to a struct.
func Unmarshal(data []byte, v any) error {
	if _, first := v.(*any); first {
		if err := json.Unmarshal(data, v); err != nil {
			return err
		}
		return scan(json.NewDecoder(bytes.NewReader(data)), 0)
	}
	if err := exactNames(data, reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// scan reads one value token by token; the text is known to be JSON.
func scan(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	opening, nested := t.(json.Delim)
	if !nested {
		return nil
	}
	if depth == Depth {
		return fmt.Errorf("nested deeper than %d", Depth)
	}
	seen := map[string]bool{}
	for d.More() {
		if opening == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			text, ok := name.(string)
			if !ok || seen[text] {
				return errors.New("a member is there twice")
			}
			seen[text] = true
		}
		if err := scan(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token() // the closing one
	return err
}

// exactNames refuses members that only encoding/json's folding would match.
func exactNames(data []byte, t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	known := map[string]bool{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	for name := range members {
		if !known[name] {
			return errors.New("a member is not known")
		}
	}
	return nil
}
