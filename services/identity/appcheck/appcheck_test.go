package appcheck

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "firebase.google.com/go/v4"
	theirs "firebase.google.com/go/v4/appcheck"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/identity"
)

const (
	number = "1234567890"
	app    = "1:1234567890:ios:0a1b2c3d"
	canary = "marked-c0ffee"
)

var signing = func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}()

// keys serves the JWKS.
func keys(t *testing.T) *httptest.Server {
	t.Helper()
	e := base64.RawURLEncoding.EncodeToString
	body, err := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1",
		"n": e(signing.N.Bytes()), "e": e(big.NewInt(int64(signing.E)).Bytes())}}})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=21600")
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

// token is a good one but for what is over it; nil takes away.
func token(now time.Time, header, claims map[string]any) string {
	h := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "k1"}
	c := map[string]any{"iss": issuer + number, "aud": []string{"projects/" + number, "projects/demo-clarity"}, "sub": app,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": canary}
	maps.Copy(h, header)
	maps.Copy(c, claims)
	for _, m := range []map[string]any{h, c} {
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	}
	e := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	body := e(h) + "." + e(c)
	sum := sha256.Sum256([]byte(body))
	sig, err := rsa.SignPKCS1v15(nil, signing, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return body + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// forged are tokens that are none of an app of ours.
func forged(now time.Time) map[string]string {
	good := token(now, nil, nil)
	parts := strings.Split(good, ".")
	claim := func(name string, value any) string { return token(now, nil, map[string]any{name: value}) }
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	return map[string]string{
		"no token":                    "x",
		"another's signature":         parts[0] + "." + parts[1] + "." + strings.Split(claim("jti", "y"), ".")[2],
		"no signature":                parts[0] + "." + parts[1] + ".",
		"alg none":                    strings.Split(token(now, map[string]any{"alg": "none"}, nil), ".")[0] + "." + parts[1] + ".",
		"alg RS512":                   token(now, map[string]any{"alg": "RS512"}, nil),
		"a key of nobody":             token(now, map[string]any{"kid": "k2"}, nil),
		"no kid":                      token(now, map[string]any{"kid": nil}, nil),
		"typ of another kind":         token(now, map[string]any{"typ": "at+jwt"}, nil),
		"a key in the header":         token(now, map[string]any{"jku": "https://evil.example/"}, nil),
		"of another project":          token(now, nil, map[string]any{"iss": issuer + "999", "aud": []string{"projects/999", "projects/other"}}),
		"of another's issuer":         claim("iss", issuer+"999"),
		"of an issuer that begins so": claim("iss", issuer+number+"1"),
		"of an ID token's issuer":     claim("iss", "https://securetoken.google.com/demo-clarity"),
		"no issuer":                   claim("iss", ""),
		"for another project":         claim("aud", []string{"projects/999"}),
		"aud by id alone":             claim("aud", []string{"projects/demo-clarity"}),
		"aud a text":                  claim("aud", "projects/"+number),
		"no aud":                      claim("aud", nil),
		"aud with a number in it":     claim("aud", []any{"projects/" + number, 7}),
		"another app":                 claim("sub", "1:1234567890:ios:ffffffff"),
		"an app in another case":      claim("sub", strings.ToUpper(app)),
		"no app":                      claim("sub", nil),
		"expired":                     claim("exp", at(-time.Hour)),
		"no end":                      claim("exp", nil),
		"of the future":               token(now, nil, map[string]any{"iat": at(time.Hour), "exp": at(2 * time.Hour)}),
		"no beginning":                claim("iat", nil),
		"of a year":                   claim("exp", at(365*24*time.Hour)),
		"not yet":                     claim("nbf", at(time.Hour)),
	}
}

func open(t *testing.T, mode Mode, url string, now time.Time) (c *Checker, outcomes map[Outcome]int) {
	t.Helper()
	outcomes = map[Outcome]int{}
	c, err := New(Config{Mode: mode, Project: number, Apps: []string{"1:1234567890:android:1", app}, Keys: url}, func() time.Time { return now },
		func(o Outcome) { outcomes[o]++ })
	if err != nil {
		t.Fatal(err)
	}
	return c, outcomes
}

func TestWhatBecomesOfARequest(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	up, down := keys(t), httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	good := token(now, nil, nil)
	tests := map[string]struct {
		mode       Mode
		url, token string
		want       error
		outcome    Outcome // "": nothing is looked at
	}{
		"off":                           {Off, up.URL, "x", nil, ""},
		"reported, good":                {Report, up.URL, good, nil, Good},
		"reported, missing":             {Report, up.URL, "", nil, Missing},
		"reported, invalid":             {Report, up.URL, "x", nil, Invalid},
		"reported, nobody can tell":     {Report, down.URL, good, nil, Unavailable},
		"enforced, good":                {Enforce, up.URL, good, nil, Good},
		"enforced, missing":             {Enforce, up.URL, "", identity.ErrInvalid, Missing},
		"enforced, invalid":             {Enforce, up.URL, "x", identity.ErrInvalid, Invalid},
		"enforced, nobody can tell":     {Enforce, down.URL, good, identity.ErrUnavailable, Unavailable},
		"enforced, invalid by its look": {Enforce, down.URL, "x", identity.ErrInvalid, Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, outcomes := open(t, tt.mode, tt.url, now)
			if err := c.Admit(t.Context(), tt.token); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("%v, want %v", err, tt.want)
			}
			want := map[Outcome]int{}
			if tt.outcome != "" {
				want[tt.outcome] = 1
			}
			if diff := cmp.Diff(want, outcomes); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// Where apps are asked for, keys that are away keep everybody off; where they are only
// counted, nobody.
func TestWithoutKeysNobodyIsAdmitted(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	for _, tt := range []struct {
		mode Mode
		url  string
		want error
	}{{Off, down.URL, nil}, {Report, down.URL, nil}, {Enforce, down.URL, identity.ErrUnavailable}, {Enforce, keys(t).URL, nil}} {
		c, outcomes := open(t, tt.mode, tt.url, now)
		if err := c.Ready(t.Context()); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.mode, err, tt.want)
		}
		if len(outcomes) > 0 {
			t.Errorf("%s: a probe is counted as a request: %v", tt.mode, outcomes)
		}
	}
}

func TestNoForgedTokenIsAnApp(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	c, _ := open(t, Enforce, keys(t).URL, now)
	for name, token := range forged(now) {
		if err := c.Admit(t.Context(), token); !errors.Is(err, identity.ErrInvalid) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the SDK's verifier takes besides; "panics" is not a no, either.
func TestWhatTheSDKTakesBesides(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	before := theirs.JWKSUrl
	t.Cleanup(func() { theirs.JWKSUrl = before })
	theirs.JWKSUrl = keys(t).URL
	a, err := sdk.NewApp(t.Context(), &sdk.Config{ProjectID: number}, option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, err := a.AppCheck(ctx)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(token string) (verdict string) {
		defer func() {
			if recover() != nil {
				verdict = "panics"
			}
		}()
		if _, err := client.VerifyToken(token); err != nil {
			return ""
		}
		return "takes it"
	}
	if verify(token(now, nil, nil)) == "" {
		t.Fatal("the SDK refuses the good token")
	}
	took := map[string]string{}
	for name, token := range forged(now) {
		if verdict := verify(token); verdict != "" {
			took[name] = verdict
		}
	}
	want := map[string]string{
		"a key in the header": "takes it", "another app": "takes it", "an app in another case": "takes it", "of a year": "takes it",
		"of another's issuer": "takes it", "of an issuer that begins so": "takes it",
		"aud a text": "panics", "aud with a number in it": "panics", "no aud": "panics", "no beginning": "panics", "no end": "panics",
	}
	if diff := cmp.Diff(want, took); diff != "" {
		t.Errorf("what the SDK takes besides (-known +found):\n%s", diff)
	}
}

func TestEveryFaultOfAConfigurationIsTold(t *testing.T) {
	err := Config{Mode: Enforce, Project: "demo-clarity"}.Validate()
	for _, word := range []string{"project", "apps"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v says nothing of %s", err, word)
		}
	}
	for _, c := range []Config{{}, {Mode: "on", Project: number, Apps: []string{app}}, {Mode: Report, Project: number, Apps: []string{""}},
		{Mode: Report, Project: number, Apps: []string{app}, Keys: "http://example.com/"}} {
		if _, err := New(c, time.Now, func(Outcome) {}); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if _, err := New(Config{Mode: Off}, time.Now, nil); err != nil {
		t.Errorf("off: %v", err)
	}
}
