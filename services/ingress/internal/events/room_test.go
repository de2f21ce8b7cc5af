package events

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/identity"
)

func TestAStreamLivesNoLongerThanItsToken(t *testing.T) {
	now := time.Unix(1000, 0)
	r := New(Needs{Now: func() time.Time { return now }, Lifetime: time.Minute})
	for name, tt := range map[string]struct {
		expires time.Time
		want    time.Duration
	}{"no end": {time.Time{}, time.Minute}, "later": {now.Add(time.Hour), time.Minute}, "sooner": {now.Add(time.Second), time.Second}} {
		if got := r.lifetime(identity.Subject{Expires: tt.expires}); got != tt.want {
			t.Errorf("a token that ends %s: %s, want %s", name, got, tt.want)
		}
	}
}
