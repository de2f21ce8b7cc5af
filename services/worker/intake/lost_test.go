package intake_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// What is failed for its body is what the ingress restores when the body comes again.
func TestWhatIsLostIsSaidInOneWord(t *testing.T) {
	for why, lost := range map[string]bool{intake.BodyDamaged: true, intake.BodyGone: true, "body_unreadable": false} {
		if got := (record.Upload{State: record.UploadFailed, Reason: why}).Lost(); got != lost {
			t.Errorf("%s: %v", why, got)
		}
	}
}
