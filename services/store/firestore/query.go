package firestore

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bounds are a range of one field that holds text, in an order of it: every query is one.
type bounds struct {
	field      string
	low, high  string // high is never within
	open       bool   // low is not within either
	descending bool
}

func (b bounds) empty() bool { return b.low >= b.high }

func (b bounds) query(limit int) *firestorepb.StructuredQuery {
	from := firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL
	if b.open {
		from = firestorepb.StructuredQuery_FieldFilter_GREATER_THAN
	}
	order := firestorepb.StructuredQuery_ASCENDING
	if b.descending {
		order = firestorepb.StructuredQuery_DESCENDING
	}
	return &firestorepb.StructuredQuery{
		From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: documents}},
		Where: &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{
			CompositeFilter: &firestorepb.StructuredQuery_CompositeFilter{Op: firestorepb.StructuredQuery_CompositeFilter_AND, Filters: []*firestorepb.StructuredQuery_Filter{
				b.than(from, b.low), b.than(firestorepb.StructuredQuery_FieldFilter_LESS_THAN, b.high)}}}},
		OrderBy: []*firestorepb.StructuredQuery_Order{{Field: reference(b.field), Direction: order}},
		Limit:   wrapperspb.Int32(int32(limit)), //nolint:gosec // within 1 to store.MaxLimit
	}
}

func (b bounds) than(op firestorepb.StructuredQuery_FieldFilter_Operator, bound string) *firestorepb.StructuredQuery_Filter {
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: reference(b.field), Op: op, Value: text(bound)}}}
}

func reference(field string) *firestorepb.StructuredQuery_FieldReference {
	return &firestorepb.StructuredQuery_FieldReference{FieldPath: field}
}

// idsOf lists what lies in a range by key, and of each document its id alone.
func idsOf(low, high string, limit int) *firestorepb.StructuredQuery {
	q := bounds{field: fieldKey, low: low, high: high}.query(limit)
	q.Select = &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{reference(fieldKey)}}
	return q
}

// greatest finds the one document that is behind all others of the place, where it is
// behind low.
func greatest(place, low string) *firestorepb.StructuredQuery {
	return bounds{field: fieldKey, low: low, high: place + behind, open: true, descending: true}.query(1)
}
