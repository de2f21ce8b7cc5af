package ingress

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record"
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
		"putUpload":         {"/v1/uploads/upload-new1", string(batch(1)), 202},
		"listUploads":       {"/v1/uploads", "", 200},
		"getUpload":         {"/v1/uploads/upload-0001", "", 200},
		"getSync":           {"/v1/sync", "", 200},
		"listDays":          {"/v1/days", "", 200},
		"getDay":            {"/v1/days/2026-11-20", "", 200},
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
		"downloadExport":    {"/v1/exports/00000000000000000000000000000001/download", "", 200},
		"eraseAccount":      {"/v1/account", "", 200},
		"getErasureReceipt": {"/v1/account/receipt", "", 404},
		"listModels":        {"/v1/models", "", 200},
		"getHealth":         {"/healthz", "", 200},
		"getReadiness":      {"/readyz", "", 200},
		"getOpenAPI":        {"/openapi.json", "", 200},
		"getMetrics":        {"/metrics", "", 200},
	}
}

// secret is in every one of A's records.
const secret = "s3cr3t-of-anna"

// furnish gives A one of everything.
func furnish(w *world) {
	w.t.Helper()
	w.consent(anna, true)
	ctx, day := w.t.Context(), "2026-11-20"
	must := func(_ int64, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	one := 1.0
	must(w.store.Uploads.Put(ctx, "anna", "upload-0001", 0, record.Upload{State: record.UploadMerged, Reason: secret, Encoding: "gzip"}))
	must(w.store.Days.Put(ctx, "anna", day, 0, record.Day{Zone: secret, Types: map[string]record.TypeSummary{secret: {Count: 1}}}))
	must(w.store.Cursors.Put(ctx, "anna", "HKX", 0, record.Cursor{Anchor: secret}))
	must(w.store.Results.Put(ctx, "anna", day, 0, record.Result{Result: analysis.Result{
		Input: analysis.Input{Kind: "none", SleepSource: "none", SleepAlgorithm: secret}, Sleep: analysis.Family{"s3cr3t_of_anna": &one}}}))
	must(w.store.Insights.Put(ctx, "anna", day, 0, record.Insight{Insight: analysis.Insight{Sentences: []analysis.Claim{{Text: secret}}, Facts: []analysis.Fact{{ID: "a.b", Label: secret}}}}))
	must(w.store.Events.Put(ctx, "anna", "0000000000000001", 0, record.Event{Kind: flow.ResultStored, Ref: secret}))
	must(w.store.Profiles.Put(ctx, "anna", record.ProfileKey, 0, record.Profile{TimeZone: "Europe/Berlin", SourcePriority: []string{secret}}))
	must(w.store.Exports.Put(ctx, "anna", "00000000000000000000000000000001", 0, record.Export{State: "ready"}))
}

func shortStreams(d *Deps) { d.Limits.StreamLifetime = 100 * time.Millisecond }

// call sends a route's request with the token; ETag where it needs one.
func (w *world) call(r route, token, ifMatch string) reply {
	w.t.Helper()
	row, ok := requests()[r.id]
	if !ok {
		w.t.Fatalf("route %s %s has no row in requests: say how it is called", r.method, r.path)
	}
	h := header{"Last-Event-ID": "0000000000000000", "If-Match": ifMatch}
	if row.body != "" {
		h["Content-Type"] = "application/json"
	}
	return w.do(r.method, row.path, token, []byte(row.body), h)
}

func TestAccessMatrix(t *testing.T) {
	callers := []struct{ name, token string }{{"none", ""}, {"A", anna}, {"B", ben}, {"service", "service-x"}, {"admin", "admin-x"}, {"expired", "expired-anna"}}
	table := newWorld(t).server.routes()
	for _, r := range table {
		t.Run(r.id, func(t *testing.T) {
			w := newWorld(t, shortStreams)
			furnish(w)
			w.consent(ben, true)
			for _, c := range callers {
				if c.name == "A" {
					continue // last: it may erase
				}
				got := w.call(r, c.token, `"0"`)
				if want := expected(r, c.name); !want(got.status) {
					t.Errorf("%s: %s %s got %d %s", c.name, r.method, r.path, got.status, got.body)
				}
				if bytes.Contains(got.body, []byte(secret)) || bytes.Contains(got.body, []byte("s3cr3t_of_anna")) {
					t.Errorf("%s was given what is A's: %s", c.name, got.body)
				}
			}
			if got := w.call(r, anna, `"1"`); got.status != requests()[r.id].want {
				t.Errorf("A: %s %s got %d %s, want %d", r.method, r.path, got.status, got.body, requests()[r.id].want)
			}
		})
	}
}

// expected is which statuses a caller other than A may get.
func expected(r route, caller string) func(int) bool {
	is := func(want int) func(int) bool { return func(got int) bool { return got == want } }
	switch {
	case r.access == public:
		return is(200)
	case caller == "none" || caller == "expired":
		return is(401)
	case caller == "B":
		if strings.Contains(r.path, "{date}") || strings.Contains(r.path, "{exportId}") || r.id == "getUpload" || r.id == "writeInsight" || r.id == "getErasureReceipt" {
			return is(404)
		}
		return func(got int) bool { return got >= 200 && got < 300 }
	case r.access == anyone:
		return is(200)
	default:
		return is(403)
	}
}

func TestNotYoursIsNotThere(t *testing.T) {
	w := newWorld(t)
	furnish(w)
	for _, path := range []string{"/v1/uploads/upload-0001", "/v1/days/2026-11-20", "/v1/weeks/2026-11-20", "/v1/insights/2026-11-20", "/v1/exports/00000000000000000000000000000001"} {
		yours := w.do("GET", path, ben, nil)
		nobodys := w.do("GET", strings.NewReplacer("0001", "0099", "11-20", "01-01").Replace(path), ben, nil)
		if yours.status != 404 || string(yours.body) != string(nobodys.body) {
			t.Errorf("%s: %d %s, and for what is nobody's %d %s", path, yours.status, yours.body, nobodys.status, nobodys.body)
		}
	}
}

func TestTheTokenComesFromOneHeaderAlone(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	request := func(change func(*http.Request)) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/v1/profile", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		res, err := w.client.Do(req)
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
		"one bearer token":         {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+anna) }, 200},
		"bearer in another case":   {func(r *http.Request) { r.Header.Set("Authorization", "bearer "+anna) }, 200},
		"the header twice":         {func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + anna, "Bearer " + ben} }, 401},
		"the same header twice":    {func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + anna, "Bearer " + anna} }, 401},
		"two tokens in one header": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+anna+" "+ben) }, 401},
		"another scheme":           {func(r *http.Request) { r.Header.Set("Authorization", "Basic "+anna) }, 401},
		"no scheme":                {func(r *http.Request) { r.Header.Set("Authorization", anna) }, 401},
		"the token in the query":   {func(r *http.Request) { r.URL.RawQuery = "access_token=" + anna }, 401},
		"a token in the query, too": {func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+anna)
			r.URL.RawQuery = "access_token=" + ben
		}, 422},
		"a token in a cookie":          {func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "token", Value: anna}) }, 401},
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
	w := newWorld(t)
	tests := map[string]struct {
		method, path string
		status       int
		code, allow  string
	}{
		"an unknown path":                   {"GET", "/v2/uploads", 404, "not_found", ""},
		"a path in another case":            {"GET", "/v1/Uploads", 404, "not_found", ""},
		"a path with a slash too many":      {"GET", "/v1/uploads/", 404, "not_found", ""},
		"a method the route does not know":  {"POST", "/v1/uploads", 405, "method_not_allowed", "GET"},
		"a method that nobody knows":        {"FROB", "/v1/profile", 405, "method_not_allowed", "GET, PUT"},
		"an unknown method on unknown path": {"FROB", "/nowhere", 404, "not_found", ""},
		"TRACE":                             {"TRACE", "/healthz", 405, "method_not_allowed", "GET"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.do(tt.method, tt.path, anna, nil)
			if got.status != tt.status || got.code() != tt.code || got.header.Get("Allow") != tt.allow || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s Allow %q, want %d %s %q", got.status, got.body, got.header.Get("Allow"), tt.status, tt.code, tt.allow)
			}
			if got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("security headers are missing")
			}
		})
	}
}

func TestWritesRefuseWhatIsNotTheirs(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct {
		path, body string
		headers    header
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
		"an encoded document":            {"/v1/profile", string(zipped([]byte(`{}`))), header{"Content-Encoding": "gzip"}, 415},
		"no document":                    {"/v1/profile", ``, nil, 400},
		"another content type":           {"/v1/profile", `{}`, header{"Content-Type": "text/plain"}, 415},
		"a form":                         {"/v1/profile", `a=b`, header{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"a multipart form":               {"/v1/profile", "--x\r\n\r\n--x--", header{"Content-Type": "multipart/form-data; boundary=x"}, 415},
		"no If-Match":                    {"/v1/profile", `{}`, header{"If-Match": ""}, 428},
		"an If-Match that is stale":      {"/v1/profile", `{}`, header{"If-Match": `"7"`}, 412},
		"an If-Match that is none":       {"/v1/profile", `{}`, header{"If-Match": `*`}, 412},
		"a purpose that is none":         {"/v1/consents/everything", `{"granted":true,"version":"1"}`, nil, 422},
		"a consent without its version":  {"/v1/consents/processing", `{"granted":true}`, nil, 422},
		"a consent with a time":          {"/v1/consents/processing", `{"granted":true,"version":"1","at":"2020-01-01T00:00:00Z"}`, nil, 422},
		"a consent that is no yes or no": {"/v1/consents/processing", `{"granted":"yes","version":"1"}`, nil, 422},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.do("PUT", tt.path, anna, []byte(tt.body), asJSON, header{"If-Match": `"0"`}, tt.headers)
			if got.status != tt.status || got.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s, want %d", got.status, got.body, tt.status)
			}
		})
	}
	good := w.do("PUT", "/v1/profile", anna, []byte(`{"birthYear":1980,"sex":"female","heightM":1.7}`), asJSON, header{"If-Match": `"0"`})
	if good.status != 200 || good.header.Get("ETag") != `"1"` {
		t.Errorf("a good profile got %d %s %s", good.status, good.body, good.header.Get("ETag"))
	}
	if again := w.do("PUT", "/v1/profile", anna, []byte(`{}`), asJSON, header{"If-Match": `"0"`}); again.status != 412 {
		t.Errorf("the second device's stale write got %d", again.status)
	}
}

func TestRateLimits(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Limits.UserRate = Rate{PerSecond: 0.001, Burst: 3}
		d.Limits.AddressRate = Rate{PerSecond: 0.001, Burst: 8}
	})
	var last reply
	for range 3 {
		if last = w.do("GET", "/v1/profile", anna, nil); last.status != 200 {
			t.Fatalf("within the limit: %d %s", last.status, last.body)
		}
	}
	if got := last.header.Get("RateLimit"); !strings.HasPrefix(got, `"user";r=0;t=`) || last.header.Get("RateLimit-Policy") != `"user";q=3;w=3000` {
		t.Errorf("RateLimit %q, RateLimit-Policy %q", got, last.header.Get("RateLimit-Policy"))
	}
	over := w.do("GET", "/v1/profile", anna, nil)
	if over.status != 429 || over.code() != "too_many_requests" || over.header.Get("Retry-After") == "" {
		t.Errorf("over the limit: %d %s Retry-After %q", over.status, over.body, over.header.Get("Retry-After"))
	}
	if r := w.do("GET", "/v1/profile", ben, nil); r.status != 200 {
		t.Errorf("another person: %d", r.status)
	}
	for i := range 3 {
		w.do("GET", "/v1/profile", fmt.Sprintf("person-x%d", i), nil)
	}
	if r := w.do("GET", "/v1/profile", "person-y", nil); r.status != 429 || !strings.Contains(string(r.body), "address") {
		t.Errorf("the address' ninth request: %d %s", r.status, r.body)
	}
	if r := w.do("GET", "/healthz", "", nil); r.status != 200 {
		t.Errorf("a probe is limited: %d", r.status)
	}
}
