package kms

import (
	"fmt"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// PlaceOf is where the person's document lies.
func PlaceOf(t *testing.T, k *Keyring, uid string) store.Key {
	t.Helper()
	place, err := k.place(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// What is held is bounded, and what nobody uses goes.
func TestWhatIsHeldIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)
	p, err := openPeople(documents{storetest.Memory(time.Now)}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for i := range cacheSize + 100 {
		p.remember(fmt.Sprint(i), held{version: 1})
	}
	if n := p.cache.Len(); n != cacheSize {
		t.Errorf("%d are held", n)
	}
	now = now.Add(unused - 1)
	if _, is := p.remembered(fmt.Sprint(cacheSize)); !is {
		t.Error("one that was used is gone")
	}
	now = now.Add(1)
	if _, is := p.remembered(fmt.Sprint(cacheSize)); !is || p.cache.Len() != 1 {
		t.Errorf("%d are held that nobody used", p.cache.Len()-1)
	}
}
