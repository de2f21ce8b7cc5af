package identity_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/identity"
)

// No two accounts have one UID, and each is found by its own.
func TestUIDsAreOneToOne(t *testing.T) {
	parts := []string{"", "a", "b", ":", "a:", ":a", "a:b", "::", "a:b:c"}
	seen := map[string][2]string{}
	for _, tenant := range []string{"", "a", "b", "c-1"} {
		for _, sub := range parts[1:] {
			uid := identity.OfTenant(tenant, sub)
			if former, twice := seen[uid]; twice {
				t.Errorf("%q is %q and %q", uid, former, [2]string{tenant, sub})
			}
			seen[uid] = [2]string{tenant, sub}
			if gotTenant, gotSub := identity.Tenant(uid); gotTenant != tenant || gotSub != sub {
				t.Errorf("%q is found as %q of %q", uid, gotSub, gotTenant)
			}
		}
	}
}
