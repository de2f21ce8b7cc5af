package identity

import "strings"

// OfTenant is the UID of who is known to a tenant by a name: the tenant, a colon and
// the name. Of who belongs to none it is the name alone, with a colon before it where
// it has one in it. No two have one UID.
func OfTenant(tenant, name string) string {
	if tenant == "" && !strings.Contains(name, ":") {
		return name
	}
	return tenant + ":" + name
}

// Tenant is the tenant of a UID, and the name that it has there.
func Tenant(uid string) (tenant, name string) {
	tenant, name, of := strings.Cut(uid, ":")
	if !of {
		return "", uid
	}
	return tenant, name
}
