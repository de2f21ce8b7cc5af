package issuer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/local"
)

// What one process issues, another one that has the directory open verifies.
func TestATokenIsVerifiedByTheDirectorysIssuer(t *testing.T) {
	t.Chdir(t.TempDir())
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	verifier, err := issuer.Open(t.Context(), filepath.Join("data", "identity"), platform.Env{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		role  string
		ttl   time.Duration
		roles []identity.Role
	}{
		"a person":               {"", time.Hour, nil},
		"a service":              {"service", time.Hour, []identity.Role{identity.Service}},
		"an admin":               {"admin", time.Hour, []identity.Role{identity.Admin}},
		"for as long as it goes": {"", local.MaxTTL, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			token, err := issuer.Token(issuer.Request{Dir: "data", User: "anna", Role: tt.role, TTL: tt.ttl, Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			s, err := verifier.Verify(t.Context(), token)
			if err != nil || s.UID != "anna" || !slices.Equal(s.Roles, tt.roles) || !s.Expires.Equal(now.Add(tt.ttl)) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func TestATokenThatIsNone(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var wrong *platform.ConfigError
	tests := map[string]struct {
		request issuer.Request
		want    string
		config  bool // it is the caller's to mend
	}{
		"another role":          {issuer.Request{Dir: dir, User: "anna", Role: "root", TTL: time.Hour}, `there is no role "root"; the roles are service and admin`, true},
		"a role in capitals":    {issuer.Request{Dir: dir, User: "anna", Role: "Admin", TTL: time.Hour}, `there is no role "Admin"`, true},
		"for no time":           {issuer.Request{Dir: dir, User: "anna"}, "a token is valid for at most 24h0m0s, not 0s", true},
		"for less than no time": {issuer.Request{Dir: dir, User: "anna", TTL: -time.Second}, "at most 24h0m0s, not -1s", true},
		"for too long":          {issuer.Request{Dir: dir, User: "anna", TTL: local.MaxTTL + 1}, "at most 24h0m0s", true},
		"for nobody":            {issuer.Request{Dir: dir, TTL: time.Hour}, `"" cannot be a user's name, which is 1 to 128 characters`, true},
		"for a sentence":        {issuer.Request{Dir: dir, User: "ä b", TTL: time.Hour}, `"ä b" cannot be a user's name`, true},
		"for a name too long":   {issuer.Request{Dir: dir, User: strings.Repeat("a", 129), TTL: time.Hour}, "1 to 128 characters", true},
		"of a file":             {issuer.Request{Dir: file, User: "anna", TTL: time.Hour}, file + " is not a directory: choose another --data", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.request.Now = time.Now
			token, err := issuer.Token(tt.request)
			if token != "" || err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &wrong) != tt.config {
				t.Errorf("%q, %v; want %q, the caller's: %t", token, err, tt.want, tt.config)
			}
		})
	}
}

// Whoever has the directory open sees within a second what becomes of its tokens.
func TestTokensAreRevokedAndTheirKeyReplaced(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	place := issuer.Place{Dir: dir, Now: func() time.Time { return now }}
	verifier, err := issuer.Open(t.Context(), filepath.Join(dir, "identity"), platform.Env{Now: place.Now})
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{}
	issue := func(name, user string) {
		t.Helper()
		if tokens[name], err = issuer.Token(issuer.Request{Dir: dir, User: user, TTL: time.Hour, Now: place.Now}); err != nil {
			t.Fatal(err)
		}
	}
	valid := func(when string, want ...string) {
		t.Helper()
		now = now.Add(2 * time.Second)
		var got []string
		for name, token := range tokens {
			if _, err := verifier.Verify(t.Context(), token); err == nil {
				got = append(got, name)
			} else if !errors.Is(err, identity.ErrInvalid) {
				t.Error(err)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s %v are valid, want %v", when, got, want)
		}
	}
	issue("anna's lost", "anna")
	issue("bert's", "bert")
	if err := issuer.Revoke(place, "anna"); err != nil {
		t.Fatal(err)
	}
	valid("revoked", "bert's")
	issue("anna's new", "anna")
	if err := issuer.Rotate(place); err != nil {
		t.Fatal(err)
	}
	issue("bert's new", "bert")
	valid("rotated", "anna's new", "bert's", "bert's new")
	if err := issuer.Retire(place); err != nil {
		t.Fatal(err)
	}
	valid("retired", "bert's new")
	var wrong *platform.ConfigError
	if err := issuer.Revoke(place, "no spaces"); !errors.As(err, &wrong) {
		t.Errorf("who is nobody: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := issuer.Rotate(issuer.Place{Dir: file, Now: place.Now}); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("a file: %v", err)
	}
}

// Two at once: the second one changes nothing, and says so.
func TestAnIssuerThatIsBeingChangedIsLeftAlone(t *testing.T) {
	place := issuer.Place{Dir: t.TempDir(), Now: time.Now}
	if err := issuer.Rotate(place); err != nil {
		t.Fatal(err)
	}
	unlock, err := dirlock.LockFile(filepath.Join(place.Dir, "identity", "issuer.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"revoke": func() error { return issuer.Revoke(place, "anna") },
		"rotate": func() error { return issuer.Rotate(place) },
		"retire": func() error { return issuer.Retire(place) },
	} {
		var inUse *dirlock.InUseError
		if err := change(); !errors.As(err, &inUse) || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}
