package firebase

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/api/option"

	"github.com/clarity-loop/clarity/services/identity/identitytest"
)

const (
	project = "demo-clarity"
	canary  = "marked-c0ffee"
	keyID   = "7f1c7a20b39e"
)

var signing = func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}()

// A user is an account at Firebase.
type user struct {
	Tenant   string
	Valid    int64 // seconds: no sign-in before counts
	Disabled bool
	Claims   map[string]any
}

// google is Google's certificates, and its accounts by tenant/sub.
type google struct {
	keys, accounts *httptest.Server
	asked          atomic.Int64 // for an account

	mu     sync.Mutex
	users  map[string]*user
	now    time.Time
	answer http.HandlerFunc // instead of accounts
}

func newGoogle(t *testing.T, now time.Time) *google {
	t.Helper()
	g := &google{users: map[string]*user{"/anna": {}}, now: now}
	body, err := json.Marshal(map[string]string{keyID: certificateOf(t, signing, now)})
	if err != nil {
		t.Fatal(err)
	}
	g.keys = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=20000")
		_, _ = w.Write(body)
	}))
	g.accounts = httptest.NewServer(http.HandlerFunc(g.account))
	t.Cleanup(g.keys.Close)
	t.Cleanup(g.accounts.Close)
	return g
}

func certificateOf(t *testing.T, key *rsa.PrivateKey, now time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "securetoken"}, NotBefore: now.Add(-240 * time.Hour), NotAfter: now.Add(240 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// account serves accounts:lookup, accounts:update and accounts:delete.
func (g *google) account(w http.ResponseWriter, r *http.Request) {
	g.asked.Add(1)
	g.mu.Lock()
	answer := g.answer
	g.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	path, verb, _ := strings.Cut(r.URL.Path, "/accounts:")
	tenant := ""
	if before, of, is := strings.Cut(path, "/tenants/"); is {
		path, tenant = before, of
	}
	if path != "/v1/projects/"+project {
		http.Error(w, `{"error":{"message":"INVALID_PROJECT_ID"}}`, http.StatusBadRequest)
		return
	}
	var asks struct {
		LocalID    json.RawMessage `json:"localId"`
		ValidSince string          `json:"validSince"`
	}
	_ = json.NewDecoder(r.Body).Decode(&asks)
	var ids []string
	if json.Unmarshal(asks.LocalID, &ids) != nil {
		ids = make([]string, 1)
		_ = json.Unmarshal(asks.LocalID, &ids[0])
	}
	u := g.users[tenant+"/"+ids[0]]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case verb == "lookup" && u == nil:
		_, _ = fmt.Fprint(w, `{"kind":"identitytoolkit#GetAccountInfoResponse"}`)
	case verb == "lookup":
		_ = json.NewEncoder(w).Encode(map[string]any{"users": []any{u.record(ids[0])}})
	case u == nil:
		http.Error(w, `{"error":{"code":400,"message":"USER_NOT_FOUND"}}`, http.StatusBadRequest)
	case verb == "update":
		u.Valid, _ = strconv.ParseInt(asks.ValidSince, 10, 64)
		_, _ = fmt.Fprintf(w, `{"localId":%q}`, ids[0])
	case verb == "delete":
		delete(g.users, tenant+"/"+ids[0])
		_, _ = fmt.Fprint(w, `{}`)
	default:
		http.Error(w, `{"error":{"message":"OPERATION_NOT_ALLOWED"}}`, http.StatusBadRequest)
	}
}

func (u *user) record(sub string) map[string]any {
	r := map[string]any{"localId": sub, "email": canary + "@example.com", "disabled": u.Disabled}
	if u.Valid > 0 {
		r["validSince"] = fmt.Sprint(u.Valid)
	}
	if u.Tenant != "" {
		r["tenantId"] = u.Tenant
	}
	if u.Claims != nil {
		claims, err := json.Marshal(u.Claims)
		if err != nil {
			panic(err)
		}
		r["customAttributes"] = string(claims)
	}
	return r
}

// has makes an account of the tenant and sub.
func (g *google) has(tenant, sub string, u user) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u.Tenant = tenant
	g.users[tenant+"/"+sub] = &u
}

func (g *google) answers(h http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = h
}

// config is the configuration that leads here.
func (g *google) config(tenants ...string) Config {
	return Config{Project: project, Tenants: tenants, Certificates: g.keys.URL, Accounts: g.accounts.URL}
}

func (g *google) open(t *testing.T, tenants ...string) *Verifier {
	t.Helper()
	v, err := Open(t.Context(), g.config(tenants...), func() time.Time { return g.now }, option.WithoutAuthentication())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// issuer makes tokens as Firebase does.
func (g *google) issuer(v *Verifier) identitytest.Issuer {
	return identitytest.Issuer{
		Verifier: v, Key: signing, Now: g.now,
		Header: map[string]any{"alg": "RS256", "kid": keyID, "typ": "JWT"},
		Claims: map[string]any{
			"iss": issuer + project, "aud": project, "sub": "anna", "user_id": "anna",
			"iat": g.now.Unix(), "exp": g.now.Add(time.Hour).Unix(), "auth_time": g.now.Add(-time.Minute).Unix(),
			"email": canary + "@example.com", "email_verified": true,
			"firebase": map[string]any{"identities": map[string]any{"email": []string{canary + "@example.com"}}, "sign_in_provider": "password"},
		},
		Revoke: func(uid string) error {
			g.has("", uid, user{Valid: g.now.Unix()})
			return nil
		},
	}
}

// token is a good one, but for what is over it.
func (g *google) token(over map[string]any) string { return g.issuer(nil).Token(nil, over) }

// of is what a token of a tenant has in its claim firebase.
func of(tenant any) map[string]any {
	return map[string]any{"firebase": map[string]any{"sign_in_provider": "password", "identities": map[string]any{}, "tenant": tenant}}
}

// strange are forgeries that only Firebase's tokens can be.
func (g *google) strange() map[string]string {
	i := g.issuer(nil)
	claim := func(name string, value any) string { return i.Token(nil, map[string]any{name: value}) }
	other := func(id string) string {
		return i.Token(nil, map[string]any{"iss": issuer + id, "aud": id})
	}
	forged := map[string]string{
		"of another project":                    other("demo-other"),
		"of a project that begins so":           other(project + "-2"),
		"of a project in another case":          other(strings.ToUpper(project)),
		"our aud, another project's iss":        claim("iss", issuer+"demo-other"),
		"our iss, another project's aud":        claim("aud", "demo-other"),
		"aud with the number":                   claim("aud", "projects/1234567890"),
		"a session cookie":                      claim("iss", "https://session.firebase.google.com/"+project),
		"a custom token":                        i.Token(map[string]any{"kid": "x"}, map[string]any{"aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"}),
		"a token of Google's own":               claim("iss", "https://accounts.google.com"),
		"an App Check token":                    i.Token(nil, map[string]any{"iss": "https://firebaseappcheck.googleapis.com/1234567890", "aud": []string{"projects/1234567890"}}),
		"of two hours":                          claim("exp", g.now.Add(2*time.Hour+2*time.Minute).Unix()),
		"no claim firebase":                     claim("firebase", nil),
		"firebase is a text":                    claim("firebase", "password"),
		"firebase is a list":                    claim("firebase", []any{map[string]any{"sign_in_provider": "password"}}),
		"no sign-in provider":                   claim("firebase", map[string]any{}),
		"anonymous":                             claim("firebase", map[string]any{"sign_in_provider": "anonymous"}),
		"of a tenant that is not let in":        i.Token(nil, of("clinic-other")),
		"of a tenant in another case":           i.Token(nil, of("CLINIC-1")),
		"tenant empty":                          i.Token(nil, of("")),
		"tenant null":                           i.Token(nil, of(nil)),
		"tenant a list":                         i.Token(nil, of([]string{"clinic-1"})),
		"tenant beside the claim firebase":      i.Token(nil, map[string]any{"tenant": "clinic-1", "firebase": map[string]any{"tenant": "clinic-other", "sign_in_provider": "password"}}),
		"an unknown role":                       claim(RoleClaim, "root"),
		"a role in another case":                claim(RoleClaim, "Admin"),
		"an empty role":                         claim(RoleClaim, ""),
		"a role that is a number":               claim(RoleClaim, 1),
		"roles with a null":                     claim(RoleClaim, []any{"admin", nil}),
		"a role that the account does not have": claim(RoleClaim, "admin"),
		"a sub with a slash":                    claim("sub", "clinic-1/anna"),
		"a sub of nobody":                       claim("sub", "nobody"),
		"a sub in another case":                 claim("sub", "Anna"),
		"a sub with blanks":                     claim("sub", " anna"),
		"user_id of another, sub of nobody":     i.Token(nil, map[string]any{"sub": "nobody", "user_id": "anna"}),
	}
	inner := `{"sign_in_provider":"password","tenant":"clinic-1","tenant":"clinic-other"}`
	forged["tenant twice"] = i.Raw(mustMarshal(i.Header), strings.Replace(mustMarshal(i.Claims), mustMarshal(i.Claims["firebase"]), inner, 1))
	return forged
}

func mustMarshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func names[T any](m map[string]T) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
