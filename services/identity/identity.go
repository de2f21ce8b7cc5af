// Package identity is the contract for who is asking.
//
// Verify MUST check the signature, issuer, audience, times and revocation of
// the token, and derive the Subject from nothing else. Any doubt is ErrInvalid;
// a verifier that cannot reach what it needs to decide is ErrUnavailable, never
// a yes. Neither error holds the token or a part of it.
//
// What a token says, and that it was signed, holds until it expires. That neither
// it nor its key was revoked, nor the person disabled, is another's to say, and may
// cost a call: Verify MAY believe what it was told of that for MaxCached, which
// serves reads and uploads. Fresh MUST ask now. It is for what cannot be taken back:
// an erasure, an export, a consent.
//
// The UID alone says which person it is: documents, keys and messages are kept
// by it, and it says of which tenant they are: see OfTenant, by which a driver makes
// the UID of who belongs to one. It MUST NOT give two people one UID, of two tenants neither.
package identity

import (
	"context"
	"errors"
	"time"
)

// The sentinels a driver wraps.
var (
	ErrInvalid     = errors.New("identity: token is not valid")
	ErrUnavailable = errors.New("identity: tokens cannot be verified now")
)

// A Verifier turns a bearer token into a Subject.
type Verifier interface {
	Verify(ctx context.Context, token string) (Subject, error)
	Fresh(ctx context.Context, token string) (Subject, error)
}

// A Subject is who a verified token speaks for.
type Subject struct {
	UID      string // 1 to 128 bytes of [A-Za-z0-9._:@-]
	Tenant   string // "" for the only one; not part of who the person is
	Roles    []Role
	AuthTime time.Time // when the person last proved who they are
	Expires  time.Time // when the token stops being valid
}

// A Role is a right beyond one's own data.
type Role string

// The roles a token can carry.
const (
	Service Role = "service" // another part of the platform
	Admin   Role = "admin"   // an operator of the platform; sees no one's health data
)

// Roles are those of the names, or an error where one is none.
func Roles(names []string) ([]Role, error) {
	roles := make([]Role, len(names))
	for i, name := range names {
		roles[i] = Role(name)
		if roles[i] != Service && roles[i] != Admin {
			return nil, errors.New("identity: an unknown role")
		}
	}
	return roles, nil
}

// Has reports whether the subject carries the role.
func (s Subject) Has(r Role) bool {
	for _, have := range s.Roles {
		if have == r {
			return true
		}
	}
	return false
}

// MaxUID bounds a uid's bytes.
const MaxUID = 128

// ValidUID reports whether s can be a Subject's UID.
func ValidUID(s string) bool {
	if s == "" || len(s) > MaxUID {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '_', c == ':', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}
