package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/ingress/internal/line"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
)

// HasBody reports whether the request announced a body.
func HasBody(rc *fasthttp.RequestCtx) bool {
	n := rc.Request.Header.ContentLength()
	return n > 0 || n == -1
}

// A Pace is the least that a body's sender brings: so many bytes in every window
// of that time, until the body is whole. Who is slower holds what others need.
type Pace struct {
	Bytes  int
	Window time.Duration
}

// discardBody closes a connection on which a body nobody wanted may still come,
// since what follows on it cannot be told from that. What comes is taken in once
// the refusal is sent, so that it is not lost in a reset.
func discardBody(rc *fasthttp.RequestCtx, x *exchange) {
	if x.consumed || !HasBody(rc) {
		return
	}
	rc.SetConnectionClose()
	if c, ours := rc.Conn().(*line.Conn); ours && !x.waits {
		c.Unread()
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

// Room is asked before a body is taken in beyond what it has been given so far:
// the body is to hold so many bytes now.
type Room func(bytes int) *problem.Problem

// firstRoom is what a body begins with.
const firstRoom = 32 << 10

// ReadBody reads the body as received into buf, most bytes of it and no more, as
// fast as the sender's least pace at least. Memory grows with what has arrived, not
// with what was announced, and as far as room says; nil always has some.
func ReadBody(rc *fasthttp.RequestCtx, most int, buf []byte, room Room) ([]byte, *problem.Problem) {
	x := exchangeOf(rc)
	announced := rc.Request.Header.ContentLength()
	if announced > most {
		return buf, BodyTooLarge(most)
	}
	stream := rc.RequestBodyStream()
	if stream == nil || !HasBody(rc) {
		x.consumed = true
		return buf[:0], nil
	}
	whole := most + 1 // a byte more is one too many
	if announced >= 0 {
		whole = announced + 1
	}
	if p := x.goOn(rc); p != nil {
		return buf, p
	}
	reader := &pacedReader{from: stream, pace: x.pace}
	reader.conn, _ = rc.Conn().(*line.Conn)
	given := min(whole, firstRoom)
	for buf = grown(buf[:0], given); ; {
		if len(buf) == given {
			given = min(whole, 2*given)
			if room != nil {
				if p := room(given); p != nil {
					return buf, p
				}
			}
			buf = grown(buf, given)
			reader.restart()
		}
		n, err := reader.Read(buf[len(buf):given])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > most:
			return buf, BodyTooLarge(most)
		case errors.Is(err, io.EOF):
			if announced >= 0 && len(buf) != announced {
				return buf, problem.New(problem.BadRequest, "the body ended early")
			}
			x.consumed = true
			return buf, nil
		case err != nil:
			return buf, unreadable(err)
		}
	}
}

// grown is the buffer with room for n bytes.
func grown(buf []byte, n int) []byte {
	if n <= cap(buf) {
		return buf
	}
	return append(make([]byte, 0, max(n, 512)), buf...)
}

// goOn asks a client that waits for it to send its body: who asks, how much comes
// and whether it may is known by now. While an earlier reply is not sent nothing
// may overtake it; a client that sends two requests at once does not wait for ever.
func (x *exchange) goOn(rc *fasthttp.RequestCtx) *problem.Problem {
	c, ours := rc.Conn().(*line.Conn)
	if !x.waits || !ours || rc.ConnRequestNum() > 1 && !c.Replied() {
		return nil
	}
	x.waits = false
	if _, err := c.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
		return unreadable(err)
	}
	return nil
}

// A pacedReader gives up on a sender that is slower than its pace.
type pacedReader struct {
	from io.Reader
	pace Pace
	conn *line.Conn // nil: without deadlines it is read as it is
	came int        // in this window
}

// restart begins a window.
func (r *pacedReader) restart() {
	r.came = 0
	if r.conn != nil && r.pace.Window > 0 {
		_ = r.conn.SetReadDeadline(time.Now().Add(r.pace.Window)) // where it fails, so does the next read
	}
}

// Read reads within the window, and begins another once enough came.
func (r *pacedReader) Read(p []byte) (int, error) {
	if r.came == 0 || r.came >= r.pace.Bytes {
		r.restart()
	}
	n, err := r.from.Read(p)
	r.came += n
	return n, err
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
