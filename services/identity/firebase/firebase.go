// Package firebase verifies ID tokens of Firebase Authentication, and of Identity
// Platform with its tenants.
//
// # What a token must say
//
// It is RS256, signed by a key of Google's certificate URL, of our project (iss, aud),
// not expired, of a sign-in that has been (auth_time), for a sub of 1 to 128 of
// A–Z a–z 0–9 . _ : @ -, of a tenant that is allowed, and of somebody who
// signed in: the feeds' rules let nobody anonymous in, and no more does this. The custom
// claim clarity_role, a role or a list of roles, gives roles. A role counts as long as the
// account has it, too: where it was taken away the token is invalid at the next
// look, so that the device fetches another. Developer claims of custom tokens give none.
//
// # Who it is
//
// The UID is identity.OfTenant's, of the tenant and the sub. No two accounts have one
// UID, whatever subs a provider of theirs gives; one longer than 128 bytes is refused.
//
// # Costs and failures
//
// A token costs one accounts:lookup, whether it was revoked, and its account disabled or
// deleted: neither Verify nor Fresh remembers the answer, identity.Cached does for
// Verify. A revocation is of everything signed in before its second: a sign-in of that same
// second counts. Certificates cost one request a max-age and process (about six hours);
// see package keyserver for when they are fetched. Where either cannot be had the
// answer is identity.ErrUnavailable, never a yes; a lookup has two seconds, in which
// the SDK asks again where it is refused. Ready looks up somebody who is not there, where nobody
// was looked up for half a minute. No error holds a token, a sub or an answer.
//
// # The SDK's verifier
//
// Tokens are verified by our own code, which takes less: see sdk_test.go for the tokens that the
// SDK's verifier accepts besides. It serves what it is good for: looking up, signing
// out and deleting accounts.
//
// # An emulator
//
// With Config.Emulator tokens are those of the Firebase Auth emulator, which signs
// none: whoever reaches the platform is anybody. It is for development alone. The
// variable that leads the SDK there is refused without it.
//
// Never run on Google's own services: quotas of lookups (500 a second of a project unless
// raised), rotation of its certificates, multi-factor sign-ins.
package firebase

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"time"

	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/internal/jws"
	"github.com/clarity-loop/clarity/services/identity/internal/keyserver"
)

// Where Google has its certificates and accounts.
const (
	CertificatesURL = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
	AccountsURL     = "https://identitytoolkit.googleapis.com"
)

// RoleClaim is the custom claim that gives roles.
const RoleClaim = "clarity_role"

const (
	issuer  = "https://securetoken.google.com/"
	leeway  = time.Minute
	maxLife = time.Hour // what Firebase gives
)

// Config is which accounts are ours.
type Config struct {
	Project string // the project's id
	// Tenants are those whose people are let in; "" stands for people of none. An
	// empty list lets in people of no tenant alone.
	Tenants      []string
	Certificates string // "" is CertificatesURL
	Accounts     string // "" is AccountsURL
	Emulator     string // HOST:PORT of a Firebase Auth emulator; "" is none
}

var (
	projectForm = regexp.MustCompile(`^[a-z][a-z0-9-]{3,28}[a-z0-9]$`)
	tenantForm  = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
)

// Validate says everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if !projectForm.MatchString(c.Project) {
		faults = append(faults, errors.New("project is the id of a Google Cloud project"))
	}
	for _, tenant := range c.Tenants {
		if tenant != "" && !tenantForm.MatchString(tenant) {
			faults = append(faults, errors.New("tenants are ids of tenants, or empty for people of none"))
		}
	}
	if u, err := url.Parse("http://" + c.Emulator); c.Emulator != "" && (err != nil || u.Host != c.Emulator || u.Port() == "") {
		faults = append(faults, errors.New("emulator is HOST:PORT"))
	}
	return errors.Join(faults...)
}

// A Verifier is an identity.Verifier over one project.
type Verifier struct {
	config   Config
	now      func() time.Time
	keys     *keyserver.Keys
	accounts *accounts
}

var _ identity.Verifier = (*Verifier)(nil)

// emulatorVariable leads the SDK to an emulator, whatever it was told.
const emulatorVariable = "FIREBASE_AUTH_EMULATOR_HOST"

// Open is the Verifier; the options say with which credentials accounts are looked up,
// those of where it runs unless they do. It asks nobody anything yet.
func Open(ctx context.Context, c Config, now func() time.Time, options ...option.ClientOption) (*Verifier, error) {
	v, err := open(ctx, c, now, options)
	if err != nil {
		return nil, fmt.Errorf("open firebase: %w", err)
	}
	return v, nil
}

func open(ctx context.Context, c Config, now func() time.Time, options []option.ClientOption) (*Verifier, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if set := os.Getenv(emulatorVariable); set != c.Emulator && set != "" {
		return nil, fmt.Errorf("%s leads to an emulator that the configuration does not name", emulatorVariable)
	}
	if c.Certificates == "" {
		c.Certificates = CertificatesURL
	}
	if len(c.Tenants) == 0 {
		c.Tenants = []string{""}
	}
	keys, err := keyserver.New(c.Certificates, keyserver.Certificates, now)
	if err != nil {
		return nil, err
	}
	accounts, err := openAccounts(ctx, c, now, options)
	if err != nil {
		return nil, err
	}
	return &Verifier{config: c, now: now, keys: keys, accounts: accounts}, nil
}

// Ready says why nobody's token can be verified now. Where accounts alone cannot be looked
// up, that is partly so for as long as anybody may believe what was said before.
func (v *Verifier) Ready(ctx context.Context) error {
	if v.config.Emulator == "" {
		if err := v.keys.Ready(ctx); err != nil {
			return unavailable(err)
		}
	}
	err := v.accounts.ready(ctx)
	if v.now().Sub(v.accounts.there.Good()) < identity.MaxCached {
		return fault.Partly(err)
	}
	return err
}

// Verify is Fresh: whoever may believe what was said before has identity.Cached.
func (v *Verifier) Verify(ctx context.Context, token string) (identity.Subject, error) {
	return v.Fresh(ctx, token)
}

// Fresh checks a token, and asks whether it was revoked.
func (v *Verifier) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	a, err := v.read(ctx, token)
	switch {
	case errors.Is(err, keyserver.ErrAway):
		return identity.Subject{}, unavailable(err)
	case err != nil:
		return identity.Subject{}, fmt.Errorf("%w: %w", identity.ErrInvalid, err)
	}
	if err := v.accounts.stands(ctx, a); err != nil {
		return identity.Subject{}, err
	}
	return a.subject, nil
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", identity.ErrUnavailable, err)
}

// an asserted subject is what a token says, before its account was looked at.
type asserted struct {
	subject identity.Subject
	sub     string // the account's own name within its tenant
}

// read checks a token by itself. Its errors name the rule, never the token.
func (v *Verifier) read(ctx context.Context, token string) (a asserted, err error) {
	claims, err := v.claims(ctx, token)
	if err != nil {
		return a, err
	}
	if err := errors.Join(claims.Is("iss", issuer+v.config.Project), claims.Is("aud", v.config.Project)); err != nil {
		return a, err
	}
	clock := jws.Clock{Now: v.now(), Leeway: leeway, MaxLife: maxLife}
	if a.subject.Expires, err = claims.Expires(clock); err != nil {
		return a, err
	}
	if a.subject.AuthTime, err = claims.Past("auth_time", clock); err != nil {
		return a, err
	}
	if a.subject.Tenant, err = v.tenant(claims); err != nil {
		return a, err
	}
	if a.sub, err = claims.Text("sub"); err != nil || !identity.ValidUID(a.sub) {
		return a, errors.New("sub is not a user")
	}
	if a.subject.UID = identity.OfTenant(a.subject.Tenant, a.sub); !identity.ValidUID(a.subject.UID) {
		return a, errors.New("tenant and sub are too long")
	}
	a.subject.Roles, err = roles(claims)
	return a, err
}

func (v *Verifier) claims(ctx context.Context, token string) (jws.Members, error) {
	if v.config.Emulator != "" {
		return jws.Unsigned(token)
	}
	t, err := jws.Parse(token)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.Key(ctx, t.KeyID)
	if err != nil {
		return nil, err
	}
	return t.Claims(key)
}

// tenant is where the person signed in, if that is allowed.
func (v *Verifier) tenant(claims jws.Members) (tenant string, err error) {
	how, err := claims.Object("firebase")
	if err != nil {
		return "", err
	}
	if provider, err := how.Text("sign_in_provider"); err != nil || provider == "anonymous" {
		return "", errors.New("nobody signed in")
	}
	if how.Has("tenant") {
		if tenant, err = how.Text("tenant"); err != nil {
			return "", err
		}
	}
	if !slices.Contains(v.config.Tenants, tenant) {
		return "", errors.New("the tenant is not let in")
	}
	return tenant, nil
}

func roles(claims jws.Members) ([]identity.Role, error) {
	if !claims.Has(RoleClaim) {
		return nil, nil
	}
	names, err := claims.Texts(RoleClaim)
	if one, text := claims.Text(RoleClaim); text == nil {
		names, err = []string{one}, nil
	}
	if err != nil {
		return nil, errors.New(RoleClaim + " is neither a role nor a list of roles")
	}
	return identity.Roles(names)
}
