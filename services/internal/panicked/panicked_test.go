package panicked_test

import (
	"regexp"
	"testing"

	"github.com/clarity-loop/clarity/services/internal/panicked"
)

func TestPlaceIsWhereItPanicked(t *testing.T) {
	var place string
	func() {
		defer func() {
			if recover() != nil {
				place = panicked.Place()
			}
		}()
		panic("a health value")
	}()
	if !regexp.MustCompile(`^ at panicked/panicked_test\.go:\d+$`).MatchString(place) {
		t.Errorf("it panicked%s", place)
	}
}

func TestPlaceIsNowhereWhereNothingPanicked(t *testing.T) {
	if place := panicked.Place(); place != "" {
		t.Errorf("it panicked%s", place)
	}
}
