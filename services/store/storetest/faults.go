package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/store"
)

func testFaults(t *testing.T, open Opener) {
	d := open()
	k := at(faulttest.Mark, faulttest.Mark)
	put(t, d, k, 0, faulttest.Mark)
	_, err := write(context.Background(), d, store.Write{Key: k, Data: []byte(faulttest.Mark)})
	faulttest.Of(t, err, "store", "write")
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != fault.Conflict || !errors.Is(err, store.ErrConflict) {
		t.Errorf("a write over another version: %v", err)
	}
	_, err = write(context.Background(), d, store.Write{Key: k, IfVersion: store.Any, Data: make([]byte, store.MaxDocument+1)})
	faulttest.Of(t, err, "store", "write")
	if !errors.As(err, &f) || f.Class != fault.Limit || !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a document that is too large: %v", err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = d.Get(over, k)
	faulttest.Of(t, err, "store", "get")
	_, err = write(over, d, store.Write{Key: k, IfVersion: store.Any})
	faulttest.Of(t, err, "store", "write")
	_, err = d.List(over, store.Query{Collection: collection, UID: faulttest.Mark, Limit: 1})
	faulttest.Of(t, err, "store", "list")
	_, err = d.Due(over, timed(), 0, time.Now(), 1)
	faulttest.Of(t, err, "store", "due")
	faulttest.Of(t, d.EraseUser(over, faulttest.Mark), "store", "erase")
	_, err = d.Get(context.Background(), at(faulttest.Mark, "no such "+faulttest.Mark))
	faulttest.NamesNobody(t, "an illegal key", err)
	_, err = d.Get(context.Background(), at(faulttest.Mark, "other"))
	faulttest.NamesNobody(t, "a document that is not there", err)
}
