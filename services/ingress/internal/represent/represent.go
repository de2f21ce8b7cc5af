// Package represent gives a finished reply the form its client asked for: packed
// where that is worth it, and not sent again to who has it.
package represent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"
)

// compressedFrom is the least body that compressing is worth.
const compressedFrom = 1 << 10

// Unchanged tags the reply and says whether the client has it already: then nothing
// of it is sent but that. The tag is weak: it is that of the content, whatever it
// is packed in.
func Unchanged(rc *fasthttp.RequestCtx) bool {
	sum := sha256.Sum256(rc.Response.Body())
	tag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
	rc.Response.Header.Set(fasthttp.HeaderETag, tag)
	for _, line := range rc.Request.Header.PeekAll(fasthttp.HeaderIfNoneMatch) {
		for known := range strings.SplitSeq(string(line), ",") {
			known = strings.TrimSpace(known)
			if known == "*" || strings.TrimPrefix(known, "W/") == tag[len("W/"):] {
				rc.Response.ResetBody()
				rc.Response.Header.SetContentType("")
				rc.SetStatusCode(fasthttp.StatusNotModified)
				return true
			}
		}
	}
	return false
}

// A Packer compresses replies.
type Packer struct {
	zips sync.Pool
	zstd *zstd.Encoder // its EncodeAll may be called by many
}

// NewPacker is one.
func NewPacker() (*Packer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("make the replies' compressor: %w", err)
	}
	return &Packer{zstd: z}, nil
}

// Pack compresses the reply where it is worth it and the client takes it.
func (p *Packer) Pack(rc *fasthttp.RequestCtx) {
	h, body := &rc.Response.Header, rc.Response.Body()
	if len(body) < compressedFrom || len(h.ContentEncoding()) > 0 || !worthPacking(h.ContentType()) {
		return
	}
	h.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	switch coding := codingFor(rc.Request.Header.PeekAll(fasthttp.HeaderAcceptEncoding)); coding {
	case "zstd":
		rc.Response.SetBodyRaw(p.zstd.EncodeAll(body, make([]byte, 0, len(body)/4)))
		h.SetContentEncoding(coding)
	case "gzip":
		if packed, err := p.gzip(body); err == nil { // else it goes as it is
			rc.Response.SetBodyRaw(packed)
			h.SetContentEncoding(coding)
		}
	}
}

func (p *Packer) gzip(body []byte) ([]byte, error) {
	var packed bytes.Buffer
	packed.Grow(len(body) / 4)
	z, ok := p.zips.Get().(*gzip.Writer)
	if !ok {
		var err error
		if z, err = gzip.NewWriterLevel(&packed, gzip.BestSpeed); err != nil {
			return nil, err
		}
	}
	defer p.zips.Put(z)
	z.Reset(&packed)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

func worthPacking(kind []byte) bool {
	kind, _, _ = bytes.Cut(kind, []byte(";"))
	return bytes.HasSuffix(kind, []byte("json")) // problem+json and x-ndjson, too
}

// codingFor is the best of the codings that the client takes; "" for none (RFC
// 9110 §12.5.3). Of those it likes as much, zstd is the better.
func codingFor(accepted [][]byte) string {
	best, liked := "", 0.0
	for _, line := range accepted {
		for word := range strings.SplitSeq(string(line), ",") {
			coding, q := weighed(word)
			if q > liked || q > 0 && q == liked && coding == "zstd" {
				best, liked = coding, q
			}
		}
	}
	return best
}

// weighed is one word of Accept-Encoding: a coding of ours and how much it is
// liked, or 0.
func weighed(word string) (coding string, q float64) {
	coding, parameters, _ := strings.Cut(word, ";")
	coding = strings.ToLower(strings.TrimSpace(coding))
	if coding == "x-gzip" {
		coding = "gzip"
	}
	if coding != "gzip" && coding != "zstd" {
		return "", 0
	}
	value, has := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
	if !has {
		return coding, 1
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || !(q > 0 && q <= 1) {
		return coding, 0
	}
	return coding, q
}
