package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A request is what may be asked, of whom.
type request struct {
	LocalID      json.RawMessage `json:"localId"` // one, or several
	LocalIDs     []string        `json:"localIds"`
	Emails       json.RawMessage `json:"email"`
	Email        *string         `json:"-"`
	Password     *string         `json:"password"`
	Name         *string         `json:"displayName"`
	Claims       *string         `json:"customAttributes"`
	Since        *string         `json:"validSince"`
	Verified     *bool           `json:"emailVerified"`
	Disabled     *bool           `json:"disabled"`
	Disable      *bool           `json:"disableUser"`
	Tenant       string          `json:"tenantId"`
	IDToken      string          `json:"idToken"`
	GrantType    string          `json:"grant_type"` //nolint:tagliatelle // as the service has it
	RefreshToken string          `json:"refresh_token"`
}

// several are the texts of a member that is one, or a list.
func several(raw json.RawMessage) (all []string) {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	_ = json.Unmarshal(raw, &all)
	return all
}

// id is the account that is asked for; "" for none.
func (r *request) id() string {
	if all := several(r.LocalID); len(all) > 0 {
		return all[0]
	}
	return ""
}

const maxRequest = 1 << 20

// read is what was asked, as JSON or as a form.
func read(r *http.Request) (*request, error) {
	ask := &request{}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		ask.GrantType, ask.RefreshToken = r.PostFormValue("grant_type"), r.PostFormValue("refresh_token")
		return ask, nil
	}
	if len(body) > 0 && json.Unmarshal(body, ask) != nil {
		return nil, refusal("INVALID_JSON")
	}
	if emails := several(ask.Emails); len(emails) > 0 {
		ask.Email = &emails[0]
	}
	return ask, nil
}

// A server answers as Identity Toolkit, the token service and the certificates' URLs do.
type server struct {
	project string
	keys    keys
	people  *people
}

func newServer(project string, now func() time.Time) (*server, error) {
	s := &server{project: project, people: newPeople(now)}
	return s, s.keys.rotate(now())
}

// hosts are what stands in front of a path where a client was led to an emulator.
var (
	hosts    = regexp.MustCompile(`^/(identitytoolkit|securetoken|www)\.googleapis\.com`)
	accounts = regexp.MustCompile(`^/v1/(?:projects/([^/]+)/)?(?:tenants/([^/]+)/)?accounts(?::([A-Za-z]+))?$`)
	tenants  = regexp.MustCompile(`^/v2/projects/([^/]+)/tenants(?:/([^/]+))?$`)
)

const account509, accountJWK = "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com", "/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"

// certificateAge is for how long certificates may be believed.
const certificateAge = 6 * time.Hour

// ServeHTTP answers.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	if r.Method == http.MethodOptions {
		return
	}
	answer, err := s.answer(w, r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if err != nil {
		refuse(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
}

func refuse(w http.ResponseWriter, err error) {
	status, message := http.StatusInternalServerError, "INTERNAL"
	var why refusal
	if errors.As(err, &why) {
		status, message = http.StatusBadRequest, string(why)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []any{map[string]string{"message": message, "reason": "invalid", "domain": "global"}},
	}})
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	path := hosts.ReplaceAllString(r.URL.Path, "")
	switch {
	case path == account509 || path == accountJWK:
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(certificateAge.Seconds()))+", must-revalidate, no-transform")
		if path == accountJWK {
			return s.keys.set(), nil
		}
		return s.keys.certificates(), nil
	case path == "/emulator/v1/keys:rotate" && r.Method == http.MethodPost:
		return map[string]any{}, s.keys.rotate(s.people.now())
	}
	ask, err := read(r)
	if err != nil {
		return nil, err
	}
	s.people.mu.Lock()
	defer s.people.mu.Unlock()
	if path == "/v1/token" {
		return s.refresh(ask)
	}
	if of := tenants.FindStringSubmatch(path); of != nil && of[1] == s.project {
		return s.tenant(r.Method, of[2], ask)
	}
	of := accounts.FindStringSubmatch(path)
	switch {
	case of == nil:
		return nil, refusal("OPERATION_NOT_ALLOWED")
	case of[1] == "":
		return s.client(of[3], ask)
	case of[1] != s.project:
		return nil, refusal("INVALID_PROJECT_ID")
	}
	return s.admin(of[2], of[3], ask, r.URL.Query().Get("nextPageToken"))
}

// signedIn is the answer to who signs up or in.
func (s *server) signedIn(a *account) (any, error) {
	token, err := s.keys.sign(s.people.claims(s.project, a, s.people.now()))
	return map[string]any{
		"localId": a.id, "email": a.email, "idToken": token, "refreshToken": s.people.begin(a),
		"expiresIn": strconv.Itoa(int(tokenLife.Seconds())), "registered": true,
	}, err
}

// client does what a phone may ask.
func (s *server) client(verb string, ask *request) (any, error) {
	switch verb {
	case "signUp":
		ask.LocalID, ask.Claims, ask.Since, ask.Disabled, ask.Disable, ask.Verified = nil, nil, nil, nil, nil, nil
		if (ask.Email == nil) != (ask.Password == nil) {
			return nil, refusal("MISSING_PASSWORD")
		}
		a, err := s.people.add(ask.Tenant, ask)
		if err != nil {
			return nil, err
		}
		return s.signedIn(a)
	case "signInWithPassword":
		a, err := s.people.enter(ask.Tenant, ask)
		if err != nil {
			return nil, err
		}
		return s.signedIn(a)
	case "lookup", "update", "delete":
		a, err := s.own(ask.IDToken)
		if err != nil {
			return nil, err
		}
		return s.ownAccount(verb, a, ask)
	}
	return nil, refusal("OPERATION_NOT_ALLOWED")
}

// own is the account of who shows the token.
func (s *server) own(token string) (*account, error) {
	claims, err := s.keys.read(token)
	if err != nil {
		return nil, refusal("INVALID_ID_TOKEN")
	}
	if seconds(claims, "exp") <= s.people.now().Unix() {
		return nil, refusal("TOKEN_EXPIRED")
	}
	how, _ := claims["firebase"].(map[string]any)
	return s.people.standing(text(how, "tenant"), text(claims, "sub"), seconds(claims, "auth_time"))
}

func (s *server) ownAccount(verb string, a *account, ask *request) (any, error) {
	switch verb {
	case "lookup":
		return map[string]any{"users": []any{a.record()}}, nil
	case "delete":
		s.people.remove(a)
		return map[string]any{}, nil
	}
	ask.Claims, ask.Since, ask.Disabled, ask.Disable, ask.Verified = nil, nil, nil, nil, nil
	if err := s.people.change(a, ask); err != nil {
		return nil, err
	}
	return s.signedIn(a)
}

// refresh is a new ID token for who has signed in.
func (s *server) refresh(ask *request) (any, error) {
	if ask.GrantType != "refresh_token" {
		return nil, refusal("INVALID_GRANT_TYPE")
	}
	a, began, err := s.people.goOn(ask.RefreshToken)
	if err != nil {
		return nil, err
	}
	token, err := s.keys.sign(s.people.claims(s.project, a, began))
	return map[string]any{
		"id_token": token, "access_token": token, "refresh_token": ask.RefreshToken, "token_type": "Bearer",
		"expires_in": strconv.Itoa(int(tokenLife.Seconds())), "user_id": a.id, "project_id": s.project,
	}, err
}

// admin does what a server may ask.
func (s *server) admin(tenant, verb string, ask *request, page string) (any, error) {
	if err := s.people.of(tenant); err != nil {
		return nil, err
	}
	switch verb {
	case "": // of a server, signUp has no verb
		a, err := s.people.add(tenant, ask)
		if err != nil {
			return nil, err
		}
		return map[string]any{"localId": a.id, "email": a.email}, nil
	case "lookup":
		return s.lookup(tenant, ask), nil
	case "batchGet":
		return s.list(tenant, page), nil
	case "batchDelete":
		for _, id := range ask.LocalIDs {
			if a := s.people.byID(tenant, id); a != nil {
				s.people.remove(a)
			}
		}
		return map[string]any{}, nil
	case "update", "delete":
		a := s.people.byID(tenant, ask.id())
		if a == nil {
			return nil, refusal("USER_NOT_FOUND")
		}
		if verb == "delete" {
			s.people.remove(a)
			return map[string]any{}, nil
		}
		return map[string]any{"localId": a.id}, s.people.change(a, ask)
	}
	return nil, refusal("OPERATION_NOT_ALLOWED")
}

func (s *server) lookup(tenant string, ask *request) any {
	ids, emails := several(ask.LocalID), several(ask.Emails)
	var found []any
	for _, a := range s.people.accounts {
		if a.tenant == tenant && (slices.Contains(ids, a.id) || a.email != "" && slices.ContainsFunc(emails, func(e string) bool { return strings.EqualFold(e, a.email) })) {
			found = append(found, a.record())
		}
	}
	if found == nil {
		return map[string]any{"kind": "identitytoolkit#GetAccountInfoResponse"}
	}
	return map[string]any{"users": found}
}

// listed is how many people a page has.
const listed = 500

// list is a page of everybody.
func (s *server) list(tenant, from string) any {
	begin, _ := strconv.Atoi(from) // "" is the first
	var page []any
	of := slices.DeleteFunc(slices.Clone(s.people.accounts), func(a *account) bool { return a.tenant != tenant })
	for _, a := range of[min(begin, len(of)):min(begin+listed, len(of))] {
		page = append(page, a.record())
	}
	answer := map[string]any{"users": page}
	if begin+listed < len(of) {
		answer["nextPageToken"] = strconv.Itoa(begin + listed)
	}
	return answer
}

// tenant makes, tells and ends tenants.
func (s *server) tenant(method, id string, ask *request) (any, error) {
	told := func(id string) any {
		return map[string]any{"name": "projects/" + s.project + "/tenants/" + id, "displayName": s.people.tenants[id], "allowPasswordSignup": true}
	}
	if id == "" && method == http.MethodPost {
		if ask.Name == nil || *ask.Name == "" {
			return nil, refusal("INVALID_DISPLAY_NAME")
		}
		return told(s.people.addTenant(*ask.Name)), nil
	}
	if err := s.people.of(id); err != nil || id == "" {
		return nil, refusal("TENANT_NOT_FOUND")
	}
	switch method {
	case http.MethodGet:
		return told(id), nil
	case http.MethodDelete:
		s.people.accounts = slices.DeleteFunc(s.people.accounts, func(a *account) bool { return a.tenant == id })
		delete(s.people.tenants, id)
		return map[string]any{}, nil
	}
	return nil, refusal("OPERATION_NOT_ALLOWED")
}
