package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/identity/firebase"
)

const project = "demo-clarity"

// A world is a server and its time.
type world struct {
	*server
	url string

	mu    sync.Mutex
	ahead time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	if w.server, err = newServer(project, w.now); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(w.server)
	t.Cleanup(listening.Close)
	w.url = listening.URL
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// nextSecond is when a sign-in of this one can be ended: the official client says by the
// clock of this machine which sign-ins end, and counts in seconds.
func nextSecond() { time.Sleep(1100 * time.Millisecond) }

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

// An answer is what a phone is told.
type answer struct {
	LocalID, IDToken, RefreshToken string
	ID                             string `json:"id_token"`
	Error                          struct{ Message string }
	Users                          []struct{ LocalID, Email, TenantID string }
}

// phone asks as a phone does.
func (w *world) phone(t *testing.T, verb string, body map[string]any) answer {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return w.post(t, "/identitytoolkit.googleapis.com/v1/accounts:"+verb+"?key=any", "application/json", bytes.NewReader(text))
}

func (w *world) refresh(t *testing.T, token string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	return w.post(t, "/securetoken.googleapis.com/v1/token?key=any", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

func (w *world) post(t *testing.T, path, kind string, body io.Reader) (a answer) {
	t.Helper()
	res, err := http.Post(w.url+path, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || (res.StatusCode == http.StatusOK) != (a.Error.Message == "") {
		t.Fatalf("%s: %s, %v", path, res.Status, err)
	}
	return a
}

func (w *world) signUp(t *testing.T, email string) answer {
	t.Helper()
	a := w.phone(t, "signUp", map[string]any{"email": email, "password": "long enough", "returnSecureToken": true})
	if a.IDToken == "" {
		t.Fatalf("sign up: %+v", a)
	}
	return a
}

// theirs is the official client of servers, led here as it is to an emulator.
func (w *world) theirs(t *testing.T) *auth.Client {
	t.Helper()
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", strings.TrimPrefix(w.url, "http://"))
	app, err := sdk.NewApp(t.Context(), &sdk.Config{ProjectID: project})
	if err != nil {
		t.Fatal(err)
	}
	c, err := app.Auth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ours is the platform's verifier, led to the certificates and accounts here.
func (w *world) ours(t *testing.T, tenants ...string) *firebase.Verifier {
	t.Helper()
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", "")
	v, err := firebase.Open(t.Context(), firebase.Config{
		Project: project, Tenants: tenants, Certificates: w.url + account509, Accounts: w.url + "/identitytoolkit.googleapis.com",
	}, w.now, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheOfficialClientOfServers(t *testing.T) {
	w := newWorld(t)
	anna, c, ctx := w.signUp(t, "anna@example.com"), w.theirs(t), t.Context()
	if token, err := c.VerifyIDTokenAndCheckRevoked(ctx, anna.IDToken); err != nil || token.UID != anna.LocalID || token.Firebase.SignInProvider != "password" {
		t.Fatalf("its own verification: %+v, %v", token, err)
	}
	if err := c.SetCustomUserClaims(ctx, anna.LocalID, map[string]any{"clarity_role": "support"}); err != nil {
		t.Error(err)
	}
	ben, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID("ben").Email("ben@example.com").Password("long enough").Disabled(true))
	if err != nil || ben.UID != "ben" || !ben.Disabled {
		t.Errorf("a user is made as %+v, %v", ben, err)
	}
	if _, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID("ben")); !auth.IsUIDAlreadyExists(err) {
		t.Errorf("a second ben: %v", err)
	}
	if _, err := c.CreateUser(ctx, (&auth.UserToCreate{}).Email("BEN@example.com")); !auth.IsEmailAlreadyExists(err) {
		t.Errorf("another with the mail of ben: %v", err)
	}
	found, err := c.GetUserByEmail(ctx, "anna@example.com")
	if err != nil || found.UID != anna.LocalID || found.CustomClaims["clarity_role"] != "support" {
		t.Errorf("looked up by mail: %+v, %v", found, err)
	}
	var all []string
	for users := c.Users(ctx, ""); ; {
		u, err := users.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u.UID)
	}
	if strings.Join(all, " ") != anna.LocalID+" ben" {
		t.Errorf("everybody is %q", all)
	}
	nextSecond()
	if err := c.RevokeRefreshTokens(ctx, anna.LocalID); err != nil {
		t.Error(err)
	}
	if _, err := c.VerifyIDTokenAndCheckRevoked(ctx, anna.IDToken); !auth.IsIDTokenRevoked(err) {
		t.Errorf("its own verification after a revocation: %v", err)
	}
	if err := c.DeleteUser(ctx, "ben"); err != nil {
		t.Error(err)
	}
	if _, err := c.GetUser(ctx, "ben"); !auth.IsUserNotFound(err) {
		t.Errorf("who was deleted: %v", err)
	}
	clinic(ctx, t, c)
}

// clinic is a tenant, whose people are not the others.
func clinic(ctx context.Context, t *testing.T, c *auth.Client) {
	t.Helper()
	made, err := c.TenantManager.CreateTenant(ctx, (&auth.TenantToCreate{}).DisplayName("clinic").AllowPasswordSignUp(true))
	if err != nil {
		t.Fatal(err)
	}
	inside, err := c.TenantManager.AuthForTenant(made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := inside.CreateUser(ctx, (&auth.UserToCreate{}).UID("cleo").Email("anna@example.com").Password("long enough")); err != nil || u.TenantID != made.ID {
		t.Errorf("a tenant's user: %+v, %v", u, err)
	}
	if _, err := c.GetUser(ctx, "cleo"); !auth.IsUserNotFound(err) {
		t.Errorf("the tenant's user without the tenant: %v", err)
	}
	if err := c.TenantManager.DeleteTenant(ctx, made.ID); err != nil {
		t.Error(err)
	}
	if _, err := inside.GetUser(ctx, "cleo"); err == nil {
		t.Error("a tenant's user is there without it")
	}
}

// The platform believes what is signed here, and sees what becomes of an account.
func TestThePlatformsVerifier(t *testing.T) {
	w := newWorld(t)
	v := w.ours(t)
	anna := w.signUp(t, "anna@example.com")
	stands := func(what, token string, want error) identity.Subject {
		t.Helper()
		s, err := v.Fresh(t.Context(), token)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		return s
	}
	if s := stands("a sign-up", anna.IDToken, nil); s.UID != anna.LocalID {
		t.Errorf("it is of %+v", s)
	}
	stands("without its signature", unsigned(t, anna.IDToken), identity.ErrInvalid)
	if err := w.keys.rotate(w.now()); err != nil {
		t.Fatal(err)
	}
	w.advance(10 * time.Second) // the certificates are not asked for at once again
	again := w.refresh(t, anna.RefreshToken)
	stands("signed by the key before", anna.IDToken, nil)
	stands("signed by the new one", again.ID, nil)
	w.change(t, anna.LocalID, request{Claims: new(`{"clarity_role":"admin"}`)})
	if s := stands("with a role", w.refresh(t, anna.RefreshToken).ID, nil); len(s.Roles) != 1 {
		t.Errorf("roles %v", s.Roles)
	}
	w.change(t, anna.LocalID, request{Disable: new(true)})
	stands("of a disabled account", again.ID, identity.ErrInvalid)
	if a := w.refresh(t, anna.RefreshToken); a.Error.Message != "USER_DISABLED" {
		t.Errorf("a refresh of a disabled account: %+v", a)
	}
	w.change(t, anna.LocalID, request{Disable: new(false)})
	nextSecond()
	if err := v.SignOut(t.Context(), anna.LocalID); err != nil {
		t.Error(err)
	}
	stands("of a sign-in that was ended", again.ID, identity.ErrInvalid)
	if a := w.refresh(t, anna.RefreshToken); a.Error.Message != "TOKEN_EXPIRED" {
		t.Errorf("a refresh of it: %+v", a)
	}
	in := w.phone(t, "signInWithPassword", map[string]any{"email": "anna@example.com", "password": "long enough"})
	stands("of a new sign-in", in.IDToken, nil)
	if err := v.Delete(t.Context(), anna.LocalID); err != nil {
		t.Error(err)
	}
	stands("of who was deleted", in.IDToken, identity.ErrInvalid)
	w.advance(2 * time.Hour)
	stands("of yesterday", in.IDToken, identity.ErrInvalid)
}

func (w *world) change(t *testing.T, id string, ask request) {
	t.Helper()
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	if err := w.people.change(w.people.byID("", id), &ask); err != nil {
		t.Fatal(err)
	}
}

// unsigned is the token as an emulator's, which nobody has signed.
func unsigned(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal("not three segments")
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
}

func TestWhatAPhoneIsRefused(t *testing.T) {
	w := newWorld(t)
	anna := w.signUp(t, "anna@example.com")
	ask := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	tests := map[string]struct {
		verb string
		body map[string]any
		want string
	}{
		"a mail that is taken":      {"signUp", ask("email", "Anna@example.com", "password", "long enough"), "EMAIL_EXISTS"},
		"a short password":          {"signUp", ask("email", "b@example.com", "password", "short"), "WEAK_PASSWORD : Password should be at least 6 characters"},
		"no mail":                   {"signUp", ask("email", "nobody", "password", "long enough"), "INVALID_EMAIL"},
		"no password":               {"signUp", ask("email", "b@example.com"), "MISSING_PASSWORD"},
		"a tenant of nobody":        {"signUp", ask("email", "b@example.com", "password", "long enough", "tenantId", "x"), "TENANT_NOT_FOUND"},
		"another password":          {"signInWithPassword", ask("email", "anna@example.com", "password", "wrong enough"), "INVALID_LOGIN_CREDENTIALS"},
		"nobody":                    {"signInWithPassword", ask("email", "ben@example.com", "password", "long enough"), "INVALID_LOGIN_CREDENTIALS"},
		"a token without signature": {"lookup", ask("idToken", unsigned(t, anna.IDToken)), "INVALID_ID_TOKEN"},
		"a token of nobody":         {"delete", ask("idToken", "x"), "INVALID_ID_TOKEN"},
		"another way in":            {"signInWithIdp", ask(), "OPERATION_NOT_ALLOWED"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := w.phone(t, tt.verb, tt.body).Error.Message; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	if got := w.refresh(t, "x").Error.Message; got != "INVALID_REFRESH_TOKEN" {
		t.Errorf("a refresh token of nobody: %q", got)
	}
}

// What makes a person more than a person is not a phone's to say.
func TestAPhoneGivesItselfNoRole(t *testing.T) {
	w := newWorld(t)
	more := map[string]any{"localId": "admin", "customAttributes": `{"clarity_role":"admin"}`, "emailVerified": true, "email": "a@example.com", "password": "long enough"}
	a := w.phone(t, "signUp", more)
	more["idToken"], more["email"] = a.IDToken, "b@example.com"
	b := w.phone(t, "update", more)
	for what, token := range map[string]string{"signing up": a.IDToken, "an update": b.IDToken} {
		claims, err := w.keys.read(token)
		if err != nil || claims["clarity_role"] != nil || claims["sub"] == "admin" || claims["email_verified"] != false {
			t.Errorf("by %s: %v, %v", what, claims, err)
		}
	}
	if own := w.phone(t, "lookup", map[string]any{"idToken": b.IDToken}); len(own.Users) != 1 || own.Users[0].Email != "b@example.com" {
		t.Errorf("its own account: %+v", own)
	}
	if gone := w.phone(t, "delete", map[string]any{"idToken": b.IDToken}); gone.Error.Message != "" {
		t.Errorf("it deletes itself: %+v", gone)
	}
	if again := w.phone(t, "lookup", map[string]any{"idToken": b.IDToken}); again.Error.Message != "USER_NOT_FOUND" {
		t.Errorf("and is still there: %+v", again)
	}
}
