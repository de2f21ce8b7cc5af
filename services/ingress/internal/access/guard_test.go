package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/edge"
	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record"
)

// door is a guard before one route.
type door struct {
	app     *fiber.App
	events  []audit.Event
	deaf    bool // the audit log fails
	written written
	handled func(c *fiber.Ctx) error
}

// anApp knows one app.
type anApp struct{}

func (anApp) Header() string { return "X-App" }

func (anApp) Admit(_ context.Context, token string) error {
	switch token {
	case "ours":
		return nil
	case "away":
		return identity.ErrUnavailable
	}
	return fmt.Errorf("x: %w", identity.ErrInvalid)
}

func (d *door) Append(_ context.Context, e audit.Event) error {
	if d.deaf {
		return errors.New("disk full")
	}
	d.events = append(d.events, e)
	return nil
}

func (*door) Verify(_ context.Context, token string) (identity.Subject, error) {
	switch kind, name, _ := strings.Cut(token, "-"); kind {
	case "person":
		return identity.Subject{UID: name}, nil
	case "service":
		return identity.Subject{UID: name, Roles: []identity.Role{identity.Service}}, nil
	case "nobody":
		return identity.Subject{}, nil
	case "down":
		return identity.Subject{}, identity.ErrUnavailable
	}
	return identity.Subject{}, fmt.Errorf("x: %w", identity.ErrInvalid)
}

// Fresh knows that a token is revoked, which Verify does not yet.
func (d *door) Fresh(ctx context.Context, token string) (identity.Subject, error) {
	if token == "person-revoked" {
		return identity.Subject{}, fmt.Errorf("x: %w", identity.ErrInvalid)
	}
	return d.Verify(ctx, token)
}

func newDoor(r route.Route, rate limit.Rate) *door { return newDoorFor(r, rate, nil) }

// newDoorFor is one that asks which apps are ours.
func newDoorFor(r route.Route, rate limit.Rate, app App) *door {
	d := &door{handled: func(c *fiber.Ctx) error { return c.SendString("uid " + reply.UID(c.UserContext())) }}
	g := NewGuard(Needs{
		Verifier: d, App: app, Audit: d, Accounts: NewAccountCache(&d.written, time.Now, 0), Now: func() time.Time { return time.Unix(1000, 0) },
		UserRate: rate, Timeout: time.Minute, Base: context.Background(),
		Problem: func(_ context.Context, err error) *problem.Problem {
			if errors.Is(err, analysis.ErrErased) {
				return problem.New(problem.AccountErased, "gone")
			}
			return problem.New(problem.Internal, err.Error())
		},
	})
	e, err := edge.New(edge.Needs{Log: discard(), Registry: registry(), Now: time.Now, BodyBytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	d.app = fiber.New(fiber.Config{StreamRequestBody: true, ErrorHandler: e.Unrouted, DisableStartupMessage: true})
	d.app.Add(r.Method, r.Path, g.Handler(&r))
	d.app.Add(r.Method, r.Path, func(c *fiber.Ctx) error { return d.handled(c) })
	inner := d.app.Server().Handler
	d.app.Server().Handler = e.Around(inner)
	return d
}

type answer struct {
	status int
	body   string
	header func(string) string
}

func (d *door) ask(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := d.app.Test(req, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(text), res.Header.Get}
}

func TestWhoIsLetThrough(t *testing.T) {
	get := func(change func(*route.Route)) route.Route {
		r := route.Route{Method: "GET", Path: "/a", ID: "getA"}
		change(&r)
		return r
	}
	personal := get(func(*route.Route) {})
	tests := map[string]struct {
		route  route.Route
		token  string
		erased bool
		want   int
		body   string
	}{
		"a person at their own":          {personal, "person-anna", false, 200, "uid anna"},
		"a service at a person's":        {personal, "service-x", false, 403, "forbidden"},
		"an erased person":               {personal, "person-anna", true, 410, "account_erased"},
		"an erased person at their end":  {get(func(r *route.Route) { r.ErasedToo = true }), "person-anna", true, 200, "uid anna"},
		"a service where anyone may":     {get(func(r *route.Route) { r.Access = route.Anyone }), "service-x", false, 200, "uid x"},
		"an erased one where anyone may": {get(func(r *route.Route) { r.Access = route.Anyone }), "person-anna", true, 200, "uid anna"},
		"nobody where all may":           {get(func(r *route.Route) { r.Access = route.Public }), "", false, 200, "uid "},
		"a token of nobody":              {personal, "nobody-x", false, 401, "unauthenticated"},
		"a token that is not valid":      {personal, "else-x", false, 401, "unauthenticated"},
		"revoked, believed for a while":  {personal, "person-revoked", false, 200, "uid revoked"},
		"revoked, at what is for good":   {get(func(r *route.Route) { r.Fresh = true }), "person-revoked", false, 401, "unauthenticated"},
		"a fresh token there":            {get(func(r *route.Route) { r.Fresh = true }), "person-anna", false, 200, "uid anna"},
		"a verifier that is away":        {personal, "down-x", false, 500, "verify a token"},
		"a stream":                       {get(func(r *route.Route) { r.Stream = true }), "person-anna", false, 200, "uid anna"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := newDoor(tt.route, limit.Rate{})
			if tt.erased {
				d.written.account = record.Account{}.Erased(time.Unix(1, 0), "receipt")
			}
			var headers []string
			if tt.token != "" {
				headers = []string{"Authorization", "Bearer " + tt.token}
			}
			got := d.ask(t, "GET", "/a", "", headers...)
			if got.status != tt.want || !strings.Contains(got.body, tt.body) {
				t.Errorf("%d %s, want %d %s", got.status, got.body, tt.want, tt.body)
			}
			if challenge := got.header("Www-Authenticate"); (challenge != "") != (tt.want == 401) || tt.want == 401 && challenge != `Bearer realm="clarity", error="invalid_token"` {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestTheAuthorizationHeader(t *testing.T) {
	d := newDoor(route.Route{Method: "GET", Path: "/a"}, limit.Rate{})
	for header, want := range map[string]int{"Bearer person-anna": 200, "bEARER person-anna": 200, "Bearer": 401, "Bearer ": 401, "Basic person-anna": 401, "person-anna": 401, "Bearer person-anna x": 401} {
		got := d.ask(t, "GET", "/a", "", "Authorization", header)
		if got.status != want {
			t.Errorf("%q: %d, want %d", header, got.status, want)
		}
		if challenge := got.header("Www-Authenticate"); want == 401 && challenge != `Bearer realm="clarity"` {
			t.Errorf("%q: challenge %q", header, challenge)
		}
	}
	if got := d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna", "Authorization", "Bearer person-anna"); got.status != 401 {
		t.Errorf("twice: %d", got.status)
	}
	if got := d.ask(t, "GET", "/a", ""); got.status != 401 {
		t.Errorf("none: %d", got.status)
	}
}

func TestAQueryIsReadOneWay(t *testing.T) {
	d := newDoor(route.Route{Method: "GET", Path: "/a", Access: route.Public}, limit.Rate{})
	for query, want := range map[string]int{"": 200, "?a=1": 200, "?a=1&b=2": 200, "?a=1&a=2": 422, "?a=1&a=1": 422, "?a=": 422, "?a": 422, "?a=1&b=": 422, "?b=&a=1": 422} {
		if got := d.ask(t, "GET", "/a"+query, ""); got.status != want {
			t.Errorf("%q: %d %s, want %d", query, got.status, got.body, want)
		}
	}
}

func TestTheRateOfAPerson(t *testing.T) {
	d := newDoor(route.Route{Method: "GET", Path: "/a"}, limit.Rate{PerSecond: 1, Burst: 2})
	for want := 1; want >= 0; want-- {
		got := d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
		if got.status != 200 || got.header("Ratelimit") != fmt.Sprintf(`"user";r=%d;t=1`, want) || got.header("Ratelimit-Policy") != `"user";q=2;w=2` {
			t.Errorf("%d %q %q", got.status, got.header("Ratelimit"), got.header("Ratelimit-Policy"))
		}
	}
	over := d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	if over.status != 429 || over.header("Retry-After") != "1" || over.header("Ratelimit") != `"user";r=0;t=1` || !strings.Contains(over.body, "from this user") {
		t.Errorf("%d %q %s", over.status, over.header("Retry-After"), over.body)
	}
	if got := d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-ben"); got.status != 200 {
		t.Errorf("another person: %d", got.status)
	}
}

func TestReadsAndDenialsAreAudited(t *testing.T) {
	r := route.Route{Method: "GET", Path: "/a", ID: "getA", Audit: audit.DataRead}
	d := newDoor(r, limit.Rate{})
	d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	d.ask(t, "GET", "/a", "", "Authorization", "Bearer service-x")
	d.handled = func(c *fiber.Ctx) error { return c.SendStatus(404) }
	d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	d.handled = func(*fiber.Ctx) error { return fiber.NewError(404, "x") }
	d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	want := []audit.Event{
		{Action: audit.DataRead, UID: "anna", ActorUID: "anna", Object: "getA", Outcome: "ok"},
		{Action: audit.AccessDenied, ActorUID: "x", Object: "getA", Outcome: "forbidden"},
	}
	if diff := cmp.Diff(want, d.events); diff != "" {
		t.Errorf("audited (-want +got):\n%s", diff)
	}
	d.handled = func(c *fiber.Ctx) error { return c.SendString("secret") }
	d.deaf = true
	got := d.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	if got.status != 500 || strings.Contains(got.body, "secret") || got.header("Cache-Control") != "private, no-store" || !strings.Contains(got.body, "audit a read") {
		t.Errorf("a read that cannot be audited: %d %s", got.status, got.body)
	}
	if got := d.ask(t, "GET", "/a", "", "Authorization", "Bearer service-x"); got.status != 500 || !strings.Contains(got.body, "audit a denied access") {
		t.Errorf("a denial that cannot be audited: %d %s", got.status, got.body)
	}
	silent := newDoor(route.Route{Method: "GET", Path: "/a"}, limit.Rate{})
	silent.ask(t, "GET", "/a", "", "Authorization", "Bearer person-anna")
	if len(silent.events) > 0 {
		t.Errorf("audited %+v", silent.events)
	}
}

func TestDocumentsAreReadWithinBounds(t *testing.T) {
	d := newDoor(route.Route{Method: "POST", Path: "/a", Access: route.Public, Body: route.JSONBody}, limit.Rate{})
	d.handled = func(c *fiber.Ctx) error {
		body, err := io.ReadAll(c.Context().RequestBodyStream())
		if err != nil {
			return err
		}
		return c.Send(body)
	}
	tests := map[string]struct {
		body    string
		headers []string
		want    int
	}{
		"JSON":               {`{}`, []string{"Content-Type", "application/json"}, 200},
		"JSON as it is":      {`{}`, []string{"Content-Type", "application/json", "Content-Encoding", "IDENTITY"}, 200},
		"with a charset":     {`{}`, []string{"Content-Type", "Application/JSON ; Charset=UTF-8"}, 200},
		"a quoted charset":   {`{}`, []string{"Content-Type", `application/json; charset="utf-8"`}, 200},
		"another charset":    {`{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415},
		"another type":       {`{}`, []string{"Content-Type", "text/json"}, 415},
		"no type":            {`{}`, nil, 415},
		"nothing":            {``, nil, 200},
		"encoded":            {`{}`, []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 415},
		"bad UTF-8":          {"\"\xff\"", []string{"Content-Type", "application/json"}, 400},
		"as large as may be": {strings.Repeat(" ", route.SmallBody), []string{"Content-Type", "application/json"}, 200},
		"a byte too large":   {strings.Repeat(" ", route.SmallBody+1), []string{"Content-Type", "application/json"}, 413},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := d.ask(t, "POST", "/a", tt.body, tt.headers...)
			if got.status != tt.want || tt.want == 200 && got.body != tt.body {
				t.Errorf("%d %.200s, want %d", got.status, got.body, tt.want)
			}
		})
	}
	plain := newDoor(route.Route{Method: "POST", Path: "/a", Access: route.Public}, limit.Rate{})
	if got := plain.ask(t, "POST", "/a", "x"); got.status != 200 {
		t.Errorf("a route without a document looks at the body: %d", got.status)
	}
}

func TestAHandlerHasADeadlineAStreamHasNone(t *testing.T) {
	for _, stream := range []bool{false, true} {
		d := newDoor(route.Route{Method: "GET", Path: "/a", Access: route.Public, Stream: stream}, limit.Rate{})
		var kept context.Context
		d.handled = func(c *fiber.Ctx) error {
			kept = c.UserContext()
			if _, has := kept.Deadline(); has == stream {
				t.Errorf("stream %v: deadline %v", stream, has)
			}
			return nil
		}
		d.ask(t, "GET", "/a", "")
		if ended := kept.Err() != nil; ended == stream {
			t.Errorf("stream %v: after the handler the context is ended: %v", stream, ended)
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func registry() *prometheus.Registry { return prometheus.NewRegistry() }

// Where it is asked, a request at a person's own needs an app of ours, before it is asked
// who the person is; a service has none, and no such route.
func TestWhichAppsAreLetIn(t *testing.T) {
	at := func(who route.Access) route.Route {
		return route.Route{Method: "GET", Path: "/a", ID: "getA", Access: who}
	}
	personal, anyone, public := at(route.Personal), at(route.Anyone), at(route.Public)
	tests := map[string]struct {
		route   route.Route
		headers []string
		want    int
		body    string
	}{
		"ours":                  {personal, []string{"Authorization", "Bearer person-anna", "X-App", "ours"}, 200, "uid anna"},
		"none":                  {personal, []string{"Authorization", "Bearer person-anna"}, 401, "app_not_known"},
		"another's":             {personal, []string{"Authorization", "Bearer person-anna", "X-App", "theirs"}, 401, "app_not_known"},
		"ours and another's":    {personal, []string{"Authorization", "Bearer person-anna", "X-App", "ours", "X-App", "theirs"}, 401, "app_not_known"},
		"ours without a person": {personal, []string{"X-App", "ours"}, 401, "unauthenticated"},
		"nobody can tell":       {personal, []string{"Authorization", "Bearer person-anna", "X-App", "away"}, 500, "verify an app"},
		"none where anyone may": {anyone, []string{"Authorization", "Bearer service-x"}, 200, "uid x"},
		"none where all may":    {public, nil, 200, "uid "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := newDoorFor(tt.route, limit.Rate{}, anApp{}).ask(t, "GET", "/a", "", tt.headers...)
			if got.status != tt.want || !strings.Contains(got.body, tt.body) {
				t.Errorf("%+v, want %d %s", got, tt.want, tt.body)
			}
		})
	}
}
