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
	err := s.Put(context.Background(), name, []byte(faulttest.Mark))
	faulttest.Of(t, err, "blob", "put")
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != fault.Conflict || !errors.Is(err, blob.ErrExists) {
		t.Errorf("a put of a name that is taken: %v", err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	faulttest.Of(t, s.Put(over, name+"2", nil), "blob", "put")
	faulttest.Of(t, s.Delete(over, name), "blob", "delete")
	_, err = s.Get(over, name)
	faulttest.Of(t, err, "blob", "get")
	_, err = s.List(over, "uploads/"+faulttest.Mark, "", 1)
	faulttest.Of(t, err, "blob", "list")
	_, err = s.Get(context.Background(), name+"/other")
	faulttest.NamesNobody(t, "an object that is not there", err)
	faulttest.NamesNobody(t, "an illegal name", s.Put(context.Background(), name+"/ä", nil))
}
