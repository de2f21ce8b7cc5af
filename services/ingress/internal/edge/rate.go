package edge

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// ShowLimit tells the client where it stands (draft-ietf-httpapi-ratelimit-headers).
func ShowLimit(rc *fasthttp.RequestCtx, name string, d limit.Decision, r limit.Rate) {
	if d.Limit == 0 {
		return
	}
	var buf [64]byte
	b := append(append(append(buf[:0], '"'), name...), `";q=`...)
	b = strconv.AppendInt(b, int64(r.Burst), 10)
	if r.PerSecond > 0 {
		b = strconv.AppendInt(append(b, ";w="...), max(1, int64(float64(r.Burst)/r.PerSecond)), 10)
	}
	rc.Response.Header.SetBytesV("RateLimit-Policy", b)
	b = append(append(append(b[:0], '"'), name...), `";r=`...)
	b = strconv.AppendInt(b, int64(d.Remaining), 10)
	b = strconv.AppendInt(append(b, ";t="...), Seconds(d.Reset), 10)
	rc.Response.Header.SetBytesV("RateLimit", b)
}

// TooMany refuses a request beyond the limit of that name, and shows where the
// client stands.
func TooMany(rc *fasthttp.RequestCtx, name string, d limit.Decision, r limit.Rate) *problem.Problem {
	ShowLimit(rc, name, d, r)
	return problem.OverLimit(problem.TooManyRequests, "too many requests from this "+name+"; Retry-After says when to come again", "requests", int64(d.Limit)).
		With("Retry-After", strconv.FormatInt(Seconds(d.Retry), 10))
}

// Seconds rounds up: nobody is asked to come too early.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
