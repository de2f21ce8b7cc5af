// Package issuer is a data directory's own issuer of tokens, for one machine.
package issuer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/local"
)

// Open opens the issuer in the directory at, which any number of processes may.
func Open(_ context.Context, at string, e platform.Env) (identity.Verifier, error) {
	return local.Open(at, e.Now)
}

// Check says what is wrong with the issuer in the directory at, where there is one. It
// changes nothing.
func Check(at string) error {
	if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
		return nil // no ingress was ever here
	}
	return local.Check(at)
}

// A Place is where an issuer is.
type Place struct {
	Dir string // the data directory
	At  string // where the issuer is; "" is its place in Dir
	Now func() time.Time
}

func (p Place) open() (*local.Issuer, error) {
	at := cmp.Or(p.At, filepath.Join(p.Dir, "identity"))
	i, err := local.Open(at, p.Now)
	if err != nil {
		return nil, datadir.Sentence(p.Dir, &platform.OpenError{Of: "identity", Driver: "local", At: at, Cause: err})
	}
	return i, nil
}

// A Request says whose token is made.
type Request struct {
	Dir, User string
	Tenant    string // that the user is of; "" for none
	// At is where the issuer is; "" is its place in Dir.
	At   string
	Role string // "", "service" or "admin"
	TTL  time.Duration
	Now  func() time.Time
}

// CheckUser says whether a person can have the name.
func CheckUser(name string) error {
	if identity.ValidUID(name) {
		return nil
	}
	return &platform.ConfigError{Text: fmt.Sprintf("%q cannot be a user's name, which is 1 to %d characters of A–Z, a–z, 0–9 and ._:@-", name, identity.MaxUID)}
}

// Token makes a token of the data directory's issuer, whether or not a platform
// is running on it.
func Token(r Request) (string, error) {
	subject := identity.Subject{UID: r.User, Tenant: r.Tenant}
	if r.Tenant != "" {
		if strings.Contains(r.Tenant, ":") {
			return "", &platform.ConfigError{Text: fmt.Sprintf("%q cannot be a tenant's name, which has no colon", r.Tenant)}
		}
		subject.UID = identity.OfTenant(r.Tenant, r.User)
	}
	switch role := identity.Role(r.Role); role {
	case "":
	case identity.Service, identity.Admin:
		subject.Roles = []identity.Role{role}
	default:
		return "", &platform.ConfigError{Text: fmt.Sprintf("there is no role %q; the roles are %s and %s", r.Role, identity.Service, identity.Admin)}
	}
	if err := CheckUser(subject.UID); err != nil {
		return "", err
	}
	if r.TTL <= 0 || r.TTL > local.MaxTTL {
		return "", &platform.ConfigError{Text: fmt.Sprintf("a token is valid for at most %s, not %s", local.MaxTTL, r.TTL)}
	}
	i, err := Place{r.Dir, r.At, r.Now}.open()
	if err != nil {
		return "", err
	}
	token, err := i.Issue(subject, r.TTL)
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return token, nil
}

// Revoke ends every token of the person that there is by now, whether or not a
// platform is running on the directory.
func Revoke(p Place, user string) error {
	if err := CheckUser(user); err != nil {
		return err
	}
	return p.change(func(i *local.Issuer) error { return i.Revoke(user, p.Now()) })
}

// Rotate makes a new signing key. Tokens of the keys before stay valid until Retire:
// between the two everybody can get a new one.
func Rotate(p Place) error { return p.change((*local.Issuer).Rotate) }

// Retire ends the tokens of every signing key but the newest.
func Retire(p Place) error { return p.change((*local.Issuer).RetireOld) }

// Count is how many signing keys there are whose tokens are valid, and how many retired.
func Count(p Place) (valid, retired int, err error) {
	i, err := p.open()
	if err != nil {
		return 0, 0, err
	}
	valid, retired = i.Count()
	return valid, retired, nil
}

func (p Place) change(act func(*local.Issuer) error) error {
	i, err := p.open()
	if err != nil {
		return err
	}
	return act(i)
}
