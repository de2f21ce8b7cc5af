package cmd_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/emulated"
	"github.com/clarity-loop/clarity/internal/emulated/jsphone"
)

// A phone that nobody here wrote, Firebase's own SDK in JavaScript, signs up, uploads over REST
// with its ID token, sees its feed move by a listener of its own under the rules, and
// fetches what that says; it refreshes, is signed out by the server, signs in again, and is erased.
func TestAPhoneThatNobodyHereWrote(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs emulators that take minutes to build: make test-cloud")
	}
	bin := binaries(t)
	c := startCloud(t, bin, false)
	ours, err := c.Run(t.Context(), emulated.Fleet{Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ours.Stop(); err != nil {
			t.Errorf("the platform: %v", err)
		}
	})
	p := jsphone.Start(t, "..", emulated.Project, "http://"+c.Address(emulated.Auth), c.Address(emulated.Firestore), "clarity")
	ben := []string{"email", "ben@example.com", "password", "long enough"}
	up := p.Does(t, "signUp", ben...)
	feed := "feeds/" + up.UID
	c.token = up.Token

	p.Does(t, "watch", "path", feed)
	p.Sees(t, "that there is nothing", func(s jsphone.Seen) bool { return s.Path == feed && s.Code == "" && s.Data == nil })
	for _, path := range []string{"feeds/anna", "users/" + up.UID} {
		p.Does(t, "watch", "path", path)
		p.Sees(t, "that it may not see "+path, func(s jsphone.Seen) bool { return s.Path == path && s.Code == "permission-denied" })
	}
	last := 0.0
	moves := func(what string) {
		t.Helper()
		was := last
		last = p.Sees(t, what, func(s jsphone.Seen) bool { n, _ := s.Data["last"].(float64); return s.Path == feed && n > was }).Data["last"].(float64)
	}
	day := c.visit(t, ours.URL)
	moves("its feed move")
	c.until(t, ours.URL+"/v1/weeks/"+day, day)
	c.until(t, ours.URL+"/v1/insights/"+day, `"text"`)

	nextSecond(t)
	fresh := p.Does(t, "refresh")
	if fresh.Token == up.Token || fresh.UID != up.UID {
		t.Errorf("a refresh: %q", fresh.Code)
	}
	c.token = fresh.Token
	moves("what came meanwhile")
	c.answers(t, "a refreshed token", http.MethodGet, ours.URL+"/v1/days", "", http.StatusOK)

	nextSecond(t)
	if err := c.Revoke(t.Context(), up.UID); err != nil {
		t.Fatal(err)
	}
	consent := ours.URL + "/v1/consents/processing"
	c.answers(t, "a change of consent, revoked", http.MethodPut, consent, `{"granted": true, "version": "2026-11"}`, http.StatusUnauthorized)
	if revoked := p.Does(t, "refresh"); revoked.Code != "auth/user-token-expired" {
		t.Errorf("a refresh after the revocation: %q", revoked.Code)
	}
	nextSecond(t)
	in := p.Does(t, "signIn", ben...)
	if in.UID != up.UID {
		t.Fatalf("a sign-in after the revocation: %q", in.Code)
	}
	c.token = in.Token
	c.answers(t, "a change of consent, signed in again", http.MethodPut, consent, `{"granted": true, "version": "2026-11"}`, http.StatusOK)

	p.Does(t, "watch", "path", feed)
	p.Sees(t, "its feed again", func(s jsphone.Seen) bool { n, _ := s.Data["last"].(float64); return s.Path == feed && n >= last })
	c.answers(t, "an erasure", http.MethodDelete, ours.URL+"/v1/account", "", http.StatusAccepted)
	p.Sees(t, "that its feed is gone", func(s jsphone.Seen) bool { return s.Path == feed && (s.Data == nil || s.Code != "") })
	after := p.Does(t, "refresh") // the account at Firebase is the person's own, and stays
	c.token = after.Token
	c.answers(t, "what was erased", http.MethodGet, ours.URL+"/v1/days", "", http.StatusGone)
	p.Does(t, "signOut")
	p.Does(t, "watch", "path", feed)
	p.Sees(t, "nothing once it has signed out", func(s jsphone.Seen) bool { return s.Path == feed && s.Code == "permission-denied" })
}

// answers asks once, and holds the status.
func (c *cloud) answers(t *testing.T, what, method, url, body string, want int) {
	t.Helper()
	if status, text := c.ask(t, method, url, body); status != want {
		t.Errorf("%s: %d %.300s, want %d", what, status, text, want)
	}
}

// nextSecond waits for one: a token, and a revocation, is of a second.
func nextSecond(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + 10*time.Millisecond)))
}
