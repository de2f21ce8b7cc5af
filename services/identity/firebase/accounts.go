package firebase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	sdk "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"firebase.google.com/go/v4/errorutils"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
	transport "google.golang.org/api/transport/http"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/internal/peer"
)

// The bounds of a call.
const (
	lookupTimeout = 2 * time.Second
	changeTimeout = 10 * time.Second
	maxAnswer     = 1 << 20
	heard         = 30 * time.Second // an answer tells that lookups are there
)

// nobody is who is looked up where it is asked whether anybody can be.
const nobody = "nobody-at-all"

// accounts are the people of a project, as its administrator sees them.
type accounts struct {
	root    people
	tenants map[string]people
	within  time.Duration // a lookup ends
	there   *peer.Peer    // who looks them up
}

// people are those of one tenant, or of none.
type people interface {
	GetUser(ctx context.Context, uid string) (*auth.UserRecord, error)
	RevokeRefreshTokens(ctx context.Context, uid string) error
	DeleteUser(ctx context.Context, uid string) error
}

func openAccounts(ctx context.Context, c Config, now func() time.Time, options []option.ClientOption) (*accounts, error) {
	client, err := connect(ctx, c, options)
	if err != nil {
		return nil, err
	}
	app, err := sdk.NewApp(ctx, &sdk.Config{ProjectID: c.Project},
		option.WithHTTPClient(client),
		// The client has its credentials: nobody looks for others.
		option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{})))
	if err != nil {
		return nil, err
	}
	root, err := app.Auth(ctx)
	if err != nil {
		return nil, err
	}
	a := &accounts{root: root, tenants: map[string]people{}, within: lookupTimeout, there: peer.New(now, heard)}
	for _, tenant := range c.Tenants {
		if tenant == "" {
			continue
		}
		if a.tenants[tenant], err = root.TenantManager.AuthForTenant(tenant); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// connect is a client that goes where the configuration says, and reads no more than
// an account has.
func connect(ctx context.Context, c Config, options []option.ClientOption) (*http.Client, error) {
	base := &door{to: cmp.Or(c.Accounts, AccountsURL), next: http.DefaultTransport}
	if c.Emulator != "" {
		base.to = "http://" + c.Emulator + "/identitytoolkit.googleapis.com"
		options = []option.ClientOption{option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "owner"}))}
	}
	if _, err := url.Parse(base.to); err != nil {
		return nil, errors.New("accounts is no URL")
	}
	scopes := option.WithScopes("https://www.googleapis.com/auth/identitytoolkit", "https://www.googleapis.com/auth/cloud-platform")
	authenticated, err := transport.NewTransport(ctx, base, append([]option.ClientOption{scopes}, options...)...)
	if err != nil {
		return nil, errors.New("no credentials to look up accounts with")
	}
	return &http.Client{Transport: authenticated}, nil
}

// A door leads the SDK's requests to where accounts are.
type door struct {
	to   string
	next http.RoundTripper
}

// RoundTrip sends the request on.
func (d *door) RoundTrip(r *http.Request) (*http.Response, error) {
	if rest, is := strings.CutPrefix(r.URL.String(), AccountsURL); is {
		u, err := url.Parse(d.to + rest)
		if err != nil {
			return nil, errors.New("accounts is no URL")
		}
		r = r.Clone(r.Context())
		r.URL, r.Host = u, u.Host
	}
	res, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &short{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}

// short is a body that ends.
type short struct {
	io.Reader
	io.Closer
}

// of is where the person is looked for.
func (a *accounts) of(tenant string) (people, error) {
	if tenant == "" {
		return a.root, nil
	}
	p, there := a.tenants[tenant]
	if !there {
		return nil, errors.New("the tenant is not let in")
	}
	return p, nil
}

// stands is nil where the account is there, not disabled, its sign-in not revoked and its
// roles still its own.
func (a *accounts) stands(ctx context.Context, who asserted) error {
	p, err := a.of(who.subject.Tenant)
	if err != nil {
		return fmt.Errorf("%w: %w", identity.ErrInvalid, err)
	}
	is, err := a.look(ctx, p, who.sub)
	if gone(err) {
		return fmt.Errorf("%w: there is no such account", identity.ErrInvalid)
	}
	if err != nil {
		return failed("look up an account", err)
	}
	switch {
	case is.UserInfo == nil || is.UID != who.sub || is.TenantID != who.subject.Tenant:
		return fmt.Errorf("%w: look up an account: another answers", identity.ErrUnavailable)
	case is.Disabled:
		err = errors.New("the account is disabled")
	case who.subject.AuthTime.UnixMilli() < is.TokensValidAfterMillis:
		err = errors.New("revoked")
	case !holds(is.CustomClaims[RoleClaim], who.subject.Roles):
		err = errors.New("a role was taken away")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", identity.ErrInvalid, err)
	}
	return nil
}

// look is one lookup.
func (a *accounts) look(ctx context.Context, p people, sub string) (*auth.UserRecord, error) {
	asking, cancel := context.WithTimeout(ctx, a.within)
	defer cancel()
	is, err := p.GetUser(asking, sub)
	switch {
	case err == nil, gone(err):
		a.there.Saw(nil)
	case ctx.Err() == nil:
		a.there.Saw(err)
	}
	return is, err
}

// ready says why nobody can be looked up now.
func (a *accounts) ready(ctx context.Context) error {
	return a.there.Ready(ctx, func(ctx context.Context) error {
		if _, err := a.look(ctx, a.root, nobody); err != nil && !gone(err) {
			return failed("look up an account", err)
		}
		return nil
	})
}

// holds says whether the account's claim has all the roles.
func holds(claim any, roles []identity.Role) bool {
	var names []any
	switch claim := claim.(type) {
	case string:
		names = []any{claim}
	case []any:
		names = claim
	}
	for _, r := range roles {
		if !slices.Contains(names, any(string(r))) {
			return false
		}
	}
	return true
}

// SignOut ends the sign-ins of the person: no device of theirs gets another token, and
// those that are out are invalid once somebody asks. Whoever is not there is signed out.
func (v *Verifier) SignOut(ctx context.Context, uid string) error {
	return v.change(ctx, "sign out", uid, people.RevokeRefreshTokens)
}

// Delete removes the person's account at Firebase. One that is not there is nil.
func (v *Verifier) Delete(ctx context.Context, uid string) error {
	return v.change(ctx, "delete an account", uid, people.DeleteUser)
}

func (v *Verifier) change(ctx context.Context, what, uid string, do func(people, context.Context, string) error) error {
	tenant, sub := identity.Tenant(uid)
	p, err := v.accounts.of(tenant)
	if err != nil || sub == "" {
		return fmt.Errorf("%s: no such person can be", what)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if err = do(p, ctx, sub); err == nil || gone(err) {
		return nil
	}
	return failed(what, err)
}

func gone(err error) bool {
	return err != nil && (auth.IsUserNotFound(err) || auth.IsTenantNotFound(err))
}

// failed says that accounts cannot be reached, and by which status: the SDK's own text
// has the account in it.
func failed(what string, err error) error {
	for _, ended := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, ended) {
			return fmt.Errorf("%w: %s: %w", identity.ErrUnavailable, what, ended)
		}
	}
	if res := errorutils.HTTPResponse(err); res != nil { //nolint:bodyclose // the SDK has read it
		return fmt.Errorf("%w: %s: status %d", identity.ErrUnavailable, what, res.StatusCode)
	}
	return fmt.Errorf("%w: %s: no answer", identity.ErrUnavailable, what)
}
