package ingress_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

// requests says how each operation is called so that it succeeds, with A's
// own things. A route without a row fails TestAccessMatrix.
func requests() map[string]struct {
	path string
	body string
	want int // for A
} {
	type row = struct {
		path string
		body string
		want int
	}
	return map[string]row{
		"putUpload":         {"/v1/uploads/upload-new1", string(ingresstest.Batch(1)), 202},
		"listUploads":       {"/v1/uploads", "", 200},
		"getUpload":         {"/v1/uploads/upload-0001", "", 200},
		"getSync":           {"/v1/sync", "", 200},
		"listDays":          {"/v1/days", "", 200},
		"getDay":            {"/v1/days/2026-11-20", "", 200},
		"getSeries":         {"/v1/days/2026-11-20/series/" + ingresstest.SeriesOf, "", 200},
		"listWeeks":         {"/v1/weeks", "", 200},
		"getWeek":           {"/v1/weeks/2026-11-20", "", 200},
		"getTrends":         {"/v1/trends", "", 200},
		"listInsights":      {"/v1/insights", "", 200},
		"getInsight":        {"/v1/insights/2026-11-20", "", 200},
		"writeInsight":      {"/v1/insights", `{"date":"2026-11-20"}`, 200},
		"streamEvents":      {"/v1/events", "", 200},
		"getProfile":        {"/v1/profile", "", 200},
		"putProfile":        {"/v1/profile", `{"timeZone":"Europe/Berlin"}`, 200},
		"listConsents":      {"/v1/consents", "", 200},
		"putConsent":        {"/v1/consents/processing", `{"granted":true,"version":"1"}`, 200},
		"createExport":      {"/v1/exports", "", 201},
		"listExports":       {"/v1/exports", "", 200},
		"getExport":         {"/v1/exports/00000000000000000000000000000001", "", 200},
		"deleteExport":      {"/v1/exports/00000000000000000000000000000001", "", 204},
		"downloadExport":    {"/v1/exports/00000000000000000000000000000001/download", "", 200},
		"eraseAccount":      {"/v1/account", "", 202},
		"beginAnew":         {"/v1/account", "", 204},
		"getErasureReceipt": {"/v1/account/receipt", "", 404},
		"listDevices":       {"/v1/devices", "", 200},
		"putDevice":         {"/v1/devices/phone", `{"token":"t"}`, 204},
		"deleteDevice":      {"/v1/devices/phone", "", 204},
		"createWebhook":     {"/v1/webhooks", `{"url":"https://hooks.example.org/"}`, 403},
		"listWebhooks":      {"/v1/webhooks", "", 403},
		"deleteWebhook":     {"/v1/webhooks/00000000000000000000000000000001", "", 403},
		"rotateWebhook":     {"/v1/webhooks/00000000000000000000000000000001/rotate", "", 403},
		"listDeliveries":    {"/v1/webhooks/00000000000000000000000000000001/deliveries", "", 403},
		"replayDelivery":    {"/v1/webhooks/00000000000000000000000000000001/deliveries/00000000000000000000000000000001/replay", "", 403},
		"listModels":        {"/v1/models", "", 200},
		"getHealth":         {"/healthz", "", 200},
		"getReadiness":      {"/readyz", "", 200},
		"getOpenAPI":        {"/openapi.json", "", 200},
		"getMetrics":        {"/metrics", "", 200},
	}
}

// call sends a route's request with the token; ETag where it needs one.
func call(w *ingresstest.World, r route.Route, token, ifMatch string) ingresstest.Reply {
	w.T.Helper()
	row, ok := requests()[r.ID]
	if !ok {
		w.T.Fatalf("route %s %s has no row in requests: say how it is called", r.Method, r.Path)
	}
	h := ingresstest.Header{"Last-Event-ID": "0000000000000000", "If-Match": ifMatch}
	if row.body != "" {
		h["Content-Type"] = "application/json"
	}
	return w.Do(r.Method, row.path, token, []byte(row.body), h)
}

func TestAccessMatrix(t *testing.T) {
	callers := []struct{ name, token string }{{"none", ""}, {"A", ingresstest.Anna}, {"B", ingresstest.Ben}, {"service", "service-x"}, {"admin", "admin-x"}, {"expired", "expired-anna"}}
	table := ingresstest.New(t).Server.Table()
	for _, r := range table {
		t.Run(r.ID, func(t *testing.T) {
			w := ingresstest.New(t, ingresstest.ShortStreams)
			ingresstest.Furnish(w)
			w.Consent(ingresstest.Ben, true)
			for _, c := range callers {
				if c.name == "A" {
					continue // last: it may erase
				}
				got := call(w, r, c.token, `"0"`)
				if want := expected(r, c.name); !want(got.Status) {
					t.Errorf("%s: %s %s got %d %s", c.name, r.Method, r.Path, got.Status, got.Body)
				}
				if bytes.Contains(got.Body, []byte(ingresstest.Secret)) || bytes.Contains(got.Body, []byte("s3cr3t_of_anna")) {
					t.Errorf("%s was given what is A's: %s", c.name, got.Body)
				}
			}
			profile := w.Do("GET", "/v1/profile", ingresstest.Anna, nil).Header.Get("ETag")
			if got := call(w, r, ingresstest.Anna, profile); got.Status != requests()[r.ID].want {
				t.Errorf("A: %s %s got %d %s, want %d", r.Method, r.Path, got.Status, got.Body, requests()[r.ID].want)
			}
		})
	}
}

// expected is which statuses a caller other than A may get.
func expected(r route.Route, caller string) func(int) bool {
	is := func(want int) func(int) bool { return func(got int) bool { return got == want } }
	switch {
	case r.Access == route.Public:
		return is(200)
	case caller == "none" || caller == "expired":
		return is(401)
	case r.Access == route.Service && caller == "service":
		if strings.Contains(r.Path, "{webhookId}") {
			return is(404)
		}
		return func(got int) bool { return got >= 200 && got < 300 }
	case r.Access == route.Service:
		return is(403)
	case caller == "B":
		if strings.Contains(r.Path, "{date}") || strings.Contains(r.Path, "{exportId}") || r.ID == "getUpload" || r.ID == "writeInsight" || r.ID == "getErasureReceipt" {
			return is(404)
		}
		return func(got int) bool { return got >= 200 && got < 300 }
	case r.Access == route.Anyone:
		return is(200)
	default:
		return is(403)
	}
}

func TestNotYoursIsNotThere(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	for _, path := range []string{"/v1/uploads/upload-0001", "/v1/days/2026-11-20", "/v1/weeks/2026-11-20", "/v1/insights/2026-11-20", "/v1/exports/00000000000000000000000000000001"} {
		yours := w.Do("GET", path, ingresstest.Ben, nil)
		nobodys := w.Do("GET", strings.NewReplacer("0001", "0099", "11-20", "01-01").Replace(path), ingresstest.Ben, nil)
		if yours.Status != 404 || string(yours.Body) != string(nobodys.Body) {
			t.Errorf("%s: %d %s, and for what is nobody's %d %s", path, yours.Status, yours.Body, nobodys.Status, nobodys.Body)
		}
	}
}

func TestTheTokenComesFromOneHeaderAlone(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	request := func(change func(*http.Request)) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/v1/profile", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		res, err := w.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	tests := map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"one bearer token":       {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+ingresstest.Anna) }, 200},
		"bearer in another case": {func(r *http.Request) { r.Header.Set("Authorization", "bearer "+ingresstest.Anna) }, 200},
		"the header twice": {func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + ingresstest.Anna, "Bearer " + ingresstest.Ben}
		}, 401},
		"the same header twice": {func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + ingresstest.Anna, "Bearer " + ingresstest.Anna}
		}, 401},
		"two tokens in one header": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+ingresstest.Anna+" "+ingresstest.Ben) }, 401},
		"another scheme":           {func(r *http.Request) { r.Header.Set("Authorization", "Basic "+ingresstest.Anna) }, 401},
		"no scheme":                {func(r *http.Request) { r.Header.Set("Authorization", ingresstest.Anna) }, 401},
		"the token in the query":   {func(r *http.Request) { r.URL.RawQuery = "access_token=" + ingresstest.Anna }, 401},
		"a token in the query, too": {func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+ingresstest.Anna)
			r.URL.RawQuery = "access_token=" + ingresstest.Ben
		}, 422},
		"a token in a cookie":          {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "token", Value: ingresstest.Anna}) }, 401},
		"a verifier that is not there": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer down-x") }, 503},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := request(tt.change); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	w := ingresstest.New(t)
	tests := map[string]struct {
		method, path string
		status       int
		code, allow  string
	}{
		"an unknown path":                   {"GET", "/v2/uploads", 404, "not_found", ""},
		"a path in another case":            {"GET", "/v1/Uploads", 404, "not_found", ""},
		"a path with a slash too many":      {"GET", "/v1/uploads/", 404, "not_found", ""},
		"a method the route does not know":  {"POST", "/v1/uploads", 405, "method_not_allowed", "GET, HEAD, OPTIONS"},
		"a method that nobody knows":        {"FROB", "/v1/profile", 405, "method_not_allowed", "GET, HEAD, PUT, OPTIONS"},
		"an unknown method on unknown path": {"FROB", "/nowhere", 404, "not_found", ""},
		"TRACE":                             {"TRACE", "/healthz", 405, "method_not_allowed", "GET, HEAD, OPTIONS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.Do(tt.method, tt.path, ingresstest.Anna, nil)
			if got.Status != tt.status || got.Code() != tt.code || got.Header.Get("Allow") != tt.allow || got.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s Allow %q, want %d %s %q", got.Status, got.Body, got.Header.Get("Allow"), tt.status, tt.code, tt.allow)
			}
			if got.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("security headers are missing")
			}
		})
	}
}

func TestWritesRefuseWhatIsNotTheirs(t *testing.T) {
	w := ingresstest.New(t)
	tests := map[string]struct {
		path, body string
		headers    ingresstest.Header
		status     int
	}{
		"an unknown member":              {"/v1/profile", `{"uid":"ben"}`, nil, 422},
		"a read-only member":             {"/v1/profile", `{"updatedAt":"2020-01-01T00:00:00Z"}`, nil, 422},
		"a member in another case":       {"/v1/profile", `{"BirthYear":1980}`, nil, 422},
		"a member twice":                 {"/v1/profile", `{"birthYear":1980,"birthYear":1981}`, nil, 400},
		"a value of another type":        {"/v1/profile", `{"birthYear":"1980"}`, nil, 422},
		"a value out of range":           {"/v1/profile", `{"weightKg":1e6}`, nil, 422},
		"a number beyond float64":        {"/v1/profile", `{"weightKg":1e400}`, nil, 400},
		"not a number":                   {"/v1/profile", `{"weightKg":NaN}`, nil, 400},
		"a time zone that is none":       {"/v1/profile", `{"timeZone":"Mars/Olympus"}`, nil, 422},
		"a path as time zone":            {"/v1/profile", `{"timeZone":"../../etc/passwd"}`, nil, 422},
		"something behind the document":  {"/v1/profile", `{} {}`, nil, 400},
		"bad UTF-8":                      {"/v1/profile", "{\"timeZone\":\"\xff\"}", nil, 400},
		"a deep document":                {"/v1/profile", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), nil, 400},
		"a large document":               {"/v1/profile", `{"timeZone":"` + strings.Repeat("a", 70_000) + `"}`, nil, 413},
		"an encoded document":            {"/v1/profile", string(ingresstest.Zipped([]byte(`{}`))), ingresstest.Header{"Content-Encoding": "gzip"}, 415},
		"no document":                    {"/v1/profile", ``, nil, 400},
		"another content type":           {"/v1/profile", `{}`, ingresstest.Header{"Content-Type": "text/plain"}, 415},
		"a form":                         {"/v1/profile", `a=b`, ingresstest.Header{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"a multipart form":               {"/v1/profile", "--x\r\n\r\n--x--", ingresstest.Header{"Content-Type": "multipart/form-data; boundary=x"}, 415},
		"no If-Match":                    {"/v1/profile", `{}`, ingresstest.Header{"If-Match": ""}, 428},
		"an If-Match that is stale":      {"/v1/profile", `{}`, ingresstest.Header{"If-Match": `"7"`}, 412},
		"an If-Match that is none":       {"/v1/profile", `{}`, ingresstest.Header{"If-Match": `*`}, 412},
		"a purpose that is none":         {"/v1/consents/everything", `{"granted":true,"version":"1"}`, nil, 422},
		"a consent without its version":  {"/v1/consents/processing", `{"granted":true}`, nil, 422},
		"a consent with a time":          {"/v1/consents/processing", `{"granted":true,"version":"1","at":"2020-01-01T00:00:00Z"}`, nil, 422},
		"a consent that is no yes or no": {"/v1/consents/processing", `{"granted":"yes","version":"1"}`, nil, 422},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.Do("PUT", tt.path, ingresstest.Anna, []byte(tt.body), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}, tt.headers)
			if got.Status != tt.status || got.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s, want %d", got.Status, got.Body, tt.status)
			}
		})
	}
	good := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{"birthYear":1980,"sex":"female","heightM":1.7}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`})
	if good.Status != 200 || good.Header.Get("ETag") == `"0"` {
		t.Errorf("a good profile got %d %s %s", good.Status, good.Body, good.Header.Get("ETag"))
	}
	if again := w.Do("PUT", "/v1/profile", ingresstest.Anna, []byte(`{}`), ingresstest.AsJSON(), ingresstest.Header{"If-Match": `"0"`}); again.Status != 412 {
		t.Errorf("the second device's stale write got %d", again.Status)
	}
}

func TestRateLimits(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.UserRate = ingress.Rate{PerSecond: 0.001, Burst: 3}
		d.Limits.AddressRate = ingress.Rate{PerSecond: 0.001, Burst: 8}
	})
	var last ingresstest.Reply
	for range 3 {
		if last = w.Do("GET", "/v1/profile", ingresstest.Anna, nil); last.Status != 200 {
			t.Fatalf("within the limit: %d %s", last.Status, last.Body)
		}
	}
	if got := last.Header.Get("RateLimit"); !strings.HasPrefix(got, `"user";r=0;t=`) || last.Header.Get("RateLimit-Policy") != `"user";q=3;w=3000` {
		t.Errorf("RateLimit %q, RateLimit-Policy %q", got, last.Header.Get("RateLimit-Policy"))
	}
	over := w.Do("GET", "/v1/profile", ingresstest.Anna, nil)
	if over.Status != 429 || over.Code() != "too_many_requests" || over.Header.Get("Retry-After") == "" {
		t.Errorf("over the limit: %d %s Retry-After %q", over.Status, over.Body, over.Header.Get("Retry-After"))
	}
	if r := w.Do("GET", "/v1/profile", ingresstest.Ben, nil); r.Status != 200 {
		t.Errorf("another person: %d", r.Status)
	}
	for i := range 3 {
		w.Do("GET", "/v1/profile", fmt.Sprintf("person-x%d", i), nil)
	}
	if r := w.Do("GET", "/v1/profile", "person-y", nil); r.Status != 429 || !strings.Contains(string(r.Body), "address") {
		t.Errorf("the address' ninth request: %d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/healthz", "", nil); r.Status != 200 {
		t.Errorf("a probe is limited: %d", r.Status)
	}
}

func TestAfterAnErasureEveryRouteIsGone(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams)
	ingresstest.Furnish(w)
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 202 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, r := range w.Server.Table() {
		if r.Access != route.Personal || r.ErasedToo {
			continue
		}
		if got := call(w, r, ingresstest.Anna, `"1"`); got.Status != 410 || got.Code() != "account_erased" {
			t.Errorf("%s %s after the erasure: %d %s", r.Method, r.Path, got.Status, got.Body)
		}
	}
}
