package patience_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/internal/patience"
)

func TestATroubleIsSaidOnceAndLookedAtEverMoreRarely(t *testing.T) {
	var trouble patience.Trouble
	looks, said := 0, 0
	look := func(reason string, done bool, times int) {
		looks, said = 0, 0
		for range times {
			if trouble.Rests() {
				continue
			}
			looks++
			if trouble.Saw(reason, done) {
				said++
			}
		}
	}
	for _, tt := range []struct {
		name         string
		reason       string
		done         bool
		looks, times int
		said         int
	}{
		{"nothing is wrong", "", false, 100, 100, 0},
		{"all is", "full", false, 43, 1000, 1},
		{"it is another", "away", false, 4, 100, 1},
		{"some is done all the same", "away", true, 95, 100, 0},
		{"it is over", "", false, 100, 100, 1},
	} {
		look(tt.reason, tt.done, tt.times)
		if said != tt.said || looks != tt.looks {
			t.Errorf("%s: %d looks, said %d times; want %d, %d", tt.name, looks, said, tt.looks, tt.said)
		}
	}
}
