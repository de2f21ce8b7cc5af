package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An account is a person at Firebase.
type account struct {
	id, tenant       string
	email, password  string
	name             string
	verified         bool
	disabled         bool
	claims           string // JSON, "" for none
	since            int64  // seconds: sign-ins before count no more
	created, entered time.Time
}

// provider is how the person signs in.
func (a *account) provider() string {
	if a.email == "" {
		return "anonymous"
	}
	return "password"
}

// record is the account as lookups tell it.
func (a *account) record() map[string]any {
	r := map[string]any{
		"localId": a.id, "disabled": a.disabled, "emailVerified": a.verified, "validSince": strconv.FormatInt(a.since, 10),
		"createdAt": strconv.FormatInt(a.created.UnixMilli(), 10), "lastLoginAt": strconv.FormatInt(a.entered.UnixMilli(), 10),
		"lastRefreshAt": a.entered.UTC().Format(time.RFC3339Nano),
	}
	if a.email != "" {
		r["email"] = a.email
		r["providerUserInfo"] = []any{map[string]string{"providerId": "password", "email": a.email, "federatedId": a.email, "rawId": a.email}}
	}
	for name, value := range map[string]string{"displayName": a.name, "customAttributes": a.claims, "tenantId": a.tenant} {
		if value != "" {
			r[name] = value
		}
	}
	return r
}

// A session is what a refresh token stands for.
type session struct {
	tenant, id string
	began      time.Time
}

// people are the accounts of a project, of every tenant.
type people struct {
	mu       sync.Mutex
	now      func() time.Time
	accounts []*account // in the order that they came
	tenants  map[string]string
	sessions map[string]session
}

func newPeople(now func() time.Time) *people {
	return &people{now: now, tenants: map[string]string{}, sessions: map[string]session{}}
}

// find is the account that is so, or nil. The lock is held.
func (p *people) find(tenant string, is func(*account) bool) *account {
	for _, a := range p.accounts {
		if a.tenant == tenant && is(a) {
			return a
		}
	}
	return nil
}

func (p *people) byID(tenant, id string) *account {
	return p.find(tenant, func(a *account) bool { return a.id == id })
}

func (p *people) byEmail(tenant, email string) *account {
	return p.find(tenant, func(a *account) bool { return a.email != "" && strings.EqualFold(a.email, email) })
}

// of refuses a tenant that is not there.
func (p *people) of(tenant string) error {
	if _, there := p.tenants[tenant]; tenant != "" && !there {
		return refusal("TENANT_NOT_FOUND")
	}
	return nil
}

// add makes an account of what was asked.
func (p *people) add(tenant string, ask *request) (*account, error) {
	if err := p.of(tenant); err != nil {
		return nil, err
	}
	now := p.now()
	a := &account{id: ask.id(), tenant: tenant, since: now.Unix(), created: now, entered: now}
	if a.id == "" {
		a.id = word(28)
	}
	if p.byID(tenant, a.id) != nil {
		return nil, refusal("DUPLICATE_LOCAL_ID")
	}
	if err := p.change(a, ask); err != nil {
		return nil, err
	}
	p.accounts = append(p.accounts, a)
	return a, nil
}

// change has the account be as asked: all of it, or nothing.
func (p *people) change(a *account, ask *request) error {
	next := *a
	if ask.Email != nil {
		if next.email = *ask.Email; !strings.Contains(next.email, "@") {
			return refusal("INVALID_EMAIL")
		}
		if other := p.byEmail(a.tenant, next.email); other != nil && other.id != a.id {
			return refusal("EMAIL_EXISTS")
		}
	}
	if ask.Password != nil {
		if len(*ask.Password) < 6 {
			return refusal("WEAK_PASSWORD : Password should be at least 6 characters")
		}
		next.password, next.since = *ask.Password, p.now().Unix()
	}
	if ask.Claims != nil {
		var object map[string]any
		if next.claims = *ask.Claims; json.Unmarshal([]byte(next.claims), &object) != nil || len(next.claims) > 1000 {
			return refusal("INVALID_CLAIMS")
		}
		if len(object) == 0 {
			next.claims = ""
		}
	}
	if ask.Since != nil {
		since, err := strconv.ParseInt(*ask.Since, 10, 64)
		if err != nil {
			return refusal("INVALID_VALID_SINCE")
		}
		next.since = since
	}
	if ask.Name != nil {
		next.name = *ask.Name
	}
	if ask.Verified != nil {
		next.verified = *ask.Verified
	}
	for _, said := range []*bool{ask.Disabled, ask.Disable} {
		if said != nil {
			next.disabled = *said
		}
	}
	*a = next
	return nil
}

// enter is the account of who signs in.
func (p *people) enter(tenant string, ask *request) (*account, error) {
	if err := p.of(tenant); err != nil {
		return nil, err
	}
	if ask.Email == nil || ask.Password == nil {
		return nil, refusal("MISSING_PASSWORD")
	}
	a := p.byEmail(tenant, *ask.Email)
	switch {
	case a == nil || a.password == "" || a.password != *ask.Password:
		return nil, refusal("INVALID_LOGIN_CREDENTIALS")
	case a.disabled:
		return nil, refusal("USER_DISABLED")
	}
	a.entered = p.now()
	return a, nil
}

// begin is a refresh token for who has just signed in.
func (p *people) begin(a *account) string {
	token := word(64)
	p.sessions[token] = session{a.tenant, a.id, p.now()}
	return token
}

// goOn is the account behind a refresh token, and when it signed in.
func (p *people) goOn(token string) (*account, time.Time, error) {
	s, there := p.sessions[token]
	if !there {
		return nil, s.began, refusal("INVALID_REFRESH_TOKEN")
	}
	a, err := p.standing(s.tenant, s.id, s.began.Unix())
	return a, s.began, err
}

// standing is the account, where what was signed in at the second still counts.
func (p *people) standing(tenant, id string, at int64) (*account, error) {
	a := p.byID(tenant, id)
	switch {
	case a == nil:
		return nil, refusal("USER_NOT_FOUND")
	case a.disabled:
		return nil, refusal("USER_DISABLED")
	case at < a.since:
		return nil, refusal("TOKEN_EXPIRED")
	}
	return a, nil
}

// remove ends the account.
func (p *people) remove(a *account) {
	p.accounts = slices.DeleteFunc(p.accounts, func(other *account) bool { return other == a })
}

// claims are those of an ID token of the account, signed in at a time.
func (p *people) claims(project string, a *account, began time.Time) map[string]any {
	now := p.now()
	how := map[string]any{"sign_in_provider": a.provider(), "identities": map[string]any{}}
	claims := map[string]any{}
	if a.claims != "" {
		_ = json.Unmarshal([]byte(a.claims), &claims) // it was read before
	}
	if a.email != "" {
		how["identities"] = map[string]any{"email": []string{a.email}}
		claims["email"], claims["email_verified"] = a.email, a.verified
	} else {
		claims["provider_id"] = "anonymous"
	}
	if a.name != "" {
		claims["name"] = a.name
	}
	if a.tenant != "" {
		how["tenant"] = a.tenant
	}
	for name, value := range map[string]any{
		"iss": issuer + project, "aud": project, "sub": a.id, "user_id": a.id, "firebase": how,
		"auth_time": began.Unix(), "iat": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	} {
		claims[name] = value
	}
	return claims
}

const (
	issuer    = "https://securetoken.google.com/"
	tokenLife = time.Hour
)

// addTenant makes one.
func (p *people) addTenant(name string) string {
	id := fmt.Sprintf("%s-%s", strings.ToLower(strings.Map(letters, name)), strings.ToLower(word(5)))
	p.tenants[id] = name
	return id
}

// letters drops what no id has.
func letters(r rune) rune {
	if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}
