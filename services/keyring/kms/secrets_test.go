package kms_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/store"
)

// A secret is the same for all processes, whoever was first, and through rotations; another
// room's is another.
func TestASecretIsOne(t *testing.T) {
	w := newWorld(t)
	if _, err := w.process(t).Secret(t.Context(), "audit", false); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("before one is made: %v", err)
	}
	const processes = 8
	found := make([][]byte, processes)
	var all sync.WaitGroup
	for i := range found {
		k := w.process(t)
		all.Go(func() {
			var err error
			if found[i], err = k.Secret(t.Context(), "audit", true); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	k := w.process(t)
	anna := sealed(t, k, "anna") // that a secret is there makes no key of hers missing
	for range 2 {
		before, err := k.Census(t.Context())
		if err != nil || before.Older != 0 {
			t.Fatalf("%+v, %v", before, err)
		}
		if err := k.RotateKEK(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p, err := k.Rewrap(t.Context(), ""); err != nil || p.Cursor != "" || p.Done != before.Wrapped {
			t.Fatalf("%+v, %v; %d are wrapped", p, err, before.Wrapped)
		}
	}
	again, err := w.process(t).Secret(t.Context(), "audit", false)
	if err != nil || len(again) != 32 {
		t.Fatalf("behind two rotations: %d bytes, %v", len(again), err)
	}
	for _, one := range found {
		if !bytes.Equal(one, again) {
			t.Error("two processes have two secrets")
		}
	}
	other, err := k.Secret(t.Context(), "another", true)
	if err != nil || bytes.Equal(other, again) {
		t.Errorf("another room has the same, %v", err)
	}
	opens(t, w.process(t), "anna", anna)
}

// A secret's document opens as no other's, and is nowhere in the clear.
func TestASecretIsWrappedForItsUse(t *testing.T) {
	w := newWorld(t)
	k := w.process(t)
	secret, err := k.Secret(t.Context(), "audit", true)
	if err != nil {
		t.Fatal(err)
	}
	at := store.Key{Collection: "keys", UID: "ring", Key: "secret-audit"}
	doc, err := w.documents.Get(t.Context(), at)
	if err != nil || bytes.Contains(doc.Data, secret) {
		t.Fatalf("%q, %v", doc.Data, err)
	}
	at.Key = "secret-another"
	if _, err := w.documents.Batch(t.Context(), []store.Write{{Key: at, Data: doc.Data}}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Secret(t.Context(), "another", true); !errors.Is(err, keyring.ErrNoKey) {
		t.Errorf("one room's secret opens as another's: %v", err)
	}
	w.Away(codes.Unavailable)
	_, err = w.process(t).Secret(t.Context(), "audit", true)
	faulttest.Of(t, err, "keyring", "find a secret")
	if err != nil && strings.Contains(err.Error(), "demo-clarity") {
		t.Errorf("%v names the key", err)
	}
}
