package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// HasBody reports whether the request announced a body.
func HasBody(rc *fasthttp.RequestCtx) bool {
	n := rc.Request.Header.ContentLength()
	return n > 0 || n == -1
}

// discardBody takes in what is left of a body nobody wanted, within bounds, so
// that the refusal is not lost in a reset; and closes the connection, since what
// follows on it may still be body.
func discardBody(rc *fasthttp.RequestCtx, x *exchange) {
	if x.consumed || !HasBody(rc) {
		return
	}
	rc.SetConnectionClose()
	stream := rc.RequestBodyStream()
	if stream == nil {
		return
	}
	if c := rc.Conn(); c != nil {
		_ = c.SetReadDeadline(time.Now().Add(discardFor)) // a connection without deadlines is read as it is
	}
	var scrap [4096]byte
	for taken := 0; taken < discardAtMost; {
		n, err := stream.Read(scrap[:])
		taken += n
		if err != nil {
			return
		}
	}
}

// RequireJSON refuses a request whose Content-Type is not JSON in UTF-8.
func RequireJSON(rc *fasthttp.RequestCtx) *problem.Problem {
	if jsonType(rc.Request.Header.ContentType()) {
		return nil
	}
	return problem.New(problem.UnsupportedMediaType, "the Content-Type must be application/json")
}

func jsonType(contentType []byte) bool {
	kind, parameters, _ := strings.Cut(string(contentType), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		return false
	}
	parameters = strings.ToLower(strings.TrimSpace(parameters))
	return parameters == "" || parameters == "charset=utf-8" || parameters == `charset="utf-8"`
}

// ReadBody reads the body as received into buf, most bytes of it and no more.
// Memory grows with what has arrived, not with what was announced.
func ReadBody(rc *fasthttp.RequestCtx, most int, buf []byte) ([]byte, *problem.Problem) {
	announced := rc.Request.Header.ContentLength()
	if announced > most {
		return buf, BodyTooLarge(most)
	}
	stream := rc.RequestBodyStream()
	if stream == nil || !HasBody(rc) {
		exchangeOf(rc).consumed = true
		return buf[:0], nil
	}
	if cap(buf) == 0 {
		buf = make([]byte, 0, max(512, min(announced+1, 32<<10)))
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := stream.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > most:
			return buf, BodyTooLarge(most)
		case errors.Is(err, io.EOF):
			if announced >= 0 && len(buf) != announced {
				return buf, problem.New(problem.BadRequest, "the body ended early")
			}
			exchangeOf(rc).consumed = true
			return buf, nil
		case err != nil:
			return buf, unreadable(err)
		}
	}
}

func unreadable(err error) *problem.Problem {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return problem.New(problem.RequestTimeout, "the body was not complete in time")
	}
	return problem.New(problem.BadRequest, "the body could not be read to its end")
}

// BodyTooLarge refuses a body of more than most bytes as received.
func BodyTooLarge(most int) *problem.Problem {
	return problem.OverLimit(problem.TooLarge, fmt.Sprintf("the body is larger than %d bytes as received", most), "body_bytes", int64(most))
}
