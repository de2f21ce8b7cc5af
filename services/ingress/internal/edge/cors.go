package edge

import (
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Origins are the web origins whose pages may call the API, as browsers write
// them: https://app.example. Others are told nothing that a browser would heed.
type Origins []string

// What a page may send and see, beside what every page may.
const (
	corsSends   = "Authorization, Content-Type, Content-Encoding, If-Match, If-None-Match, Last-Event-ID, X-Firebase-AppCheck, X-Request-Id"
	corsSees    = "ETag, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id"
	corsBelieve = "600" // seconds for which a browser need not ask again
)

// mark says in the reply that the page that asks may read it, where it may.
func (o Origins) mark(rc *fasthttp.RequestCtx) (allowed bool) {
	if len(o) == 0 {
		return false
	}
	h := &rc.Response.Header
	h.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	origin := string(rc.Request.Header.Peek(fasthttp.HeaderOrigin))
	if !slices.Contains(o, origin) {
		return false
	}
	h.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
	h.Set(fasthttp.HeaderAccessControlExposeHeaders, corsSees)
	return true
}

// options makes the answer to OPTIONS of the refusal of a method: the methods
// that the path knows, and for a browser that asks before its page may, that it may.
func options(rc *fasthttp.RequestCtx) {
	h := &rc.Response.Header
	rc.Response.ResetBody()
	rc.SetStatusCode(fasthttp.StatusNoContent)
	h.SetContentType("")
	asks := rc.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)
	if len(asks) == 0 || len(h.Peek(fasthttp.HeaderAccessControlAllowOrigin)) == 0 {
		return
	}
	h.SetBytesV(fasthttp.HeaderAccessControlAllowMethods, h.Peek(fasthttp.HeaderAllow))
	h.Set(fasthttp.HeaderAccessControlAllowHeaders, corsSends)
	h.Set(fasthttp.HeaderAccessControlMaxAge, corsBelieve)
}

// allow completes the methods that the router knows of a path.
func allow(known string) string {
	all := []string{}
	for method := range strings.SplitSeq(known, ", ") {
		if all = append(all, method); method == fasthttp.MethodGet {
			all = append(all, fasthttp.MethodHead)
		}
	}
	return strings.Join(append(all, fasthttp.MethodOptions), ", ")
}
