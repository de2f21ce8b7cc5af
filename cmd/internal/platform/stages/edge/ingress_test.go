package edge

import (
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/ingress"
)

// A proxy keeps connections for longer than a phone does, and is to be the one that ends them.
func TestAProxysConnectionsMayBeIdleForLonger(t *testing.T) {
	if got, want := limitsOf(platform.Ingress{}).IdleTimeout, ingress.DefaultLimits().IdleTimeout; got != want {
		t.Errorf("without a proxy %v, want %v", got, want)
	}
	if got := limitsOf(platform.Ingress{TrustedProxies: []string{"35.191.0.0/16"}}).IdleTimeout; got <= 10*time.Minute {
		t.Errorf("behind one %v, which ends before Google's ten minutes do", got)
	}
}

func TestTheLimitsAreThoseThatAreSaid(t *testing.T) {
	limits := limitsOf(platform.Ingress{Unlimited: true, AddressConnections: 7})
	if limits.UserRate.Burst != 0 || limits.AddressRate.Burst != 0 || limits.PerAddress != 7 {
		t.Errorf("%+v", limits)
	}
}
