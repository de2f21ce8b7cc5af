package local

import (
	"crypto/rsa"
	"errors"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/internal/jws"
)

var errUnknownKey = errors.New("kid is not a key in use")

// check reads a token strictly. Its errors name the rule, never the token.
func (i *Issuer) check(token string) (identity.Subject, error) {
	t, err := jws.Parse(token)
	if err != nil {
		return identity.Subject{}, err
	}
	key, known := i.key(t.KeyID)
	if !known {
		return identity.Subject{}, errUnknownKey
	}
	claims, err := t.Claims(key)
	if err != nil {
		return identity.Subject{}, err
	}
	return subject(claims, jws.Clock{Now: i.now(), Leeway: leeway, MaxLife: MaxTTL})
}

func (i *Issuer) key(id string) (*rsa.PublicKey, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	key, known := i.keys[id]
	return key, known
}

// subject is whom the claims speak for.
func subject(c jws.Members, clock jws.Clock) (s identity.Subject, err error) {
	if err := errors.Join(c.Is("iss", IssuerName), c.Is("aud", Audience)); err != nil {
		return s, err
	}
	uid, err := c.Text("sub")
	if err != nil || !identity.ValidUID(uid) {
		return s, errors.New("sub is not a user")
	}
	is := identity.Subject{UID: uid}
	if is.Expires, err = c.Expires(clock); err != nil {
		return s, err
	}
	if is.AuthTime, err = c.Past("auth_time", clock); err != nil {
		return s, err
	}
	if c.Has("tenant") {
		if is.Tenant, err = c.Text("tenant"); err != nil {
			return s, err
		}
		if of, _ := identity.Tenant(uid); of != is.Tenant {
			return s, errors.New("sub is not of the tenant")
		}
	}
	if c.Has("roles") {
		names, err := c.Texts("roles")
		if err != nil {
			return s, err
		}
		if is.Roles, err = identity.Roles(names); err != nil {
			return s, err
		}
	}
	return is, nil
}
