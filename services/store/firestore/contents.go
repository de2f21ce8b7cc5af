package firestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/clarity-loop/clarity/services/store"
)

// A Contents is a Feed that holds what there is to see, too: a document for each Result and
// Insight, under feeds/{uid}/results/{day} and feeds/{uid}/insights/{day}, as the API shows
// it. They are health values, not sealed, which a phone's own cache holds.
type Contents struct {
	Feed
	now func() time.Time
}

// Contents is the feeds of the database, with what there is to see.
func (s *Store) Contents(now func() time.Time) *Contents { return &Contents{Feed{s}, now} }

// contentKept is how long a document is there that is not shown anew.
const contentKept = 400 * 24 * time.Hour

// contents are the collections of a feed beside the events.
func contents() []string { return []string{"results", "insights"} }

// Show has the document of the kind and the day be this JSON object; nil has none be there.
func (c *Contents) Show(ctx context.Context, uid, kind, day string, document []byte) error {
	if reserved(uid) {
		return nil
	}
	if err := (store.Key{Collection: kind, UID: uid, Key: day}).Check(); err != nil || !shows(kind) {
		return store.Fault("show", fmt.Errorf("%w: not of what a feed shows", store.ErrKey))
	}
	name := c.feed(uid) + "/" + kind + "/" + day
	w := &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: name}}
	if document != nil {
		fields, err := fieldsOfJSON(document)
		if err != nil {
			return store.Fault("show", errDamaged)
		}
		fields["expires"] = moment(c.now().Add(contentKept))
		w = set(name, fields)
	}
	if _, err := c.store.commit(ctx, []*firestorepb.Write{w}); err != nil {
		return store.Fault("show", answered(ctx, err))
	}
	return nil
}

func shows(kind string) bool { return slices.Contains(contents(), kind) }

// fieldsOfJSON are the members of an object, as the service has them.
func fieldsOfJSON(object []byte) (map[string]*firestorepb.Value, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var all map[string]any
	if err := d.Decode(&all); err != nil || all == nil {
		return nil, errObject
	}
	v, err := valueOf(all)
	return v.GetMapValue().GetFields(), err
}

// errObject is of what is no object.
var errObject = errors.New("no JSON object")

// errNested is of a list in a list, which the service does not take.
var errNested = errors.New("a list in a list")

// valueOf is a JSON value as the service has it.
func valueOf(v any) (*firestorepb.Value, error) {
	switch v := v.(type) {
	case nil:
		return &firestorepb.Value{ValueType: &firestorepb.Value_NullValue{}}, nil
	case bool:
		return &firestorepb.Value{ValueType: &firestorepb.Value_BooleanValue{BooleanValue: v}}, nil
	case string:
		return text(v), nil
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return integer(n), nil
		}
		n, err := v.Float64()
		return &firestorepb.Value{ValueType: &firestorepb.Value_DoubleValue{DoubleValue: n}}, err
	case []any:
		return listOf(v)
	case map[string]any:
		fields := map[string]*firestorepb.Value{}
		for name, member := range v {
			value, err := valueOf(member)
			if err != nil {
				return nil, err
			}
			fields[name] = value
		}
		return &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}, nil
	}
	return nil, fmt.Errorf("a value of an unknown kind")
}

func listOf(list []any) (*firestorepb.Value, error) {
	values := &firestorepb.ArrayValue{}
	for _, one := range list {
		if _, nested := one.([]any); nested {
			return nil, errNested
		}
		value, err := valueOf(one)
		if err != nil {
			return nil, err
		}
		values.Values = append(values.Values, value)
	}
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: values}}, nil
}
