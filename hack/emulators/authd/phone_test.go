package main

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/emulated/jsphone"
	"github.com/clarity-loop/clarity/services/identity"
)

// The phone's way through a sign-in: each token it has is one that the platform
// believes, until it is to believe it no more, and the phone is told so by the SDK's own words.
func TestTheOfficialPhone(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs Node and Firebase's SDK: make test-cloud")
	}
	w := newWorld(t)
	p, v := jsphone.Start(t, "../../..", project, w.url), w.ours(t)
	stands := func(what, token string, want error) {
		t.Helper()
		if _, err := v.Fresh(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	anna := []string{"email", "anna@example.com", "password", "long enough"}
	up := p.Does(t, "signUp", anna...)
	stands("a sign-up", up.Token, nil)
	if again := p.Does(t, "signUp", anna...); again.Code != "auth/email-already-in-use" {
		t.Errorf("a second sign-up: %+v", again)
	}
	if wrong := p.Does(t, "signIn", "email", "anna@example.com", "password", "wrong enough"); wrong.Code != "auth/invalid-credential" {
		t.Errorf("another password: %+v", wrong)
	}
	w.advance(time.Minute)
	fresh := p.Does(t, "refresh")
	if fresh.Token == up.Token || fresh.UID != up.UID {
		t.Errorf("a refresh is %+v", fresh)
	}
	stands("a refresh", fresh.Token, nil)
	nextSecond()
	if err := v.SignOut(t.Context(), up.UID); err != nil {
		t.Fatal(err)
	}
	stands("after a revocation", fresh.Token, identity.ErrInvalid)
	if revoked := p.Does(t, "refresh"); revoked.Code != "auth/user-token-expired" {
		t.Errorf("a refresh after it: %+v", revoked)
	}
	in := p.Does(t, "signIn", anna...)
	if in.Code != "" {
		t.Errorf("a sign-in after it: %+v", in)
	}
	p.Does(t, "signOut")
	if nobody := p.Does(t, "nobody"); nobody.Token == "" {
		t.Errorf("an anonymous sign-in: %+v", nobody)
	} else {
		stands("nobody in particular", nobody.Token, identity.ErrInvalid)
	}
	p.Does(t, "signIn", anna...)
	if gone := p.Does(t, "delete"); gone.Code != "" {
		t.Errorf("the account is deleted: %+v", gone)
	}
	stands("of an account that is gone", in.Token, identity.ErrInvalid)
	if after := p.Does(t, "signIn", anna...); after.Code != "auth/invalid-credential" {
		t.Errorf("a sign-in behind it: %+v", after)
	}
}
