package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/identity"
)

// A phone is Firebase's own SDK, as a process of Node.
type phone struct {
	to   io.Writer
	from *bufio.Scanner
}

// said is what came of what the phone was told.
type said struct{ Did, UID, Token, Code string }

func newPhone(t *testing.T, arguments ...string) *phone {
	t.Helper()
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs Node and Firebase's SDK: make test-cloud")
	}
	script, err := exec.CommandContext(t.Context(), "../phone/phone", "--built").Output()
	if err != nil {
		t.Fatalf("Firebase's SDK is not installed: make emulators: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{strings.TrimSpace(string(script))}, arguments...)...)
	cmd.Stderr = os.Stderr
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = to.Close()
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the phone ends with %v", err)
		}
	})
	return &phone{to, bufio.NewScanner(from)}
}

// does has the phone do something.
func (p *phone) does(t *testing.T, deed string, with ...string) (s said) {
	t.Helper()
	order := map[string]string{"do": deed}
	for i := 0; i < len(with); i += 2 {
		order[with[i]] = with[i+1]
	}
	line, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.to.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	if !p.from.Scan() {
		t.Fatal("the phone says nothing")
	}
	if err := json.Unmarshal(p.from.Bytes(), &s); err != nil || s.Did != deed {
		t.Fatalf("the phone says %q, %v", p.from.Text(), err)
	}
	return s
}

// The phone's way through a sign-in: each token it has is one that the platform
// believes, until it is to believe it no more, and the phone is told so by the SDK's own words.
func TestTheOfficialPhone(t *testing.T) {
	w := newWorld(t)
	p, v := newPhone(t, project, w.url), w.ours(t)
	stands := func(what, token string, want error) {
		t.Helper()
		if _, err := v.Fresh(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	anna := []string{"email", "anna@example.com", "password", "long enough"}
	up := p.does(t, "signUp", anna...)
	stands("a sign-up", up.Token, nil)
	if again := p.does(t, "signUp", anna...); again.Code != "auth/email-already-in-use" {
		t.Errorf("a second sign-up: %+v", again)
	}
	if wrong := p.does(t, "signIn", "email", "anna@example.com", "password", "wrong enough"); wrong.Code != "auth/invalid-credential" {
		t.Errorf("another password: %+v", wrong)
	}
	w.advance(time.Minute)
	fresh := p.does(t, "refresh")
	if fresh.Token == up.Token || fresh.UID != up.UID {
		t.Errorf("a refresh is %+v", fresh)
	}
	stands("a refresh", fresh.Token, nil)
	nextSecond()
	if err := v.SignOut(t.Context(), up.UID); err != nil {
		t.Fatal(err)
	}
	stands("after a revocation", fresh.Token, identity.ErrInvalid)
	if revoked := p.does(t, "refresh"); revoked.Code != "auth/user-token-expired" {
		t.Errorf("a refresh after it: %+v", revoked)
	}
	in := p.does(t, "signIn", anna...)
	if in.Code != "" {
		t.Errorf("a sign-in after it: %+v", in)
	}
	p.does(t, "signOut")
	if nobody := p.does(t, "nobody"); nobody.Token == "" {
		t.Errorf("an anonymous sign-in: %+v", nobody)
	} else {
		stands("nobody in particular", nobody.Token, identity.ErrInvalid)
	}
	p.does(t, "signIn", anna...)
	if gone := p.does(t, "delete"); gone.Code != "" {
		t.Errorf("the account is deleted: %+v", gone)
	}
	stands("of an account that is gone", in.Token, identity.ErrInvalid)
	if after := p.does(t, "signIn", anna...); after.Code != "auth/invalid-credential" {
		t.Errorf("a sign-in behind it: %+v", after)
	}
}
