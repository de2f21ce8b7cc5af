package firestore

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/clarity-loop/clarity/services/store"
)

// The fields of a document.
const (
	fieldData    = "d"
	fieldKey     = "k"
	fieldDue     = "w"
	fieldArrival = "a"
	fieldNonce   = "n"
)

const (
	// documents is the collection in each shard.
	documents = "documents"
	// uploads is the collection of what has a time at which it came.
	uploads = "uploads"
	// apart stands between the parts of an id. It is in no part, so that what begins
	// with parts and it is what has these parts; behind is greater by one.
	apart  = "~"
	behind = "\x7f"
)

// shard is where the documents of a shard lie.
func (s *Store) shard(n int) string { return fmt.Sprintf("%s/shards/%02d", s.root, n) }

// idOf says what a document is within its shard. It is no name that Firestore keeps
// for itself, whatever the parts are: it begins with a collection.
func idOf(k store.Key) string { return placeOf(k.Collection, k.UID) + apart + k.Key }

func placeOf(collection, uid string) string { return collection + apart + uid }

// name is the document's, for the service.
func (s *Store) name(k store.Key) string {
	return s.shard(store.ShardOf(k.UID)) + "/" + documents + "/" + idOf(k)
}

// keyOf takes an id apart.
func keyOf(id string) (store.Key, bool) {
	parts := strings.Split(id, apart)
	if len(parts) != 3 {
		return store.Key{}, false
	}
	return store.Key{Collection: parts[0], UID: parts[1], Key: parts[2]}, true
}

// arrivalOf is greater for what came earlier, and for the greater key of what came
// in one millisecond.
func arrivalOf(uid string, came time.Time, key string) string {
	until := uint64(math.MaxInt64) - uint64(came.UnixMilli()) //nolint:gosec // whatever the time, the order is kept
	return fmt.Sprintf("%s%s%016x%s%s", uid, apart, until, apart, key)
}

// cameOf is the time in an arrival.
func cameOf(arrival string) (time.Time, bool) {
	parts := strings.Split(arrival, apart)
	if len(parts) != 3 {
		return time.Time{}, false
	}
	until, err := strconv.ParseUint(parts[1], 16, 64)
	return time.UnixMilli(int64(uint64(math.MaxInt64) - until)).UTC(), err == nil //nolint:gosec // as above
}

// dueOf is greater for what is due later.
func dueOf(collection string, due time.Time) string {
	return fmt.Sprintf("%s%s%016x", collection, apart, uint64(due.UnixMicro())^sign) //nolint:gosec // the order is that of the times
}

// sign is the bit that has what is negative be less.
const sign = 1 << 63

// timeDue is the time in what dueOf made.
func timeDue(due string) (time.Time, bool) {
	_, at, _ := strings.Cut(due, apart)
	n, err := strconv.ParseUint(at, 16, 64)
	return time.UnixMicro(int64(n ^ sign)).UTC(), err == nil //nolint:gosec // as above
}

// versionOf is an update time's.
func versionOf(t *timestamppb.Timestamp) int64 { return t.AsTime().UnixMicro() }

// lastVersion is of the last time that the service knows: no document has a greater.
var lastVersion = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()

func text(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func integer(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}

// fieldsOf are a write's.
func fieldsOf(w *store.Write) map[string]*firestorepb.Value {
	fields := map[string]*firestorepb.Value{
		fieldData:  {ValueType: &firestorepb.Value_BytesValue{BytesValue: w.Data}},
		fieldKey:   text(idOf(w.Key)),
		fieldNonce: integer(nonce()),
	}
	if !w.Due.IsZero() {
		fields[fieldDue] = text(dueOf(w.Key.Collection, w.Due))
	}
	if w.Key.Collection == uploads {
		fields[fieldArrival] = text(arrivalOf(w.Key.UID, w.Came, w.Key.Key))
	}
	return fields
}

func nonce() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:])                         // it never fails
	return int64(binary.LittleEndian.Uint64(b[:])) //nolint:gosec // any number
}

// documentOf is what the service has.
func documentOf(d *firestorepb.Document) (store.Document, error) {
	fields := d.GetFields()
	key, legal := keyOf(fields[fieldKey].GetStringValue())
	data, is := fields[fieldData].GetValueType().(*firestorepb.Value_BytesValue)
	if !legal || !is {
		return store.Document{}, errDamaged
	}
	doc := store.Document{Key: key, Version: versionOf(d.GetUpdateTime()), Updated: d.GetUpdateTime().AsTime(), Data: data.BytesValue}
	if doc.Data == nil {
		doc.Data = []byte{}
	}
	if due, is := fields[fieldDue]; is {
		if doc.Due, legal = timeDue(due.GetStringValue()); !legal {
			return doc, errDamaged
		}
	}
	if key.Collection == uploads {
		if doc.Came, legal = cameOf(fields[fieldArrival].GetStringValue()); !legal {
			return doc, errDamaged
		}
	}
	return doc, nil
}
