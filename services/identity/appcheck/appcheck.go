// Package appcheck says whether a request comes from an app of ours: by a token of
// Firebase App Check, in the header X-Firebase-AppCheck. It says nothing of who the
// person is; it is asked beside identity, for what every device may send.
//
// A token is RS256, issued for our project by its number, for one of the apps
// listed. The keys are those of App Check's JWKS, believed as long as the answer says
// they may be, which costs one request an hour and process; a token costs none.
// Whether a token was used before is not asked.
//
// The SDK's verifier looks less closely: it takes any issuer that begins as App Check's
// do, any app of the project, tokens of any life and header members that are
// none of its business, and panics where aud is no list of texts.
//
// Never run on Google's own service: tests serve keys of their own.
package appcheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/internal/jws"
	"github.com/clarity-loop/clarity/services/identity/internal/keyserver"
)

// Header is where a request has its token.
const Header = "X-Firebase-AppCheck"

// KeysURL is where App Check has its keys.
const KeysURL = "https://firebaseappcheck.googleapis.com/v1/jwks"

const (
	issuer  = "https://firebaseappcheck.googleapis.com/"
	leeway  = time.Minute
	maxLife = 7 * 24 * time.Hour // what a project can set
)

// A Mode is what becomes of a request without a good token.
type Mode string

// The modes.
const (
	Off     Mode = "off"     // nothing is looked at
	Report  Mode = "report"  // it is counted and served
	Enforce Mode = "enforce" // it is refused
)

// An Outcome is what was found of one request.
type Outcome string

// The outcomes.
const (
	Good        Outcome = "good"
	Missing     Outcome = "missing"
	Invalid     Outcome = "invalid"
	Unavailable Outcome = "unavailable" // the keys cannot be fetched now
)

// Config is what is to be believed.
type Config struct {
	Mode    Mode
	Project string   // its number, not its id
	Apps    []string // the ids of our apps, "1:1234567890:ios:0a1b2c3d"
	Keys    string   // "" is KeysURL
}

// Validate says everything that is wrong with the configuration.
func (c Config) Validate() error {
	var faults []error
	if !slices.Contains([]Mode{Off, Report, Enforce}, c.Mode) {
		faults = append(faults, fmt.Errorf("mode is %s, %s or %s", Off, Report, Enforce))
	}
	if c.Mode == Off {
		return errors.Join(faults...)
	}
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	if c.Project == "" || slices.ContainsFunc([]rune(c.Project), func(r rune) bool { return !digit(r) }) {
		faults = append(faults, errors.New("project is the project's number"))
	}
	if len(c.Apps) == 0 || slices.Contains(c.Apps, "") {
		faults = append(faults, errors.New("apps lists the ids of the apps, at least one"))
	}
	return errors.Join(faults...)
}

// A Checker looks at App Check tokens.
type Checker struct {
	config Config
	keys   *keyserver.Keys
	now    func() time.Time
	tell   func(Outcome)
}

// New is a Checker. tell hears what became of each request that was looked at. It fetches
// nothing yet.
func New(c Config, now func() time.Time, tell func(Outcome)) (*Checker, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("app check: %w", err)
	}
	if c.Keys == "" {
		c.Keys = KeysURL
	}
	keys, err := keyserver.New(c.Keys, keyserver.JWKS, now)
	if err != nil {
		return nil, fmt.Errorf("app check: %w", err)
	}
	return &Checker{config: c, keys: keys, now: now, tell: tell}, nil
}

// Admit is nil where a request with the token is served: "" is a request without
// one. Where it is refused, the error is identity.ErrInvalid, or identity.ErrUnavailable
// where nobody can tell now, and holds nothing of the token.
func (c *Checker) Admit(ctx context.Context, token string) error {
	if c.config.Mode == Off {
		return nil
	}
	outcome, err := c.look(ctx, token)
	c.tell(outcome)
	if c.config.Mode == Report {
		return nil
	}
	return err
}

// Ready says why every request is refused now: there are no keys to look at tokens with,
// and those without a good one are not served.
func (c *Checker) Ready(ctx context.Context) error {
	if c.config.Mode != Enforce {
		return nil
	}
	if err := c.keys.Ready(ctx); err != nil {
		return fmt.Errorf("%w: app check: %w", identity.ErrUnavailable, err)
	}
	return nil
}

func (c *Checker) look(ctx context.Context, token string) (Outcome, error) {
	if token == "" {
		return Missing, fmt.Errorf("%w: no app says whose the request is", identity.ErrInvalid)
	}
	err := c.check(ctx, token)
	switch {
	case errors.Is(err, keyserver.ErrAway):
		return Unavailable, fmt.Errorf("%w: app check: %w", identity.ErrUnavailable, err)
	case err != nil:
		return Invalid, fmt.Errorf("%w: app check: %w", identity.ErrInvalid, err)
	}
	return Good, nil
}

// check is nil where the token is one of an app of ours.
func (c *Checker) check(ctx context.Context, token string) error {
	t, err := jws.Parse(token)
	if err != nil {
		return err
	}
	key, err := c.keys.Key(ctx, t.KeyID)
	if err != nil {
		return err
	}
	claims, err := t.Claims(key)
	if err != nil {
		return err
	}
	if err := claims.Is("iss", issuer+c.config.Project); err != nil {
		return err
	}
	if audience, err := claims.Texts("aud"); err != nil || !slices.Contains(audience, "projects/"+c.config.Project) {
		return errors.New("aud is another project")
	}
	if app, err := claims.Text("sub"); err != nil || !slices.Contains(c.config.Apps, app) {
		return errors.New("sub is no app of ours")
	}
	_, err = claims.Expires(jws.Clock{Now: c.now(), Leeway: leeway, MaxLife: maxLife})
	return err
}
