package firestore

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

// A Feed has people's phones listen to the database themselves, under the rules of
// config/firestore.
//
//	feeds/{uid}               last integer, the number of the newest event; at, when it was
//	feeds/{uid}/events/{seq}  kind, ref, version, at; expires, behind which the service removes it
//
// The number is 16 hexadecimal digits, and the one that the API's events have. Here
// alone a uid is in a document's name: the rules compare it with who asks. An event costs a
// write, those that are told at once one for the head, and all of them one RPC. What is
// told again is written again, the same.
type Feed struct{ store *Store }

// Feed is the feeds of the database, which say what to fetch.
func (s *Store) Feed() *Feed { return &Feed{s} }

const (
	feeds  = "feeds"
	events = "events"
	// told is how long an event is there.
	told = 30 * 24 * time.Hour
)

// feed is where a person's lies.
func (f *Feed) feed(uid string) string { return f.store.root + "/" + feeds + "/" + uid }

// checkPerson names no uid: errors are logged.
func checkPerson(uid string) error {
	return (store.Key{Collection: store.Personal()[0], UID: uid, Key: "-"}).Check()
}

// reserved says whether the service keeps the uid for itself as a name: who has it has no
// feed.
func reserved(uid string) bool {
	return uid == "." || uid == ".." || len(uid) > 3 && strings.HasPrefix(uid, "__") && strings.HasSuffix(uid, "__")
}

// Tell adds the events, the first under the number.
func (f *Feed) Tell(ctx context.Context, uid string, first uint64, all []notice.Event) error {
	if reserved(uid) {
		return nil
	}
	err := checkPerson(uid)
	if err == nil && (len(all) == 0 || len(all) > eraseAtOnce || first > math.MaxInt64-eraseAtOnce) {
		err = fmt.Errorf("%w: %d events", store.ErrKey, len(all))
	}
	if err != nil {
		return store.Fault("tell", err)
	}
	writes := make([]*firestorepb.Write, 0, len(all)+1)
	for i, e := range all {
		writes = append(writes, set(fmt.Sprintf("%s/%s/%016x", f.feed(uid), events, first+uint64(i)), map[string]*firestorepb.Value{ //nolint:gosec // not negative
			"kind": text(string(e.Kind)), "ref": text(e.Ref), "version": text(e.Version), "at": moment(e.At), "expires": moment(e.At.Add(told)),
		}))
	}
	last := first + uint64(len(all)) - 1
	head := set(f.feed(uid), map[string]*firestorepb.Value{"at": moment(all[len(all)-1].At)})
	head.UpdateMask = &firestorepb.DocumentMask{FieldPaths: []string{"at"}}
	head.UpdateTransforms = []*firestorepb.DocumentTransform_FieldTransform{{FieldPath: "last",
		TransformType: &firestorepb.DocumentTransform_FieldTransform_Maximum{Maximum: integer(int64(last))}}} //nolint:gosec // checked above
	if _, err := f.store.commit(ctx, append(writes, head)); err != nil {
		return store.Fault("tell", answered(ctx, err))
	}
	return nil
}

// Forget removes the person's feed, and what is told and shown in it.
func (f *Feed) Forget(ctx context.Context, uid string) error {
	if reserved(uid) {
		return nil
	}
	if err := checkPerson(uid); err != nil {
		return store.Fault("forget", err)
	}
	for _, collection := range append(contents(), events) {
		for more := true; more; {
			var err error
			if more, err = f.forgetSome(ctx, uid, collection); err != nil {
				return store.Fault("forget", err)
			}
		}
	}
	if _, err := f.store.commit(ctx, []*firestorepb.Write{{Operation: &firestorepb.Write_Delete{Delete: f.feed(uid)}}}); err != nil {
		return store.Fault("forget", answered(ctx, err))
	}
	return nil
}

// forgetSome removes some documents of the feed's; the query has no order but the
// service's own, by name, and reads names alone.
func (f *Feed) forgetSome(ctx context.Context, uid, collection string) (more bool, err error) {
	q := &firestorepb.StructuredQuery{
		Select: &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{reference("__name__")}},
		From:   []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: collection}},
		Limit:  wrapperspb.Int32(eraseAtOnce),
	}
	var deletes []*firestorepb.Write
	err = f.store.queryOf(ctx, f.feed(uid), q, func(d *firestorepb.Document) error {
		deletes = append(deletes, &firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: d.GetName()}})
		return nil
	})
	if err != nil || len(deletes) == 0 {
		return false, err
	}
	if _, err := f.store.commit(ctx, deletes); err != nil {
		return false, answered(ctx, err)
	}
	return len(deletes) == eraseAtOnce, nil
}

func set(name string, fields map[string]*firestorepb.Value) *firestorepb.Write {
	return &firestorepb.Write{Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: fields}}}
}

func moment(t time.Time) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(t.Truncate(time.Microsecond))}}
}
