package represent

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

func TestWhichCodingIsTaken(t *testing.T) {
	for accepted, want := range map[string]string{
		"": "", "gzip": "gzip", "zstd": "zstd", "br": "", "gzip, br": "gzip", "x-gzip": "gzip", "GZIP": "gzip",
		"gzip, deflate, br, zstd": "zstd", "zstd;q=0.5, gzip": "gzip", "zstd;q=0.5, gzip;q=0.5": "zstd", "gzip;q=0": "",
		"gzip; q=0.2": "gzip", "gzip;q=2": "", "gzip;q=x": "", "identity": "", "*": "",
	} {
		if got := codingFor([][]byte{[]byte(accepted)}); got != want {
			t.Errorf("%q: %q, want %q", accepted, got, want)
		}
	}
	if got := codingFor([][]byte{[]byte("br"), []byte("gzip")}); got != "gzip" {
		t.Errorf("two lines: %q", got)
	}
}

func TestPack(t *testing.T) {
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	text := `{"a":"` + strings.Repeat("abc ", 1000) + `"}`
	tests := map[string]struct {
		kind, body, accepts string
		coding, vary        string
	}{
		"gzip":                    {"application/json", text, "gzip", "gzip", "Accept-Encoding"},
		"zstd":                    {"application/problem+json", text, "zstd", "zstd", "Accept-Encoding"},
		"a line a record":         {"application/x-ndjson", text, "gzip", "gzip", "Accept-Encoding"},
		"who takes neither":       {"application/json", text, "br", "", "Accept-Encoding"},
		"as large as not worth":   {"application/json", text[:1023], "gzip", "", ""},
		"as small as worth":       {"application/json", text[:1024], "gzip", "gzip", "Accept-Encoding"},
		"what is no JSON":         {"text/plain; version=0.0.4", text, "gzip", "", ""},
		"what is packed already?": {"application/json; charset=utf-8", text, "gzip", "gzip", "Accept-Encoding"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a pooled writer begins anew
				rc := &fasthttp.RequestCtx{}
				rc.Request.Header.Set("Accept-Encoding", tt.accepts)
				rc.SetContentType(tt.kind)
				rc.SetBodyString(tt.body)
				p.Pack(rc)
				h := &rc.Response.Header
				if got := string(h.ContentEncoding()); got != tt.coding || string(h.Peek("Vary")) != tt.vary {
					t.Fatalf("%q, Vary %q", got, h.Peek("Vary"))
				}
				if got := unpacked(t, tt.coding, rc.Response.Body()); got != tt.body {
					t.Errorf("another body of %d bytes", len(got))
				}
				if tt.coding != "" && len(rc.Response.Body()) > len(tt.body)/2 {
					t.Errorf("%d bytes of %d", len(rc.Response.Body()), len(tt.body))
				}
				before := string(rc.Response.Body())
				p.Pack(rc)
				if tt.coding != "" && string(rc.Response.Body()) != before {
					t.Error("packed twice")
				}
			}
		})
	}
}

func unpacked(t *testing.T, coding string, body []byte) string {
	t.Helper()
	var from io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		from, err = gzip.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatTheClientHasIsNotSentAgain(t *testing.T) {
	ask := func(body string, known ...string) *fasthttp.RequestCtx {
		rc := &fasthttp.RequestCtx{}
		for _, k := range known {
			rc.Request.Header.Add("If-None-Match", k)
		}
		rc.SetContentType("application/json")
		rc.SetBodyString(body)
		if same := Unchanged(rc); same != (rc.Response.StatusCode() == 304) || same != (len(rc.Response.Body()) == 0) {
			t.Errorf("%v with %d and %q", same, rc.Response.StatusCode(), rc.Response.Body())
		}
		return rc
	}
	tag := string(ask("a").Response.Header.Peek("ETag"))
	if !strings.HasPrefix(tag, `W/"`) || len(tag) != 2+2+32 {
		t.Errorf("tag %q", tag)
	}
	for name, tt := range map[string]struct {
		body  string
		known []string
		want  int
	}{
		"the same":           {"a", []string{tag}, 304},
		"as a strong tag":    {"a", []string{tag[2:]}, 304},
		"one of several":     {"a", []string{`"x", ` + tag}, 304},
		"in the second line": {"a", []string{`"x"`, tag}, 304},
		"any":                {"a", []string{"*"}, 304},
		"another":            {"b", []string{tag}, 200},
		"none":               {"a", nil, 200},
	} {
		rc := ask(tt.body, tt.known...)
		if got := rc.Response.StatusCode(); got != tt.want || len(rc.Response.Header.Peek("ETag")) == 0 {
			t.Errorf("%s: %d, ETag %q", name, got, rc.Response.Header.Peek("ETag"))
		}
	}
}
