package store

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

const maxNameBytes = 256

// Shards is how many shards the agenda has.
const Shards = 64

// ShardOf is the shard of a person's agenda. It never changes.
func ShardOf(uid string) int {
	sum := sha256.Sum256([]byte(uid))
	return int(sum[0]) % Shards
}

// apart are the collections that EraseUser leaves alone: a person's account, and what is
// nobody's.
func apart() []string {
	return []string{collectionAccounts, collectionKeys, collectionEndpoints, collectionMissed}
}

// Personal names the collections that EraseUser empties: all of the person's but accounts.
func Personal() []string {
	return []string{
		collectionUploads, collectionDays, collectionTombstones, collectionResults,
		collectionInsights, collectionCursors, collectionEvents, collectionProfiles,
		collectionConsents, collectionExports, collectionEmbeddings, collectionSpent, collectionAgenda, collectionMarks,
		collectionDevices,
	}
}

// Check returns ErrKey where the key names no document: an unknown collection,
// or an illegal uid or key. Drivers call it before they touch anything.
func (k Key) Check() error {
	if err := checkPlace(k.Collection, k.UID); err != nil {
		return err
	}
	if !legal(k.Key) {
		return fmt.Errorf("%w: key of %d bytes", ErrKey, len(k.Key))
	}
	return nil
}

// CheckBatch returns what makes the writes no Batch: ErrKey, ErrTooLarge, or
// ErrConflict for a version that no document can have. Drivers call it before
// they touch anything.
func CheckBatch(writes []Write) error {
	if len(writes) < 1 || len(writes) > MaxBatch {
		return fmt.Errorf("%w: %d writes are not within 1 to %d", ErrKey, len(writes), MaxBatch)
	}
	size := 0
	for i := range writes {
		if err := writes[i].check(); err != nil {
			return err
		}
		size += len(writes[i].Data)
		for j := range i {
			switch {
			case writes[j].Key.UID != writes[i].Key.UID:
				return fmt.Errorf("%w: two people", ErrKey)
			case writes[j].Key == writes[i].Key:
				return fmt.Errorf("%w: two writes of one document", ErrKey)
			}
		}
	}
	if size > maxBatchData {
		return fmt.Errorf("%w: %d bytes in one batch", ErrTooLarge, size)
	}
	return nil
}

func (w *Write) check() error {
	if err := w.Key.Check(); err != nil {
		return err
	}
	kept := w.Data != nil && !w.Check
	switch {
	case w.IfVersion < Any, w.Check && w.IfVersion == 0:
		return fmt.Errorf("%w: version %d", ErrConflict, w.IfVersion)
	case w.Check && (w.IfVersion == Any || w.Data != nil):
		return fmt.Errorf("%w: a check demands a version and changes nothing", ErrKey)
	case len(w.Data) > MaxDocument:
		return fmt.Errorf("%w: %d bytes in %s", ErrTooLarge, len(w.Data), w.Key.Collection)
	case !w.Came.IsZero() && (!kept || w.Key.Collection != collectionUploads):
		return fmt.Errorf("%w: an upload has a time at which it came, and nothing else", ErrKey)
	case !w.mayBeDue(kept):
		return fmt.Errorf("%w: the agenda's documents have a time they are due, accounts and uploads may, and no others", ErrKey)
	}
	return nil
}

// mayBeDue says whether the write has a time where one must be, and none where
// none can.
func (w *Write) mayBeDue(kept bool) bool {
	switch {
	case kept && w.Key.Collection == collectionAgenda:
		return !w.Due.IsZero()
	case kept && (w.Key.Collection == collectionAccounts || w.Key.Collection == collectionUploads):
		return true
	}
	return w.Due.IsZero()
}

// Check returns ErrKey where the query names no collection or uid or a bound
// that no key can have, and an error where its limit is out of range.
func (q Query) Check() error {
	if err := checkPlace(q.Collection, q.UID); err != nil {
		return err
	}
	for _, bound := range []string{q.From, q.To, q.After} {
		if bound != "" && !legal(bound) {
			return fmt.Errorf("%w: bound of %d bytes", ErrKey, len(bound))
		}
	}
	if q.Newest && (q.Collection != collectionUploads || q.From != "" || q.To != "" || q.Descending) || !q.Newest && !q.Came.IsZero() {
		return fmt.Errorf("%w: uploads alone are listed by the time they came, all of them and the newest first", ErrKey)
	}
	if q.Limit < 1 || q.Limit > MaxLimit {
		return fmt.Errorf("store: limit %d is not within 1 to %d", q.Limit, MaxLimit)
	}
	return nil
}

// checkPlace names no uid: errors are logged.
func checkPlace(collection, uid string) error {
	if !slices.Contains(apart(), collection) && !slices.Contains(Personal(), collection) {
		return fmt.Errorf("%w: no such collection", ErrKey)
	}
	if !legal(uid) {
		return fmt.Errorf("%w: uid of %d bytes", ErrKey, len(uid))
	}
	return nil
}

func legal(s string) bool {
	if len(s) == 0 || len(s) > maxNameBytes {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '@', c == '=', c == '-':
		default:
			return false
		}
	}
	return true
}
