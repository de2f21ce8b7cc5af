package upload

import (
	"fmt"
	"strings"
	"testing"
)

func TestWhatNamesOfZonesLookLike(t *testing.T) {
	for name, want := range map[string]bool{
		"Asia/Tokyo": true, "Zulu": true, "America/Port-au-Prince": true, "Etc/GMT+12": true, "America/Argentina/Buenos_Aires": true, "Etc/GMT-0": true, "Xz/aZ9": true,
		"": false, "Local": false, "localtime": false, "asia/tokyo": false, "@sia": false, "[sia": false, "../etc": false, "Asia/..": false, "Asia Tokyo": false, "Asia:": false, "A`": false, "A{": false, "A@": false, "A[": false, "A,": false,
		"A" + strings.Repeat("a", 63): true, "A" + strings.Repeat("a", 64): false,
	} {
		if got := plausible([]byte(name)); got != want {
			t.Errorf("%q looks like one: %v", name, got)
		}
	}
}

// One upload may name 64 zones, however often; the next upload 64 of its own.
func TestHowManyZonesAnUploadMayName(t *testing.T) {
	z := zones{valid: map[string]string{}}
	for range 2 {
		for round := range 2 {
			for i := range maxZones - 2 {
				if _, ok := z.find([]byte(fmt.Sprintf("Nowhere/%d", i))); ok {
					t.Errorf("round %d: %d is one", round, i)
				}
			}
			for _, name := range []string{"Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "Asia/Tokyo"} {
				if got, ok := z.find([]byte(name)); got != name || !ok {
					t.Errorf("round %d: %s is %q, %v", round, name, got, ok)
				}
			}
		}
		if got, ok := z.find([]byte("Asia/Seoul")); ok {
			t.Errorf("a 65th is %q", got)
		}
		z.forget()
	}
}
