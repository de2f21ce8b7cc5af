package uploads

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
)

// decodeEnvelope inflates the body within bounds and reads it in one strict pass, for
// the verdicts alone: the worker decodes it again for the samples.
func (r *Room) decodeEnvelope(ctx context.Context, body []byte, encoding string, received time.Time) (*upload.Envelope, *problem.Problem) {
	if encoding != "identity" {
		most := int64(min(inflatingAtOnce, max(1<<20, upload.MaxRatio*len(body))))
		if err := r.inflating.Acquire(ctx, most); err != nil {
			return nil, reply.Unavailable("too many uploads are being read")
		}
		defer r.inflating.Release(most)
	}
	buf := r.inflatedPool.Get(inflatedSize(body, encoding))
	defer r.inflatedPool.Put(buf)
	inflated, err := upload.Inflate(*buf, encoding, body)
	if err != nil {
		return nil, r.unreadable(ctx, err)
	}
	if encoding != "identity" {
		*buf = inflated
	}
	envelope, err := upload.Decode(inflated, health.InstantOf(received), nil)
	if err != nil {
		return nil, r.unreadable(ctx, err)
	}
	return envelope, nil
}

// inflatedSize is the buffer to begin with: what the body says it inflates to,
// as far as it may and as a pool is willing to believe. A body that is larger is
// measured before it is given more.
func inflatedSize(body []byte, encoding string) int {
	if encoding != "gzip" || len(body) < 18 {
		return 0
	}
	told := int64(binary.LittleEndian.Uint32(body[len(body)-4:])) // the last member's, RFC 1952
	return int(min(told, believedSize, int64(upload.MaxRatio*len(body)))) + 1
}

// unreadable is why a whole body is refused.
func (r *Room) unreadable(ctx context.Context, err error) *problem.Problem {
	var e *upload.Error
	if !errors.As(err, &e) {
		return r.Problem(ctx, fmt.Errorf("read an upload: %w", err))
	}
	var p *problem.Problem
	switch e.Code {
	case upload.TooLarge:
		return problem.OverLimit(problem.TooLarge, e.Detail, "inflated_bytes", upload.MaxBodyBytes)
	case upload.BadRatio:
		return problem.OverLimit(problem.TooLarge, e.Detail, "ratio", upload.MaxRatio)
	case upload.TooManySamples:
		return problem.OverLimit(problem.TooLarge, e.Detail, "samples", upload.MaxSamples)
	case upload.TooDeep:
		return problem.OverLimit(TooDeep, e.Detail, "depth", upload.MaxDepth)
	case upload.UnknownEncoding:
		return problem.New(problem.UnsupportedEncoding, e.Detail)
	case upload.BadEncoding:
		return problem.New(MalformedEncoding, e.Detail)
	case upload.Malformed:
		p = problem.New(problem.MalformedJSON, e.Detail)
	case upload.BadSchema:
		p = problem.New(UnsupportedSchema, e.Detail)
	default:
		p = problem.New(InvalidEnvelope, e.Detail)
	}
	if at := knownPath(e.Path); at != "" {
		return p.At(at, e.Detail)
	}
	return p
}

// knownPath is the pointer as far as its members are the contract's: a name
// that the client made up is not given back.
func knownPath(pointer string) string {
	known := strings.Builder{}
	for _, token := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if !isIndex(token) && !isMember(token) {
			break
		}
		known.WriteString("/" + token)
	}
	return known.String()
}

func isIndex(token string) bool {
	return token != "" && len(token) <= 6 && strings.Trim(token, "0123456789") == ""
}

func isMember(token string) bool {
	switch token {
	case "schema", "installationId", "timeZone", "samples", "deleted", "cursor", "stage", "final", "uuid", "type", "start", "end",
		"value", "unit", "source", "bundleId", "name", "productType", "osVersion", "metadata", "series":
		return true
	}
	return false
}
