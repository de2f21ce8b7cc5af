package firestore_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/veil"
)

// hashes name people by a hash.
type hashes struct{}

func (hashes) Pseudonym(_ context.Context, uid string) (string, error) {
	sum := sha256.Sum256([]byte("of this platform: " + uid))
	return hex.EncodeToString(sum[:]), nil
}

// As the platform opens it: the driver is given names.
func TestConformanceBehindTheVeil(t *testing.T) {
	c := database(t)
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		return opener(t, c, func(d store.Driver) store.Driver { return veil.NewDocuments(d, hashes{}) })
	})
}

// What leaves the process names nobody, in its headers neither.
func TestNoRequestNamesAPerson(t *testing.T) {
	var r record
	below := open(t, database(t), r.options()...)
	d := veil.NewDocuments(below, hashes{})
	const uid = faulttest.Mark
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tokens, err := d.Tail(ctx, "deliveries", uid, "")
	if err != nil {
		t.Fatal(err)
	}
	versions, err := d.Batch(ctx, []store.Write{
		{Key: store.Key{Collection: "deliveries", UID: uid, Key: "0001"}, Data: []byte("sealed")},
		{Key: store.Key{Collection: "accounts", UID: uid, Key: "account"}, Data: []byte("{}")},
		{Key: store.Key{Collection: "uploads", UID: uid, Key: faulttest.Mark}, Data: []byte("sealed"), Came: epoch},
		{Key: store.Key{Collection: "agenda", UID: uid, Key: "upload:" + faulttest.Mark}, Data: []byte("sealed"), Due: epoch},
	})
	if err != nil {
		t.Fatal(err)
	}
	soon(t, tokens, "of what was written")
	shard, err := d.Shard(ctx, uid)
	if err != nil {
		t.Fatal(err)
	}
	_, get := d.Get(ctx, store.Key{Collection: "uploads", UID: uid, Key: faulttest.Mark})
	_, list := d.List(ctx, store.Query{Collection: "uploads", UID: uid, Newest: true, Limit: 9})
	_, due := d.Due(ctx, []string{"agenda", "uploads"}, shard, epoch, 9)
	who, people := d.People(ctx, "", 9)
	_, check := d.Batch(ctx, []store.Write{{Key: store.Key{Collection: "accounts", UID: uid, Key: "account"}, IfVersion: versions[1], Check: true}})
	if err := errors.Join(get, list, due, people, check, d.EraseUser(ctx, uid)); err != nil || len(who) != 1 || who[0] != uid {
		t.Fatalf("%v, %v", who, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sent) < 20 {
		t.Errorf("only %d requests were seen", len(r.sent))
	}
	for _, request := range r.sent {
		if said := fmt.Sprint(request); strings.Contains(said, faulttest.Mark) {
			t.Errorf("%T: %s", request, said)
		}
	}
}
