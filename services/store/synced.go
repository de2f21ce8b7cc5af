package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/clarity-loop/clarity/services/record"
)

// cursorsKey is the key of a person's one Cursors record. The releases before kept
// a record a type, by its name; no name was written so.
const cursorsKey = "=all"

// Synced is how far the person's types are synchronised, with version 0 where
// nothing is yet.
func (s *Store) Synced(ctx context.Context, uid string) (Record[record.Cursors], error) {
	found, err := s.Cursors.Get(ctx, uid, cursorsKey)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return found, err
	}
	if err == nil {
		return found, nil
	}
	return s.gather(ctx, uid)
}

// gather makes one record of the releases before's record a type.
func (s *Store) gather(ctx context.Context, uid string) (Record[record.Cursors], error) {
	found := Record[record.Cursors]{Key: cursorsKey, Value: record.Cursors{Types: map[string]record.Cursor{}}}
	each := Collection[record.Cursor]{s.driver, s.Cursors.sealer, s.Cursors.name}
	former, err := each.List(ctx, uid, Query{Limit: MaxLimit})
	if err != nil || len(former) == 0 {
		return found, err
	}
	remove := make([]Change, 0, len(former))
	for _, r := range former {
		if r.Key == cursorsKey { // another process has gathered them meanwhile
			return s.Cursors.Get(ctx, uid, cursorsKey)
		}
		found.Value.Types[typeOf(r.Key)] = r.Value
		remove = append(remove, each.ToDelete(r.Key, Any))
	}
	if found.Version, err = s.Cursors.Put(ctx, uid, cursorsKey, 0, found.Value); err != nil {
		return found, fmt.Errorf("gather cursors: %w", err)
	}
	for len(remove) > 0 {
		n := min(len(remove), MaxBatch)
		if _, err := s.Batch(ctx, uid, remove[:n]...); err != nil {
			return found, fmt.Errorf("remove former cursors: %w", err)
		}
		remove = remove[n:]
	}
	return found, nil
}

// typeOf is the type whose cursor the releases before kept under the key: bytes
// that a key cannot hold were written as = and two hexadecimal digits. Of a long
// one only a digest was kept, which begins with ==.
func typeOf(key string) string {
	if strings.HasPrefix(key, "==") {
		return key
	}
	var name strings.Builder
	for i := 0; i < len(key); i++ {
		if key[i] == '=' && i+2 < len(key) {
			if b, err := hex.DecodeString(key[i+1 : i+3]); err == nil {
				name.Write(b)
				i += 2
				continue
			}
		}
		name.WriteByte(key[i])
	}
	return name.String()
}
