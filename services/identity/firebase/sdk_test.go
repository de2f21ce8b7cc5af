package firebase

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	sdk "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

// theirs is the SDK's client, its certificates those of g.
func theirs(t *testing.T, g *google) *auth.Client {
	t.Helper()
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	lead := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", g.keys.Listener.Addr().String())
	}
	http.DefaultTransport = &http.Transport{DialTLSContext: lead} // in the clear, whatever the URL says
	client := &http.Client{Transport: &door{to: g.accounts.URL, next: before}}
	app, err := sdk.NewApp(t.Context(), &sdk.Config{ProjectID: project},
		option.WithHTTPClient(client), option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{})))
	if err != nil {
		t.Fatal(err)
	}
	c, err := app.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// laxer are the forged tokens that the SDK's verifier takes, with its check of
// revocation, and why ours does not.
func laxer() map[string]string {
	known := map[string]string{}
	for why, tokens := range map[string][]string{
		"two readers of such a token may read two things": {
			"alg twice in the header", "a duplicate kid, the last known", "sub twice", "exp twice", "tenant twice", "bytes behind the header",
			"bytes behind the claims", "the header is not UTF-8",
		},
		"a header that asks for what nobody here does": {
			"an unknown header member", "crit", "jku", "jwk", "x5c", "x5u", "typ of another kind",
		},
		"a time that no token of Firebase's has": {
			"a life longer than tokens have", "of two hours", "auth_time in the future", "auth_time missing", "iat missing", "nbf in the future",
		},
		"more than a token needs": {
			"a claim nested too deep", "one mebibyte",
		},
		"the SDK leaves the tenant, and how somebody signed in, to who asks": {
			"of a tenant that is not let in", "of a tenant in another case", "tenant beside the claim firebase", "tenant empty", "tenant null",
			"no claim firebase", "no sign-in provider", "anonymous",
		},
		"roles are ours": {
			"an unknown role", "a role in another case", "an empty role", "a role that is a number", "roles with a null",
			"a role that the account does not have",
		},
	} {
		for _, token := range tokens {
			known[token] = why
		}
	}
	return known
}

func TestWhatTheSDKTakesBesides(t *testing.T) {
	g := newGoogle(t, time.Now().Truncate(time.Second))
	g.has("clinic-1", "anna", user{})
	v := g.open(t, "", "clinic-1")
	client := theirs(t, g)
	i := g.issuer(v)
	if _, err := client.VerifyIDTokenAndCheckRevoked(t.Context(), i.Token(nil, nil)); err != nil {
		t.Fatalf("the SDK refuses the good token: %v", err)
	}
	forged := i.Forgeries(t)
	for name, token := range g.strange() {
		forged[name] = token
	}
	took := map[string]bool{}
	for name, token := range forged {
		if _, err := client.VerifyIDTokenAndCheckRevoked(t.Context(), token); err == nil {
			took[name] = true
		}
	}
	if diff := cmp.Diff(names(laxer()), names(took)); diff != "" {
		t.Errorf("what the SDK takes besides (-known +found):\n%s", diff)
	}
	t.Logf("%d forged tokens: ours takes 0, the SDK's %d", len(forged), len(took))
}
