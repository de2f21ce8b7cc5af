package timeline_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/timeline"
)

// Every field that a Sample has, and those it will have, tells samples apart
// and survives the encoding.
func TestNoFieldOfASampleIsForgotten(t *testing.T) {
	base := health.Sample{UUID: health.UUID{1}, Type: "a", Start: 5, End: 9}
	var walk func(v reflect.Value, name string, changed func(name string))
	walk = func(v reflect.Value, name string, changed func(name string)) {
		former := reflect.New(v.Type()).Elem()
		former.Set(v)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), name+"."+v.Type().Field(i).Name, changed)
			}
			return
		case reflect.Array:
			v.Index(v.Len() - 1).SetUint(7)
		case reflect.String:
			v.SetString("other")
		case reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Float64:
			v.SetFloat(0.3)
		case reflect.Bool:
			v.SetBool(true)
		default:
			t.Fatalf("field %s has a kind this test does not know", name)
		}
		changed(name)
		v.Set(former)
	}
	s, fields := base, 0
	walk(reflect.ValueOf(&s).Elem(), "Sample", func(name string) {
		fields++
		if timeline.Compare(&base, &s) == 0 || timeline.Compare(&base, &s) != -timeline.Compare(&s, &base) {
			t.Errorf("Compare forgets %s", name)
		}
		c, other := merged(t, timeline.Chunk{}, []health.Sample{base, s}), merged(t, timeline.Chunk{}, []health.Sample{s, base})
		if sameUUID := name != "Sample.UUID"; (len(c.Samples) == 1) != sameUUID || !reflect.DeepEqual(c, other) {
			t.Errorf("Merge forgets %s", name)
		}
		c.Samples = []health.Sample{base, s} // as the releases before kept them
		slices.SortFunc(c.Samples, func(a, b health.Sample) int { return timeline.Compare(&a, &b) })
		back, err := timeline.Decode(encoded(t, c))
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("Encode forgets %s: %v", name, err)
		}
	})
	if fields < 15 {
		t.Errorf("only %d fields", fields)
	}
}
