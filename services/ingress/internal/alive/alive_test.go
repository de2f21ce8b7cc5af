package alive

import (
	"errors"
	"testing"
)

func TestAProbeIsToldOfAFullDisk(t *testing.T) {
	for want, space := range map[string]func() error{"ok": func() error { return nil }, "disk_full": func() error { return errors.New("full") }} {
		if got := Within(space).Body.Status; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if Within(nil).Body.Status != "ok" {
		t.Error("who has no disk of their own has room")
	}
}
