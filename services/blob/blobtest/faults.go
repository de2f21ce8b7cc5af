package blobtest

import (
	"context"
	"errors"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
)

func testFaults(t *testing.T, open Opener) {
	s, name := open(), "uploads/"+faulttest.Mark+"/1"
	put(t, s, name, []byte(faulttest.Mark))
	_, err := s.Put(context.Background(), name, []byte(faulttest.Mark))
	faulttest.Of(t, err, "blob", "put")
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != fault.Conflict || !errors.Is(err, blob.ErrExists) {
		t.Errorf("a put of a name that is taken: %v", err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Put(over, name+"2", nil)
	faulttest.Of(t, err, "blob", "put")
	_, err = s.Renew(over, name)
	faulttest.Of(t, err, "blob", "renew")
	faulttest.Of(t, s.Delete(over, name, 1), "blob", "delete")
	faulttest.Of(t, s.DeletePrefix(over, name), "blob", "delete prefix")
	_, err = s.Stat(over, name)
	faulttest.Of(t, err, "blob", "stat")
	_, err = s.Get(over, name)
	faulttest.Of(t, err, "blob", "get")
	_, err = s.List(over, "uploads/"+faulttest.Mark, "", 1)
	faulttest.Of(t, err, "blob", "list")
	_, err = s.Get(context.Background(), name+"/other")
	faulttest.NamesNobody(t, "an object that is not there", err)
	_, err = s.Put(context.Background(), name+"/ä", nil)
	faulttest.NamesNobody(t, "an illegal name", err)
}
