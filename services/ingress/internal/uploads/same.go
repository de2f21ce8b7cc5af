package uploads

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/content"
	"github.com/clarity-loop/clarity/services/record"
)

// comparedMembers is the most that is compared member for member: a tree takes some
// ten times its text. What is larger is compared byte for byte.
const comparedMembers = 4 << 20

// sameContent says whether an upload holds what the first of its id does. It is asked
// only where the bytes differ: a phone that encodes its batch anew, as its JSON
// encoder and its compressor please, sends the same batch. Of one that lay in its record
// and is merged the digest of its content is left. What can no longer be compared, as
// the body has served its time, is another.
func (r *Room) sameContent(ctx context.Context, a acceptedUpload, first record.Upload) (bool, error) {
	if err := r.inflating.Acquire(ctx, inflatingAtOnce); err != nil {
		return false, fmt.Errorf("wait for room: %w", err)
	}
	defer r.inflating.Release(inflatingAtOnce)
	now, err := upload.Inflate(nil, a.encoding, a.body)
	if err != nil {
		return false, fmt.Errorf("inflate it: %w", err)
	}
	if first.Content != "" {
		says, err := content.Of(now, health.InstantOf(first.ReceivedAt))
		return err == nil && says == first.Content, nil // it may be read no more by the clock of then
	}
	body, err := r.bodyOf(ctx, a.uid, first)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	before, err := upload.Inflate(nil, first.Encoding, body)
	if err != nil {
		return false, fmt.Errorf("inflate it: %w", err)
	}
	return sameJSON(before, now), nil
}

// bodyOf is the body of an upload, as it was received.
func (r *Room) bodyOf(ctx context.Context, uid string, u record.Upload) ([]byte, error) {
	if u.Blob == "" {
		return u.Body, nil
	}
	return r.Objects.Get(ctx, uid, u.Blob)
}

// sameJSON says whether two texts are one JSON document. Numbers are the same if they
// are written the same.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if len(a) > comparedMembers || len(b) > comparedMembers {
		return false
	}
	x, err := tree(a)
	if err != nil {
		return false
	}
	y, err := tree(b)
	return err == nil && reflect.DeepEqual(x, y)
}

func tree(text []byte) (root any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&root)
	return root, err
}
