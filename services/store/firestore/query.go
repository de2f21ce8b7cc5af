package firestore

import (
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bounds are a range of one field that holds text, in an order of it.
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
	return listing(b.field, order, limit,
		where(b.field, from, text(b.low)), where(b.field, firestorepb.StructuredQuery_FieldFilter_LESS_THAN, text(b.high)))
}

// idsOf lists what lies in a range by key, and of each document its id alone.
func idsOf(low, high string, limit int) *firestorepb.StructuredQuery {
	q := bounds{field: fieldKey, low: low, high: high}.query(limit)
	q.Select = &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{{FieldPath: fieldKey}}}
	return q
}

// dueBy lists what is due by the microsecond, the oldest first.
func dueBy(before int64, limit int) *firestorepb.StructuredQuery {
	return listing(fieldDue, firestorepb.StructuredQuery_ASCENDING, limit,
		where(fieldDue, firestorepb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL, integer(before)))
}

// greatest finds the one document that is behind all others of the place, where it is
// behind low.
func greatest(place, low string) *firestorepb.StructuredQuery {
	return bounds{field: fieldKey, low: low, high: place + behind, open: true, descending: true}.query(1)
}

func where(field string, op firestorepb.StructuredQuery_FieldFilter_Operator, v *firestorepb.Value) *firestorepb.StructuredQuery_Filter {
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &firestorepb.StructuredQuery_FieldFilter{Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: field}, Op: op, Value: v}}}
}

func listing(field string, order firestorepb.StructuredQuery_Direction, limit int, filters ...*firestorepb.StructuredQuery_Filter) *firestorepb.StructuredQuery {
	filter := filters[0]
	if len(filters) > 1 {
		filter = &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{
			CompositeFilter: &firestorepb.StructuredQuery_CompositeFilter{Op: firestorepb.StructuredQuery_CompositeFilter_AND, Filters: filters}}}
	}
	return &firestorepb.StructuredQuery{
		From:    []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: documents}},
		Where:   filter,
		OrderBy: []*firestorepb.StructuredQuery_Order{{Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: field}, Direction: order}},
		Limit:   wrapperspb.Int32(int32(limit)), //nolint:gosec // within 1 to store.MaxLimit
	}
}
