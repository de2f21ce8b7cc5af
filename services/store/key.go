package store

import (
	"fmt"
	"slices"
)

// MaxLimit is the most documents one Query returns.
const MaxLimit = 1000

const maxNameBytes = 256

// Personal names the collections that EraseUser empties: all but Accounts.
func Personal() []string {
	return []string{
		collectionUploads, collectionDays, collectionTombstones, collectionResults,
		collectionInsights, collectionCursors, collectionEvents, collectionProfiles,
		collectionConsents, collectionExports, collectionEmbeddings,
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
	if q.Limit < 1 || q.Limit > MaxLimit {
		return fmt.Errorf("store: limit %d is not within 1 to %d", q.Limit, MaxLimit)
	}
	return nil
}

// checkPlace names no uid: errors are logged.
func checkPlace(collection, uid string) error {
	if collection != collectionAccounts && !slices.Contains(Personal(), collection) {
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
