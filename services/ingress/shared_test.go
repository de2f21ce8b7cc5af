package ingress_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
)

// kept are the paths whose replies may be kept between the ingress and whoever asks: what is
// public, and the same for everybody.
var kept = []string{"/openapi.json"}

// Every reply of every route forbids what is between to keep it, whoever asks and whatever
// the answer is, but for what is public and says nothing of who asked.
func TestWhatIsKeptOnItsWayIsPublicAndTheSameForEverybody(t *testing.T) {
	w := ingresstest.New(t)
	seen := 0
	for _, r := range w.Server.Table() {
		path := strings.NewReplacer("{date}", "2026-03-01", "{uuid}", "a", "{purpose}", "narrative", "{exportId}", "a", "{uploadId}", "a").Replace(r.Path)
		if path == "/v1/events" {
			path += "?since=x" // refused, so that it ends
		}
		for _, token := range []string{"", "nobody's", ingresstest.Anna} {
			reply := w.Do(r.Method, path, token, nil)
			got := reply.Header.Get("Cache-Control")
			if !slices.Contains(kept, r.Path) {
				if got != "private, no-store" {
					t.Errorf("%s %s: %d with Cache-Control %q", r.Method, r.Path, reply.Status, got)
				}
				continue
			}
			seen++
			if r.Access != route.Public || r.Method != "GET" || reply.Status != 200 || got != "public, max-age=300" {
				t.Errorf("%s %s, which may be kept: access %v, %d, Cache-Control %q", r.Method, r.Path, r.Access, reply.Status, got)
			}
			for _, personal := range []string{"Set-Cookie", "RateLimit", "RateLimit-Policy"} {
				if said := reply.Header.Get(personal); said != "" {
					t.Errorf("%s says %s: %s to whoever comes next", r.Path, personal, said)
				}
			}
		}
	}
	if seen != 3*len(kept) {
		t.Errorf("%d replies that may be kept were seen", seen)
	}
	if r := w.Do("GET", kept[0]+"?a=b", "", nil); r.Status < 400 || r.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("a fault may be kept: %d %v", r.Status, r.Header)
	}
}
