package uri

import (
	"testing"

	"github.com/valyala/fasthttp"
)

func TestNormalize(t *testing.T) {
	for sent, want := range map[string]string{
		"/a/b": "/a/b", "/a/b?c=%41": "/a/b?c=%41", "/a/2026%2D11%2d20?x": "/a/2026-11-20?x", "/%61": "/a", "/a%2fb": "/a%2Fb", "/a%2Fb?": "/a%2Fb?",
		"/..%2f..%2fhealthz": "/..%2F..%2Fhealthz", "//healthz": "//healthz", "/a/.b": "/a/.b", "http://x/a%2Db?c": "/a-b?c", "http://x": "/", "*": "*",
		"/a/../b": "", "/a/%2e%2E/b": "", "/.": "", "/a/..": "", "/%": "", "/%4": "", "/%zz": "", "/a#b": "", "/a\\b": "", "a": "",
	} {
		rc := &fasthttp.RequestCtx{}
		rc.Request.Header.SetRequestURI(sent)
		p := Normalize(rc)
		if got := string(rc.Request.Header.RequestURI()); want != "" && (p != nil || got != want) || want == "" && p == nil {
			t.Errorf("%s: %q %+v, want %q", sent, got, p, want)
		}
	}
}
