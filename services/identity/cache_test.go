package identity_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/identity"
)

// asked counts how often it is asked; it believes tokens that start with "good".
type asked struct {
	times   int
	expires time.Time
	revoked bool
}

func (a *asked) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	if a.revoked {
		a.times++
		return identity.Subject{}, identity.ErrInvalid
	}
	return a.Verify(ctx, token)
}

func (a *asked) Verify(_ context.Context, token string) (identity.Subject, error) {
	a.times++
	if len(token) < 4 || token[:4] != "good" {
		return identity.Subject{}, identity.ErrInvalid
	}
	return identity.Subject{UID: token[4:], Expires: a.expires}, nil
}

func TestCacheAsksOnceUntilTimeIsUp(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		expires time.Duration
		later   time.Duration
		want    int
	}{
		"at once again":                  {time.Hour, 0, 1},
		"just before it is believed out": {time.Hour, identity.MaxCached - 1, 1},
		"when it is believed out":        {time.Hour, identity.MaxCached, 2},
		"when the token expires before":  {time.Second, time.Second, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock := now
			v := &asked{expires: now.Add(tt.expires)}
			c := identity.Cached(v, 4, func() time.Time { return clock })
			for range 2 {
				if s, err := c.Verify(context.Background(), "goodanna"); err != nil || s.UID != "anna" {
					t.Fatalf("Verify = %v, %v", s, err)
				}
				clock = now.Add(tt.later)
			}
			if v.times != tt.want {
				t.Errorf("asked %d times, want %d", v.times, tt.want)
			}
		})
	}
}

func TestCacheNeverRemembersANo(t *testing.T) {
	v := &asked{}
	c := identity.Cached(v, 4, time.Now)
	for range 3 {
		if _, err := c.Verify(context.Background(), "bad"); !errors.Is(err, identity.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if v.times != 3 {
		t.Errorf("asked %d times, want 3", v.times)
	}
}

func TestCacheIsBoundedAndForgets(t *testing.T) {
	v := &asked{expires: time.Now().Add(time.Hour)}
	c := identity.Cached(v, 8, time.Now)
	ask := func(uid string) {
		t.Helper()
		if s, err := c.Verify(context.Background(), "good"+uid); err != nil || s.UID != uid {
			t.Fatalf("Verify = %v, %v", s, err)
		}
	}
	for i := range 100 {
		ask(fmt.Sprint("user", i))
	}
	v.times = 0
	for i := range 100 {
		ask(fmt.Sprint("user", i))
	}
	if v.times < 92 {
		t.Errorf("%d of 100 came from a cache of 8", 100-v.times)
	}
	ask("anna")
	v.times = 0
	ask("anna")
	c.Forget("anna")
	ask("anna")
	if v.times != 1 {
		t.Errorf("asked %d times around Forget, want 1", v.times)
	}
}

func TestAFreshAnswerIsNeverRemembered(t *testing.T) {
	v := &asked{expires: time.Now().Add(time.Hour)}
	c := identity.Cached(v, 4, time.Now)
	for range 3 {
		if s, err := c.Fresh(t.Context(), "goodanna"); err != nil || s.UID != "anna" {
			t.Fatalf("%v, %v", s, err)
		}
	}
	if _, err := c.Verify(t.Context(), "goodanna"); err != nil || v.times != 3 {
		t.Errorf("asked %d times, %v; want 3: what is fresh serves others, too", v.times, err)
	}
	v.revoked = true
	if _, err := c.Verify(t.Context(), "goodanna"); err != nil {
		t.Errorf("believed a moment ago: %v", err)
	}
	if _, err := c.Fresh(t.Context(), "goodanna"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("revoked: %v", err)
	}
	before := v.times
	if _, _ = c.Verify(t.Context(), "goodanna"); v.times != before+1 {
		t.Error("behind a no the yes from before is believed")
	}
}
