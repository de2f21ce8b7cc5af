package edge

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/valyala/fasthttp"
)

// requestIDHeader names a request, in both directions.
const requestIDHeader = "X-Request-Id"

// RequestID is what the request is called in its reply and in every line of the log.
func RequestID(rc *fasthttp.RequestCtx) string { return exchangeOf(rc).id }

// requestID is the id that the client gave, where it is one, else a new one: an
// id that stands in the log holds digits of a UUID or a trace, and no words.
func requestID(rc *fasthttp.RequestCtx) string {
	if given := rc.Request.Header.PeekAll(requestIDHeader); len(given) == 1 && wellFormedID(given[0]) {
		return string(given[0])
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func wellFormedID(id []byte) bool {
	if len(id) < 16 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if strings.IndexByte("-0123456789abcdefABCDEF", c) < 0 {
			return false
		}
	}
	return true
}
