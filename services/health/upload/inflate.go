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
	restart := func() error {
		r.source.Reset(body)
		return r.z.Reset(&r.source)
	}
	return readBounded(dst, stream{&r.z, restart, "gzip", body, &r.source})
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
	restart := func() error {
		r.source.Reset(body)
		return r.z.Reset(&r.source)
	}
	return readBounded(dst, stream{r.z, restart, "zstd", body, &r.source})
}

// largeBody is where a buffer stops growing step by step: what is longer is
// first inflated to nowhere, to see how long it is, and then into a buffer of
// that size. So a bomb never gets more memory than this, and a large honest body
// gets what it needs once.
const largeBody = 4 << 20

// A stream is a body being inflated, from its start or again from its start.
type stream struct {
	io.Reader
	restart  func() error
	encoding string
	body     []byte
	source   *bytes.Reader // what of body is not read yet
}

// readBounded reads to the end; the bounds hold for every byte on the way.
func readBounded(dst []byte, from stream) ([]byte, error) {
	dst = reserve(dst, min(4<<10, from.most()))
	for {
		if len(dst) == cap(dst) {
			if 2*cap(dst) > largeBody {
				size, err := from.measure(len(dst))
				if err != nil {
					return nil, err
				}
				return from.readAll(reserve(dst[:0], size), size)
			}
			dst = reserve(dst, 2*cap(dst))
		}
		n, err := from.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch done, err := from.check(len(dst), err); {
		case err != nil:
			return nil, err
		case done:
			return dst, nil
		}
	}
}

// measure reads on to the end without keeping anything and returns the length
// of the whole, of which some is read already. Then the stream is at its start.
func (s stream) measure(read int) (size int, err error) {
	scrap := make([]byte, 32<<10)
	for size = read; ; {
		n, err := s.Read(scrap)
		size += n
		if done, err := s.check(size, err); done {
			if err == nil {
				err = s.restart()
			}
			return size, err
		}
	}
}

// readAll reads the whole, whose size is known.
func (s stream) readAll(dst []byte, size int) ([]byte, error) {
	n, err := io.ReadFull(s, dst[:size])
	if err != nil {
		return nil, badEncoding(s.encoding, len(s.body)-s.source.Len(), err)
	}
	return dst[:n], nil
}

// most is how many bytes the body may inflate to.
func (s stream) most() int { return min(MaxBodyBytes, max(ratioFloor, MaxRatio*len(s.body))) }

// check says whether reading is over, after size bytes and with the error of
// the last read; the error is nil at a good end.
func (s stream) check(size int, err error) (done bool, _ error) {
	switch {
	case size > MaxBodyBytes:
		return true, tooLarge()
	case size > s.most():
		return true, &Error{Code: BadRatio, Offset: len(s.body) - s.source.Len(),
			Detail: fmt.Sprintf("the body inflates to more than %d times its size", MaxRatio)}
	case errors.Is(err, io.EOF):
		return true, nil
	case err != nil:
		return true, badEncoding(s.encoding, len(s.body)-s.source.Len(), err)
	}
	return false, nil
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
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		detail = fmt.Sprintf("the zstd body needs a window of more than %d MiB (RFC 8878 §3.1.1.1.2): compress it with a smaller one", maxWindow>>20)
	} else if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		detail = "the " + encoding + " body is truncated"
	}
	return &Error{Code: BadEncoding, Offset: offset, Detail: detail}
}
