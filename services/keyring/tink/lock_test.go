package tink

import (
	"fmt"
	"testing"
	"time"
)

// A newcomer's key may take the disk seconds to keep: nobody else waits for it.
func TestNobodyWaitsForANewcomersKey(t *testing.T) {
	k, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const newcomer = "newcomer"
	other := "anna"
	for i := 0; &k.people[stripeOf(newcomer)] == &k.people[stripeOf(other)]; i++ {
		other = fmt.Sprint("anna-", i)
	}
	sealed, err := k.Seal(t.Context(), other, "n", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	unlock := k.people.of(newcomer) // the newcomer's key is on its way to the disk
	done := make(chan error, 1)
	go func() {
		_, err := k.Seal(t.Context(), other, "m", []byte("x"))
		if err == nil {
			_, err = k.Open(t.Context(), other, "n", sealed)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("who has a key waits for one who has none yet")
	}
	unlock()
	if _, err := k.Seal(t.Context(), newcomer, "n", nil); err != nil {
		t.Error(err)
	}
}
