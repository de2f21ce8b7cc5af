package firebase

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/identitytest"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestContract(t *testing.T) {
	g := newGoogle(t, noon)
	identitytest.Run(t, g.issuer(g.open(t)))
}

// The matrix: what nobody may accept, whether or not anything is remembered.
func TestNoForgedTokenIsAccepted(t *testing.T) {
	g := newGoogle(t, noon)
	g.has("clinic-1", "anna", user{})
	g.has("clinic-other", "anna", user{})
	v := g.open(t, "", "clinic-1")
	i := g.issuer(v)
	forged := i.Forgeries(t)
	for name, token := range g.strange() {
		if _, twice := forged[name]; twice {
			t.Errorf("%q is there twice", name)
		}
		forged[name] = token
	}
	cached := identity.Cached(v, 8, func() time.Time { return noon })
	if _, err := cached.Verify(t.Context(), i.Token(nil, nil)); err != nil {
		t.Fatalf("the good token: %v", err)
	}
	accepted := 0
	for name, token := range forged {
		for how, ask := range map[string]func(context.Context, string) (identity.Subject, error){"verify": v.Verify, "fresh": v.Fresh, "cached": cached.Verify} {
			s, err := ask(t.Context(), token)
			if err == nil {
				accepted++
			}
			if !errors.Is(err, identity.ErrInvalid) || s.UID != "" || strings.Contains(fmt.Sprint(err), canary) {
				t.Errorf("%s, %s: %q, %v", name, how, s.UID, err)
			}
		}
	}
	t.Logf("%d forged tokens, %d accepted", len(forged), accepted)
	if len(forged) < 90 {
		t.Errorf("only %d", len(forged))
	}
}

func TestSubjects(t *testing.T) {
	g := newGoogle(t, noon)
	long := strings.Repeat("a", 128)
	for _, account := range []struct{ tenant, sub string }{{"", "kakao:7"}, {"clinic-1", "anna"}, {"clinic-1", "a:b"}, {"", "clinic-1:anna"}, {"", long}, {"clinic-1", long}, {"clinic-1", long[:119]}} {
		g.has(account.tenant, account.sub, user{Claims: map[string]any{RoleClaim: []string{"service", "admin"}}})
	}
	with := func(tenant string, over map[string]any) map[string]any {
		if tenant != "" {
			over["firebase"] = of(tenant)["firebase"]
		}
		return over
	}
	tests := map[string]struct {
		claims map[string]any
		uid    string // "" is refused
		tenant string
		roles  []identity.Role
	}{
		"somebody":                {map[string]any{}, "anna", "", nil},
		"a sub with a colon":      {map[string]any{"sub": "kakao:7"}, ":kakao:7", "", nil},
		"of a tenant":             {with("clinic-1", map[string]any{}), "clinic-1:anna", "clinic-1", nil},
		"of a tenant and a colon": {with("clinic-1", map[string]any{"sub": "a:b"}), "clinic-1:a:b", "clinic-1", nil},
		"called like a tenant's":  {map[string]any{"sub": "clinic-1:anna"}, ":clinic-1:anna", "", nil},
		"of 128 bytes":            {map[string]any{"sub": long}, long, "", nil},
		"of 128 bytes with it":    {with("clinic-1", map[string]any{"sub": long[:119]}), "clinic-1:" + long[:119], "clinic-1", nil},
		"too long with it":        {with("clinic-1", map[string]any{"sub": long}), "", "", nil},
		"a role":                  {map[string]any{"sub": "kakao:7", RoleClaim: "admin"}, ":kakao:7", "", []identity.Role{identity.Admin}},
		"roles":                   {map[string]any{"sub": "kakao:7", RoleClaim: []string{"admin", "service"}}, ":kakao:7", "", []identity.Role{identity.Admin, identity.Service}},
	}
	v := g.open(t, "", "clinic-1")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), g.token(tt.claims))
			if tt.uid == "" {
				if !errors.Is(err, identity.ErrInvalid) {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			want := identity.Subject{UID: tt.uid, Tenant: tt.tenant, Roles: tt.roles, AuthTime: noon.Add(-time.Minute).Local(), Expires: noon.Add(time.Hour).Local()}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTenantsAreLetInByTheList(t *testing.T) {
	g := newGoogle(t, noon)
	g.has("clinic-1", "anna", user{})
	for _, tt := range []struct {
		tenants     []string
		none, first bool
	}{{nil, true, false}, {[]string{""}, true, false}, {[]string{"clinic-1"}, false, true}, {[]string{"", "clinic-1"}, true, true}} {
		v := g.open(t, tt.tenants...)
		_, none := v.Verify(t.Context(), g.token(nil))
		_, first := v.Verify(t.Context(), g.token(of("clinic-1")))
		if (none == nil) != tt.none || (first == nil) != tt.first {
			t.Errorf("%q: %v, %v", tt.tenants, none, first)
		}
	}
}

func TestAnAccountIsLookedAt(t *testing.T) {
	role := map[string]any{RoleClaim: "admin"}
	tests := map[string]struct {
		account user
		claims  map[string]any
		yes     bool
	}{
		"as it should be":                      {user{Valid: noon.Add(-time.Hour).Unix()}, nil, true},
		"signed in the second of a revocation": {user{Valid: noon.Add(-time.Minute).Unix()}, nil, true},
		"revoked":                              {user{Valid: noon.Add(-time.Minute).Unix() + 1}, nil, false},
		"disabled":                             {user{Disabled: true}, nil, false},
		"a role":                               {user{Claims: role}, role, true},
		"one role of two":                      {user{Claims: map[string]any{RoleClaim: []string{"service", "admin"}}}, role, true},
		"a role that was taken away":           {user{}, role, false},
		"a role instead of another":            {user{Claims: map[string]any{RoleClaim: "service"}}, role, false},
		"a claim that is no role":              {user{Claims: map[string]any{RoleClaim: 7}}, role, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGoogle(t, noon)
			g.has("", "anna", tt.account)
			s, err := g.open(t).Verify(t.Context(), g.token(tt.claims))
			if (err == nil) != tt.yes || err != nil && (!errors.Is(err, identity.ErrInvalid) || s.UID != "") {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// In doubt it is never a yes, and no "no" either.
func TestAccountsThatCannotBeLookedUp(t *testing.T) {
	good := `{"users":[{"localId":"anna"}]}`
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"error":{"code":400,"message":"`+canary+`"}}`)
		}
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	tests := map[string]http.HandlerFunc{
		"500": status(500), "503": status(503), "429": status(429), "403": status(403), "401": status(401), "400": status(400),
		"no JSON":         text("<html>" + canary),
		"another account": text(`{"users":[{"localId":"` + canary + `"}]}`),
		"of a tenant":     text(`{"users":[{"localId":"anna","tenantId":"clinic-1"}]}`),
		"half":            text(good[:20]),
		"cut off":         func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no answer":       func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"too long":        text(strings.Repeat(" ", 2<<20) + good),
		"a gigabyte": func(w http.ResponseWriter, r *http.Request) {
			block := bytes.Repeat([]byte(" "), 1<<20)
			for range 1 << 10 {
				if _, err := w.Write(block); err != nil || r.Context().Err() != nil {
					return
				}
			}
			_, _ = io.WriteString(w, good)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGoogle(t, noon)
			v := g.open(t)
			v.accounts.within = 300 * time.Millisecond
			g.answers(answer)
			began := time.Now()
			for what, ask := range map[string]func(context.Context, string) (identity.Subject, error){"verify": v.Verify, "fresh": v.Fresh} {
				_, err := ask(t.Context(), g.token(nil))
				if !errors.Is(err, identity.ErrUnavailable) || errors.Is(err, identity.ErrInvalid) || strings.Contains(err.Error(), canary) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// Whoever goes is told so, and nobody else's answer is theirs.
func TestAContextThatHasEnded(t *testing.T) {
	g := newGoogle(t, noon)
	v := g.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, g.token(nil)); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestKeysThatAreAway(t *testing.T) {
	g := newGoogle(t, noon)
	v := g.open(t)
	g.keys.Close()
	_, err := v.Verify(t.Context(), g.token(nil))
	for _, err := range []error{err, v.Ready(t.Context())} {
		if !errors.Is(err, identity.ErrUnavailable) || errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	if g.asked.Load() > 0 {
		t.Error("an account was looked up for a token that nobody has verified")
	}
}

// One lookup a token and two minutes; Fresh asks each time.
func TestLookupsAreCounted(t *testing.T) {
	g := newGoogle(t, noon)
	now := noon
	c := identity.Cached(g.open(t), 8, func() time.Time { return now })
	token := g.token(nil)
	ask := func(how func(context.Context, string) (identity.Subject, error), want int64) {
		t.Helper()
		if _, err := how(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if n := g.asked.Load(); n != want {
			t.Errorf("looked up %d times, want %d", n, want)
		}
	}
	ask(c.Verify, 1)
	for range 50 {
		ask(c.Verify, 1)
	}
	ask(c.Fresh, 2)
	ask(c.Fresh, 3)
	now = now.Add(identity.MaxCached)
	ask(c.Verify, 4)
}

// Lookups that are away are seen, at the cost of one in half a minute. So long as anybody may
// believe what was said before, some are served.
func TestLookupsThatAreAwayAreSeen(t *testing.T) {
	g := newGoogle(t, noon)
	v := g.open(t)
	ready := func(what string, want, partly bool, asked int64) {
		t.Helper()
		err := v.Ready(t.Context())
		if (err == nil) != want || fault.IsPartly(err) != partly || err != nil && !errors.Is(err, identity.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		if n := g.asked.Load(); n != asked {
			t.Errorf("%s: looked up %d times, want %d", what, n, asked)
		}
	}
	ready("nobody was looked up", true, false, 1)
	g.now = g.now.Add(29 * time.Second)
	ready("within half a minute", true, false, 1)
	if _, err := v.Verify(t.Context(), g.token(nil)); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(29 * time.Second)
	ready("somebody was", true, false, 2)
	g.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusForbidden) })
	g.now = g.now.Add(time.Second)
	ready("they are refused", false, true, 3)
	g.now = g.now.Add(identity.MaxCached)
	ready("for long", false, false, 4)
	g.answers(nil)
	g.now = g.now.Add(time.Second)
	ready("they are back", true, false, 5)
}

func TestSignOutAndDelete(t *testing.T) {
	g := newGoogle(t, time.Now().Truncate(time.Second))
	g.has("clinic-1", "anna", user{})
	v := g.open(t, "", "clinic-1")
	ours, theirs := g.token(nil), g.token(of("clinic-1"))
	if err := v.SignOut(t.Context(), "clinic-1:anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Fresh(t.Context(), theirs); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("signed out: %v", err)
	}
	if _, err := v.Fresh(t.Context(), ours); err != nil {
		t.Errorf("who is called so and of no tenant: %v", err)
	}
	for range 2 {
		if err := errors.Join(v.Delete(t.Context(), "anna"), v.SignOut(t.Context(), "anna")); err != nil {
			t.Errorf("%v", err)
		}
	}
	if _, err := v.Fresh(t.Context(), ours); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("deleted: %v", err)
	}
	g.answers(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, http.StatusInternalServerError) })
	for what, err := range map[string]error{"sign out": v.SignOut(t.Context(), canary), "delete": v.Delete(t.Context(), canary)} {
		if !errors.Is(err, identity.ErrUnavailable) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, uid := range []string{"", "clinic-other:anna"} {
		if v.SignOut(t.Context(), uid) == nil {
			t.Errorf("%q is signed out", uid)
		}
	}
}

func TestAnEmulatorsTokensAreForDevelopment(t *testing.T) {
	g := newGoogle(t, noon)
	unsigned := g.issuer(nil).Unsigned(map[string]any{"alg": "none", "typ": "JWT"})
	signed := g.token(nil)
	host := strings.TrimPrefix(g.accounts.URL, "http://")
	g.accounts.Config.Handler = http.StripPrefix("/identitytoolkit.googleapis.com", g.accounts.Config.Handler)
	t.Setenv(emulatorVariable, host)
	if _, err := Open(t.Context(), g.config(), time.Now, option.WithoutAuthentication()); err == nil {
		t.Error("the environment leads to an emulator, and it opens")
	}
	for _, set := range []string{host, ""} {
		t.Setenv(emulatorVariable, set)
		v, err := Open(t.Context(), Config{Project: project, Emulator: host}, func() time.Time { return noon })
		if err != nil {
			t.Fatal(err)
		}
		if s, err := v.Verify(t.Context(), unsigned); err != nil || s.UID != "anna" || v.Ready(t.Context()) != nil {
			t.Errorf("%+v, %v", s, err)
		}
		for name, token := range map[string]string{"signed": signed, "with a signature": unsigned + "AAAA", "of another project": g.issuer(nil).Unsigned(map[string]any{"alg": "RS256", "typ": "JWT"})} {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, identity.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	g.accounts.Config.Handler = http.HandlerFunc(g.account)
	if _, err := g.open(t).Verify(t.Context(), unsigned); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("outside development: %v", err)
	}
}

func TestEveryFaultOfAConfigurationIsTold(t *testing.T) {
	err := Config{Project: "Demo", Tenants: []string{"a/b", ""}, Emulator: "x"}.Validate()
	for _, word := range []string{"project", "tenants", "emulator"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v says nothing of %s", err, word)
		}
	}
	if _, err := Open(t.Context(), Config{Project: project, Certificates: "http://example.com/"}, time.Now, option.WithoutAuthentication()); err == nil {
		t.Error("certificates come by http")
	}
}

func BenchmarkRead(b *testing.B) {
	g := newGoogle(&testing.T{}, noon)
	v, err := Open(b.Context(), g.config(), func() time.Time { return noon }, option.WithoutAuthentication())
	if err != nil {
		b.Fatal(err)
	}
	token := g.token(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.read(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
