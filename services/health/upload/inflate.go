package upload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	ratioFloor = 64 << 10 // inflated bytes up to which any ratio is fine
	maxWindow  = 8 << 20  // of zstd, as RFC 8878 recommends for content encodings
	firstGuess = 1 << 20  // bytes taken on the word of a gzip trailer
)

// Inflate undoes a Content-Encoding: "gzip", "zstd", or "identity", which "" is
// too. It stops as soon as the result is larger than MaxBodyBytes, or than
// 64 KiB and MaxRatio times the body. The result uses the capacity of dst,
// whose content is lost; of the identity it is the body itself. The error is
// always an *Error.
func Inflate(dst []byte, encoding string, body []byte) ([]byte, error) {
	switch encoding {
	case "", "identity":
		if len(body) > MaxBodyBytes {
			return nil, tooLarge()
		}
		return body, nil
	case "gzip":
		return inflateGzip(dst[:0], body)
	case "zstd":
		return inflateZstd(dst[:0], body)
	}
	return nil, &Error{Code: UnknownEncoding, Detail: "the content encoding is none of gzip, zstd and identity"}
}

func tooLarge() *Error {
	return &Error{Code: TooLarge, Detail: fmt.Sprintf("the inflated body is larger than %d bytes", MaxBodyBytes)}
}

// Readers are large (40 KB and up) and wait for the next body in a pool, from
// where the garbage collector takes those that nobody needs.
var gzipReaders, zstdReaders sync.Pool

type gzipReader struct {
	z      gzip.Reader
	source bytes.Reader
}

func inflateGzip(dst, body []byte) ([]byte, error) {
	r, ok := gzipReaders.Get().(*gzipReader)
	if !ok {
		r = new(gzipReader)
	}
	defer func() { r.source.Reset(nil); gzipReaders.Put(r) }()
	r.source.Reset(body)
	if err := r.z.Reset(&r.source); err != nil {
		return nil, badEncoding("gzip", len(body)-r.source.Len(), err)
	}
	if len(body) > 18 { // the trailer ends with the size, modulo 4 GiB, of the last member
		dst = reserve(dst, int(min(int64(binary.LittleEndian.Uint32(body[len(body)-4:])), firstGuess, int64(len(body))*MaxRatio)))
	}
	return readBounded(dst, &r.z, "gzip", body, &r.source)
}

type zstdReader struct {
	z      *zstd.Decoder
	source bytes.Reader
}

func inflateZstd(dst, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return nil, badEncoding("zstd", 0, io.ErrUnexpectedEOF)
	}
	r, ok := zstdReaders.Get().(*zstdReader)
	if !ok {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return nil, badEncoding("zstd", 0, err)
		}
		r = &zstdReader{z: z}
	}
	defer func() {
		r.source.Reset(nil)
		if err := r.z.Reset(nil); err == nil || errors.Is(err, zstd.ErrDecoderNilInput) {
			zstdReaders.Put(r)
		}
	}()
	r.source.Reset(body)
	if err := r.z.Reset(&r.source); err != nil {
		return nil, badEncoding("zstd", 0, err)
	}
	return readBounded(dst, r.z, "zstd", body, &r.source)
}

// readBounded reads to the end; the bounds hold for every byte on the way.
func readBounded(dst []byte, from io.Reader, encoding string, body []byte, source *bytes.Reader) ([]byte, error) {
	most := min(MaxBodyBytes, max(ratioFloor, MaxRatio*len(body)))
	dst = reserve(dst, min(4<<10, most))
	for {
		if len(dst) == cap(dst) {
			dst = reserve(dst, 2*cap(dst))
		}
		n, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > MaxBodyBytes:
			return nil, tooLarge()
		case len(dst) > most:
			return nil, &Error{Code: BadRatio, Offset: len(body) - source.Len(),
				Detail: fmt.Sprintf("the body inflates to more than %d times its size", MaxRatio)}
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return nil, badEncoding(encoding, len(body)-source.Len(), err)
		}
	}
}

// reserve grows the capacity to at least n (and one byte behind every bound, so
// that the excess shows).
func reserve(dst []byte, n int) []byte {
	n = min(n, MaxBodyBytes) + 1
	if cap(dst) >= n {
		return dst
	}
	grown := make([]byte, len(dst), n)
	copy(grown, dst)
	return grown
}

// badEncoding does not wrap the decompressor's error, which is about bytes.
func badEncoding(encoding string, offset int, err error) *Error {
	detail := "the body is not valid " + encoding
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		detail = "the " + encoding + " body is truncated"
	}
	return &Error{Code: BadEncoding, Offset: offset, Detail: detail}
}
