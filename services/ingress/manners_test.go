package ingress_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
)

// Every route answers HEAD as GET, without a body, and OPTIONS with its methods.
func TestEveryRouteHasManners(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams)
	ingresstest.Furnish(w)
	for _, r := range w.Server.Table() {
		path := requests()[r.ID].path
		options := w.Do("OPTIONS", path, "", nil)
		if allow := strings.Split(options.Header.Get("Allow"), ", "); options.Status != 204 || !slices.Contains(allow, r.Method) || !slices.Contains(allow, "OPTIONS") {
			t.Errorf("OPTIONS %s: %d %s, Allow %v", path, options.Status, options.Body, allow)
		}
		if r.Method != "GET" {
			continue
		}
		h := ingresstest.Header{"Last-Event-ID": "0000000000000000"}
		get, head := w.Do("GET", path, ingresstest.Anna, nil, h), w.Do("HEAD", path, ingresstest.Anna, nil, h)
		if head.Status != get.Status || len(head.Body) > 0 || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v, GET %d %v", path, head.Status, head.Header, get.Status, get.Header)
		}
		if r.ID != "getMetrics" && head.Header.Get("Content-Length") != get.Header.Get("Content-Length") {
			t.Errorf("HEAD %s: %s bytes, GET %s", path, head.Header.Get("Content-Length"), get.Header.Get("Content-Length"))
		}
		if len(get.Header.Get("X-Request-Id")) != 32 {
			t.Errorf("GET %s: X-Request-Id %q", path, get.Header.Get("X-Request-Id"))
		}
	}
	if r := w.Do("OPTIONS", "/nowhere", "", nil); r.Status != 404 {
		t.Errorf("OPTIONS of nowhere: %d", r.Status)
	}
}

// What did not change is not sent again.
func TestConditionalReads(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	for _, path := range []string{"/v1/days", "/v1/days/2026-11-20", "/v1/weeks", "/v1/weeks/2026-11-20", "/v1/insights", "/v1/insights/2026-11-20", "/openapi.json"} {
		first := w.Do("GET", path, ingresstest.Anna, nil)
		tag := first.Header.Get("ETag")
		if first.Status != 200 || tag == "" {
			t.Errorf("%s: %d, ETag %q", path, first.Status, tag)
		}
		for _, method := range []string{"GET", "HEAD"} {
			if again := w.Do(method, path, ingresstest.Anna, nil, ingresstest.Header{"If-None-Match": tag}); again.Status != 304 || len(again.Body) > 0 || again.Header.Get("ETag") != tag {
				t.Errorf("%s %s with its tag: %d %q", method, path, again.Status, again.Body)
			}
		}
		if packed := w.Do("GET", path, ingresstest.Anna, nil, ingresstest.Header{"Accept-Encoding": "gzip"}); packed.Header.Get("ETag") != tag {
			t.Errorf("%s packed: %s, plain %s", path, packed.Header.Get("ETag"), tag)
		}
	}
	tag := w.Do("GET", "/v1/days", ingresstest.Anna, nil).Header.Get("ETag")
	if _, err := w.Store.Days.Put(t.Context(), "anna", "2026-11-21", 0, record.Day{Zone: "UTC", Samples: 1}); err != nil {
		t.Fatal(err)
	}
	if changed := w.Do("GET", "/v1/days", ingresstest.Anna, nil, ingresstest.Header{"If-None-Match": tag}); changed.Status != 200 || changed.Header.Get("ETag") == tag {
		t.Errorf("a change: %d", changed.Status)
	}
}

func TestLargeRepliesArePacked(t *testing.T) {
	w := ingresstest.New(t)
	for n := range 60 {
		if _, err := w.Store.Days.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, record.Day{Zone: "UTC", Samples: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/v1/days": "gzip", "/openapi.json": "gzip", "/v1/profile": ""} {
		r := w.Do("GET", path, ingresstest.Anna, nil, ingresstest.Header{"Accept-Encoding": "gzip, deflate, br"})
		if r.Status != 200 || r.Header.Get("Content-Encoding") != want {
			t.Errorf("%s: %d, packed %q", path, r.Status, r.Header.Get("Content-Encoding"))
		}
	}
}

func TestOnlyListedOriginsMayRead(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Origins = []string{"https://app.example"} })
	ours, others := ingresstest.Header{"Origin": "https://app.example"}, ingresstest.Header{"Origin": "https://evil.example"}
	if r := w.Do("GET", "/v1/profile", ingresstest.Anna, nil, ours); r.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || r.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("ours: %v", r.Header)
	}
	if r := w.Do("GET", "/v1/profile", "nonsense", nil, ours); r.Status != 401 || r.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a refusal that the page cannot read: %d %v", r.Status, r.Header)
	}
	if r := w.Do("GET", "/v1/profile", ingresstest.Anna, nil, others); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another's: %v", r.Header)
	}
	asks := ingresstest.Header{"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,content-type"}
	if r := w.Do("OPTIONS", "/v1/uploads/upload-0001", "", nil, ours, asks); r.Status != 204 || !strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), "PUT") || !strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("a browser that asks: %d %v", r.Status, r.Header)
	}
}

// A trusted proxy's clients have a rate each.
func TestThePeopleBehindAProxy(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		w := ingresstest.New(t, func(n *ingress.Needs) {
			n.Limits.AddressRate = ingress.Rate{PerSecond: 0.001, Burst: 1}
			if trusted {
				n.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
		})
		var got []int
		for _, client := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.1"} {
			got = append(got, w.Do("GET", "/openapi.json", "", nil, ingresstest.Header{"X-Forwarded-For": client}).Status)
		}
		want := []int{200, 429, 429}
		if trusted {
			want = []int{200, 200, 429}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("trusted %v (-want +got):\n%s", trusted, diff)
		}
	}
}

func TestTheRateThatIsShownIsTheOneToWaitFor(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.UserRate = ingress.Rate{PerSecond: 0.5, Burst: 10} })
	var last ingresstest.Reply
	for range 11 {
		last = w.Do("GET", "/v1/profile", ingresstest.Anna, nil)
	}
	if last.Status != 429 || last.Header.Get("RateLimit") != `"user";r=0;t=`+last.Header.Get("Retry-After") {
		t.Errorf("%d: RateLimit %s, Retry-After %s", last.Status, last.Header.Get("RateLimit"), last.Header.Get("Retry-After"))
	}
}

// The limit, the router and the log read one path.
func TestPathsAreReadOnce(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	for path, want := range map[string]int{"/v1/days/2026%2D11%2d20": 200, "/v1/days/2026-11-20": 200, "/v1/days/..%2f..%2fhealthz": 422, "//healthz": 404, "/v1/%64ays": 200} {
		if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != want {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	res, err := w.Raw("GET /v1/days/../models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ingresstest.Anna + "\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("a path that climbs: %d", res.StatusCode)
	}
}

// A failure's line in the log names the request, as its reply does.
func TestAFailureIsNamed(t *testing.T) {
	w := ingresstest.New(t)
	w.Break("get profiles")
	r := w.Do("GET", "/v1/profile", ingresstest.Anna, nil, ingresstest.Header{"X-Request-Id": "0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10"})
	if r.Status != 500 || r.Header.Get("X-Request-Id") != "0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10" {
		t.Errorf("%d %v", r.Status, r.Header)
	}
	for deadline := time.Now().Add(10 * time.Second); strings.Count(w.Log.String(), `"request":"0b7d1f0a-3f6e-4c0e-9a55-6d1f5c3b7a10"`) != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log says %s", w.Log.String())
		}
	}
}
