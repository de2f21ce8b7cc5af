package upload

import (
	"fmt"
	"testing"
)

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
