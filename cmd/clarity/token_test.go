package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

func TestTokensAreRevokedAndTheirKeyReplaced(t *testing.T) {
	dir := t.TempDir()
	token := func(user string) string { return strings.TrimSpace(must(t, "token", "--data", dir, "--user", user)) }
	anna, bert := token("anna"), token("bert")
	valid := func(token string) bool {
		t.Helper()
		v, err := issuer.Open(t.Context(), filepath.Join(dir, "identity"), platform.Env{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), token)
		return err == nil
	}
	if !valid(anna) || !valid(bert) {
		t.Fatal("a new token is not valid")
	}
	if out := must(t, "token", "revoke", "--data", dir, "--user", "anna"); out != "every token so far is revoked\n" {
		t.Errorf("%q", out)
	}
	if valid(anna) || !valid(bert) {
		t.Error("revoking anna's did not end hers alone")
	}
	if out := must(t, "keys", "rotate", "issuer", "--data", dir); !strings.HasPrefix(out, "there is a new signing key") {
		t.Errorf("%q", out)
	}
	if fresh := token("bert"); !valid(bert) || !valid(fresh) {
		t.Error("a token is not valid while the key is replaced")
	}
	if out := must(t, "keys", "retire", "issuer", "--data", dir); !strings.HasPrefix(out, "the older signing keys are retired; a platform that runs takes tokens of theirs for up to two minutes more") {
		t.Errorf("%q", out)
	}
	if valid(bert) || !valid(token("bert")) {
		t.Error("retiring did not end the old key's tokens alone")
	}
}

// None of them makes an issuer, or guesses whose tokens are meant.
func TestWhatATokenCannot(t *testing.T) {
	empty, dir := t.TempDir(), t.TempDir()
	must(t, "token", "--data", dir, "--user", "anna")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"another word":        {[]string{"renew", "--data", dir}, 2, "clarity token revoke --user NAME"},
		"what is of the keys": {[]string{"rotate", "--data", dir}, 2, "clarity keys rotate issuer"},
		"revoke of nobody":    {[]string{"revoke", "--data", dir}, 2, "clarity token revoke --user NAME"},
		"revoke of no name":   {[]string{"revoke", "--data", dir, "--user", "no spaces"}, 2, "cannot be a user's name"},
		"where no issuer is":  {[]string{"revoke", "--user", "anna", "--data", empty}, 1, "there is nothing of the identity at "},
		"where no place is":   {[]string{"revoke", "--user", "anna", "--data", filepath.Join(empty, "x")}, 1, "there is no data directory"},
		"of no place's issue": {[]string{"revoke", "--user", "anna", "--data="}, 2, "name the data directory"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := clarity(t, append([]string{"token"}, tt.args...)...)
			if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, %q %q; want %d with %q", code, stdout, stderr, tt.code, tt.want)
			}
		})
	}
	if made, err := os.ReadDir(empty); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
}
