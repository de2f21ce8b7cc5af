// Package local is an issuer and verifier of RS256 tokens for one machine: what
// `clarity up` trusts in place of Firebase Auth. Its key lies in a file of mode
// 0600; whoever can read it can be anyone, so it must never serve beyond loopback.
package local

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/identity"
)

// What every token of a local issuer says.
const (
	IssuerName = "https://local.clarityloop.dev"
	Audience   = "clarity-local"
)

// MaxTTL bounds a token's life.
const MaxTTL = 24 * time.Hour

// leeway is how far clocks may be apart.
const leeway = time.Minute

// An Issuer makes and verifies tokens. It is an identity.Verifier.
type Issuer struct {
	dir string
	now func() time.Time

	mu      sync.RWMutex
	state   state
	keys    map[string]*rsa.PublicKey
	current *signer
	modTime time.Time
	checked time.Time
	unread  error // of the last look at the file; while there is one nobody is believed
}

// Open opens the issuer in dir, making the directory and a key at first. Other
// processes may open it at the same time; changes are seen within a second, and
// one process at a time makes them.
func Open(dir string, now func() time.Time) (*Issuer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open local issuer: %w", err)
	}
	i := &Issuer{dir: dir, now: now}
	if err := i.load(); err != nil {
		return nil, fmt.Errorf("open local issuer: %w", err)
	}
	i.modTime = i.fileTime()
	if len(i.state.Revoked) > 0 {
		var inUse *dirlock.InUseError
		err := i.change("take over revocations", func(*state) error { return nil })
		if err != nil && !errors.As(err, &inUse) { // another process does it
			return nil, fmt.Errorf("open local issuer: %w", err)
		}
	}
	return i, nil
}

// Check is the error of an issuer in dir that cannot be opened, or is not there: it
// makes and changes nothing.
func Check(dir string) error {
	i := &Issuer{dir: dir}
	if _, err := os.Stat(i.path()); err != nil {
		return fmt.Errorf("check local issuer: %w", err)
	}
	if err := i.load(); err != nil {
		return fmt.Errorf("check local issuer: %w", err)
	}
	return nil
}

// Issue makes a token that says who the subject is for ttl, at most MaxTTL. A
// zero AuthTime is now; Expires is ignored. The UID says which tenant it is of: see
// identity.OfTenant.
func (i *Issuer) Issue(s identity.Subject, ttl time.Duration) (string, error) {
	if !identity.ValidUID(s.UID) {
		return "", fmt.Errorf("issue token: a user is 1 to 128 characters of A-Z a-z 0-9 . _ : @ -")
	}
	if of, _ := identity.Tenant(s.UID); s.Tenant != "" && of != s.Tenant {
		return "", fmt.Errorf("issue token: the user is not of the tenant")
	}
	if ttl <= 0 || ttl > MaxTTL {
		return "", fmt.Errorf("issue token: a token lives more than 0 and at most %v", MaxTTL)
	}
	now := i.now()
	if s.AuthTime.IsZero() {
		s.AuthTime = i.after(s.UID, now)
	}
	claims := jwt.MapClaims{
		"iss": IssuerName, "aud": Audience, "sub": s.UID,
		"iat": now.Unix(), "exp": now.Add(ttl).Unix(), "auth_time": s.AuthTime.Unix(),
	}
	if s.Tenant != "" {
		claims["tenant"] = s.Tenant
	}
	if len(s.Roles) > 0 {
		claims["roles"] = s.Roles
	}
	i.mu.RLock()
	key := i.current
	i.mu.RUnlock()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = key.kid
	signed, err := token.SignedString(key.private)
	if err != nil {
		return "", fmt.Errorf("issue token: %w", err)
	}
	return signed, nil
}

// after is the moment of an authentication now, as a token names it, in whole seconds:
// behind a revocation that was a moment ago, by this clock, also where both are in one second.
func (i *Issuer) after(uid string, now time.Time) time.Time {
	i.mu.RLock()
	defer i.mu.RUnlock()
	revoked, is := i.state.ended(uid)
	if is && now.Unix() <= revoked.Unix() && revoked.Sub(now) < leeway/2 {
		return time.Unix(revoked.Unix()+1, 0)
	}
	return now
}

// Verify checks a token and derives the subject from it alone.
func (i *Issuer) Verify(_ context.Context, token string) (identity.Subject, error) {
	return i.verify(token, i.refresh)
}

// Fresh is Verify by what the file says at this moment.
func (i *Issuer) Fresh(_ context.Context, token string) (identity.Subject, error) {
	return i.verify(token, i.reload)
}

func (i *Issuer) verify(token string, look func() error) (identity.Subject, error) {
	if err := look(); err != nil {
		return identity.Subject{}, fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
	}
	subject, err := i.check(token)
	if errors.Is(err, errUnknownKey) { // of another process, which may have made it this moment
		if err = i.reload(); err != nil {
			return identity.Subject{}, fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
		}
		subject, err = i.check(token)
	}
	if err != nil {
		return identity.Subject{}, fmt.Errorf("%w: %w", identity.ErrInvalid, err)
	}
	i.mu.RLock()
	revoked, is := i.state.ended(subject.UID)
	i.mu.RUnlock()
	if is && !subject.AuthTime.After(revoked) {
		return identity.Subject{}, fmt.Errorf("%w: revoked", identity.ErrInvalid)
	}
	return subject, nil
}

// Ready says why nobody's token can be verified now.
func (i *Issuer) Ready(context.Context) error {
	if err := i.reload(); err != nil {
		return fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
	}
	return nil
}

// Revoke makes every token of the person invalid whose authentication is not
// after the moment given. It is for who operates the issuer, when a person's
// device is lost. Other processes see it within a second; who caches answers believes
// those of before for identity.MaxCached, unless they are to be fresh.
func (i *Issuer) Revoke(uid string, until time.Time) error {
	return i.change("revoke", func(s *state) error {
		s.end(map[string]time.Time{uid: until})
		return nil
	})
}

// Rotate makes a new signing key. Tokens of the keys before stay valid until
// those are retired. It is for who operates the issuer, and the first of two steps
// by which a key that leaked is replaced without signing everybody out.
func (i *Issuer) Rotate() error {
	return i.change("rotate", func(s *state) error {
		fresh, err := newKey()
		s.Keys = append([]storedKey{fresh}, s.Keys...)
		return err
	})
}

// RetireOld makes the tokens of every key but the newest invalid. It is the second
// step of replacing a key, once the tokens of the old one have run out.
func (i *Issuer) RetireOld() error {
	return i.change("retire old keys", func(s *state) error {
		for n := range s.Keys[1:] {
			s.Keys[n+1].Retired = true
		}
		return nil
	})
}

// Count is how many signing keys there are whose tokens are valid, and how many retired.
func (i *Issuer) Count() (valid, retired int) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	for _, k := range i.state.Keys {
		if k.Retired {
			retired++
		}
	}
	return len(i.state.Keys) - retired, retired
}

// change reads, edits and replaces the file under a lock, so that no process
// undoes what another changes meanwhile. It does not wait: the error is a
// *dirlock.InUseError then, and nothing is changed.
func (i *Issuer) change(what string, edit func(*state) error) (err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	unlock, err := dirlock.LockFile(filepath.Join(i.dir, "issuer.lock"))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := i.load(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	next := i.state
	if len(next.Revoked) > 0 { // of a release before
		next.end(next.Revoked)
		next.Revoked = nil
	}
	if err := edit(&next); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := i.save(next); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// refresh reads the file again where another process changed it, looking at
// most once a second.
func (i *Issuer) refresh() error {
	now := i.now()
	i.mu.RLock()
	due, unread := now.Sub(i.checked) >= time.Second, i.unread
	i.mu.RUnlock()
	if !due {
		return unread
	}
	return i.reload()
}

// reload reads the file again if it was changed since it was read.
func (i *Issuer) reload() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.checked = i.now()
	modified := i.fileTime()
	if modified.Equal(i.modTime) && i.unread == nil {
		return nil
	}
	if i.unread = i.load(); i.unread != nil {
		return i.unread
	}
	i.modTime = modified
	return nil
}

func (i *Issuer) fileTime() time.Time {
	info, err := os.Stat(i.path())
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
