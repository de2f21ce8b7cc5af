package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/identitytest"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func at(t *time.Time) func() time.Time { return func() time.Time { return *t } }

func open(t *testing.T, dir string, now func() time.Time) *Issuer {
	t.Helper()
	i, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// Of two processes that revoke at once neither undoes what the other did.
func TestNoRevocationIsLostToAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, at(&noon)) // the key
	var all sync.WaitGroup
	for _, process := range []string{"a", "b", "c", "d"} {
		i := open(t, dir, at(&noon))
		all.Go(func() {
			for n := range 20 {
				var inUse *dirlock.InUseError
				err := i.Revoke(fmt.Sprint(process, n), noon)
				for errors.As(err, &inUse) {
					err = i.Revoke(fmt.Sprint(process, n), noon)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(open(t, dir, at(&noon)).state.Ended); n != 80 {
		t.Errorf("%d of 80 revocations are left", n)
	}
}

// Nobody is named in the file, nor who was by a release before; and revoked is revoked.
func TestTheFileNamesNobody(t *testing.T) {
	dir := t.TempDir()
	i := open(t, dir, at(&noon))
	anna, bert := issue(t, i, identity.Subject{UID: "anna"}), issue(t, i, identity.Subject{UID: "bert"})
	i.state.Revoked = map[string]time.Time{"anna": noon}
	if err := i.save(i.state); err != nil {
		t.Fatal(err)
	}
	i = open(t, dir, at(&noon))
	if err := i.Revoke("bert", noon); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{anna, bert} {
		if _, err := open(t, dir, at(&noon)).Verify(t.Context(), token); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	text, err := os.ReadFile(i.path())
	if err != nil || strings.Contains(string(text), "anna") || strings.Contains(string(text), "bert") {
		t.Errorf("the file names somebody, %v", err)
	}
}

func TestContract(t *testing.T) {
	dir := t.TempDir()
	i := open(t, dir, at(&noon))
	identitytest.Run(t, identitytest.Issuer{
		Verifier: i, Key: i.current.private, Now: noon,
		Revoke: func(uid string) error { return open(t, dir, at(&noon)).Revoke(uid, noon) },
		Header: map[string]any{"alg": "RS256", "typ": "JWT", "kid": i.current.kid},
		Claims: map[string]any{
			"iss": IssuerName, "aud": Audience, "sub": "anna",
			"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(), "auth_time": noon.Unix(),
		},
	})
}

func TestIssuedTokenSpeaksForItsSubject(t *testing.T) {
	dir := t.TempDir()
	token, err := open(t, dir, at(&noon)).Issue(identity.Subject{
		UID: "clinic-1:anna", Tenant: "clinic-1", Roles: []identity.Role{identity.Admin},
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir, at(&noon)).Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Subject{UID: "clinic-1:anna", Tenant: "clinic-1", Roles: []identity.Role{identity.Admin},
		AuthTime: noon.Local(), Expires: noon.Add(time.Hour).Local()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
}

func TestIssueRefuses(t *testing.T) {
	i := open(t, t.TempDir(), at(&noon))
	tests := map[string]struct {
		uid string
		ttl time.Duration
	}{
		"no user":               {"", time.Hour},
		"a user with a slash":   {"a/b", time.Hour},
		"a life of nothing":     {"anna", 0},
		"a life of two days":    {"anna", 48 * time.Hour},
		"a user of 129 letters": {string(make([]byte, 129)), time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if token, err := i.Issue(identity.Subject{UID: tt.uid}, tt.ttl); err == nil {
				t.Errorf("Issue = %d bytes, want an error", len(token))
			}
		})
	}
}

func TestUnknownRoleIsRefused(t *testing.T) {
	i := open(t, t.TempDir(), at(&noon))
	token := issue(t, i, identity.Subject{UID: "anna", Roles: []identity.Role{"root"}})
	verify(t, i, token, identity.ErrInvalid)
}

func TestTokenExpires(t *testing.T) {
	now := noon
	i := open(t, t.TempDir(), at(&now))
	token := issue(t, i, identity.Subject{UID: "anna"})
	verify(t, i, token, nil)
	now = noon.Add(time.Hour + leeway)
	verify(t, i, token, identity.ErrInvalid)
}

func TestRotationKeepsOldTokensUntilTheirKeyIsRetired(t *testing.T) {
	now := noon
	dir := t.TempDir()
	i, elsewhere := open(t, dir, at(&now)), open(t, dir, at(&now))
	old := issue(t, i, identity.Subject{UID: "anna"})
	if err := i.Rotate(); err != nil {
		t.Fatal(err)
	}
	fresh := issue(t, i, identity.Subject{UID: "anna"})
	verify(t, elsewhere, old, nil)
	verify(t, elsewhere, fresh, nil) // a key that it does not know yet is looked for at once
	now = now.Add(2 * time.Second)   // whatever else changed, once a second
	for _, v := range []*Issuer{i, elsewhere} {
		verify(t, v, old, nil)
		verify(t, v, fresh, nil)
	}
	if err := i.RetireOld(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	for _, v := range []*Issuer{i, elsewhere} {
		verify(t, v, old, identity.ErrInvalid)
		verify(t, v, fresh, nil)
	}
}

func TestRevocation(t *testing.T) {
	now := noon
	dir := t.TempDir()
	i, elsewhere := open(t, dir, at(&now)), open(t, dir, at(&now))
	before := issue(t, i, identity.Subject{UID: "anna"})
	other := issue(t, i, identity.Subject{UID: "bert"})
	if err := i.Revoke("anna", now); err != nil {
		t.Fatal(err)
	}
	now = now.Add(5 * time.Second)
	after := issue(t, i, identity.Subject{UID: "anna"})
	for _, v := range []*Issuer{i, elsewhere} {
		verify(t, v, before, identity.ErrInvalid)
		verify(t, v, after, nil)
		verify(t, v, other, nil)
	}
}

// A token names the second of its sign-in. One that is made behind a revocation in the same
// second, or by a clock that is a little behind, is good; none of before is.
func TestATokenThatIsMadeAtOnceBehindARevocation(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "in the same second": 300 * time.Millisecond, "by a clock behind": -10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			now := noon.Add(600 * time.Millisecond)
			i := open(t, t.TempDir(), at(&now))
			before := issue(t, i, identity.Subject{UID: "anna"})
			if err := i.Revoke("anna", now); err != nil {
				t.Fatal(err)
			}
			now = now.Add(later)
			after := issue(t, i, identity.Subject{UID: "anna"})
			verify(t, i, before, identity.ErrInvalid)
			verify(t, i, after, nil)
			if err := i.Revoke("anna", now.Add(2*time.Second).Add(-later)); err != nil {
				t.Fatal(err)
			}
			verify(t, i, after, identity.ErrInvalid)
		})
	}
}

func TestAnUnreadableKeyFileClosesTheDoor(t *testing.T) {
	now := noon
	dir := t.TempDir()
	i := open(t, dir, at(&now))
	token := issue(t, i, identity.Subject{UID: "anna"})
	if err := os.WriteFile(i.path(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	verify(t, i, token, identity.ErrUnavailable)
	if _, err := Open(dir, at(&now)); err == nil {
		t.Error("Open of a damaged key file succeeds")
	}
}

// It stays closed until the file can be read: not for one request alone.
func TestAnUnreadableKeyFileKeepsTheDoorClosed(t *testing.T) {
	now := time.Now()
	dir := t.TempDir()
	i := open(t, dir, at(&now))
	token := issue(t, i, identity.Subject{UID: "anna"})
	good, err := os.ReadFile(i.path())
	if err == nil {
		err = os.WriteFile(i.path(), []byte("not JSON"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	for range 3 {
		verify(t, i, token, identity.ErrUnavailable)
		now = now.Add(100 * time.Millisecond)
	}
	if err := os.WriteFile(i.path(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	verify(t, i, token, nil)
}

func TestKeyFileIsForTheOwnerAlone(t *testing.T) {
	i := open(t, t.TempDir(), at(&noon))
	info, err := os.Stat(i.path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func FuzzVerify(f *testing.F) {
	i, err := Open(f.TempDir(), at(&noon))
	if err != nil {
		f.Fatal(err)
	}
	good, err := i.Issue(identity.Subject{UID: "anna"}, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("e30.e30.e30")
	f.Add("a.b")
	f.Fuzz(func(t *testing.T, token string) {
		s, err := i.Verify(context.Background(), token)
		if err == nil && token != good {
			t.Fatalf("a token nobody issued speaks for %q", s.UID)
		}
		if err != nil && !errors.Is(err, identity.ErrInvalid) {
			t.Fatalf("Verify: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	now := time.Now
	i, err := Open(b.TempDir(), now)
	if err != nil {
		b.Fatal(err)
	}
	token, err := i.Issue(identity.Subject{UID: "anna"}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	cached := identity.Cached(i, 16, now)
	for name, v := range map[string]identity.Verifier{"first": i, "cached": cached} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func issue(t *testing.T, i *Issuer, s identity.Subject) string {
	t.Helper()
	token, err := i.Issue(s, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verify(t *testing.T, v identity.Verifier, token string, want error) {
	t.Helper()
	_, err := v.Verify(context.Background(), token)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		t.Errorf("Verify: %v, want %v", err, want)
	}
}

// A key file that is away is no reason to believe nobody for good: no other is made.
func TestAKeyFileThatIsAwayIsNotMadeAnew(t *testing.T) {
	dir, now := t.TempDir(), noon
	i := open(t, dir, at(&now))
	token, err := i.Issue(identity.Subject{UID: "anna"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(i.Ready(t.Context()), os.Rename(i.path(), i.path()+".away")); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	_, verifying := i.Verify(t.Context(), token)
	for _, err := range []error{verifying, i.Ready(t.Context())} {
		if !errors.Is(err, identity.ErrUnavailable) || errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
	if err := os.Rename(i.path()+".away", i.path()); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if _, err := i.Verify(t.Context(), token); err != nil {
		t.Errorf("put back: %v", err)
	}
}
