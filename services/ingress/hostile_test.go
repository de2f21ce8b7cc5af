package ingress_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

const envelopeHead = `{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[`

func zstded(body []byte) []byte {
	z, _ := zstd.NewWriter(nil)
	defer z.Close()
	return z.EncodeAll(body, nil)
}

// Each of these is refused with the right status, or acked with the sample
// rejected; the heap stays flat; and the next request is served.
func TestHostileBodies(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	gz, zs := ingresstest.Header{"Content-Encoding": "gzip"}, ingresstest.Header{"Content-Encoding": "zstd"}
	zeros := bytes.Repeat([]byte("0"), 64<<20)
	spaces := append(bytes.Repeat([]byte(" "), 31<<20), ingresstest.Batch(1)...)
	bomb := ingresstest.Zipped(zeros)
	tests := map[string]struct {
		body    []byte
		headers ingresstest.Header
		status  int
		code    string
	}{
		"a gzip bomb of 1000:1":           {bomb, gz, 413, "too_large"},
		"a gzip bomb within gzip":         {ingresstest.Zipped(bomb), gz, 400, "malformed_json"},
		"a gzip bomb of many members":     {bytes.Repeat(ingresstest.Zipped(zeros[:1<<20]), 64), gz, 413, "too_large"},
		"a gzip bomb that is cut":         {bomb[:len(bomb)/2], gz, 413, "too_large"},
		"a zstd bomb":                     {zstded(zeros), zs, 413, "too_large"},
		"a zstd frame that is cut":        {zstded(ingresstest.Batch(50))[:500], zs, 400, "malformed_encoding"},
		"blanks up to the ratio":          {ingresstest.Zipped(spaces), gz, 413, "too_large"},
		"33 MiB as they are":              {bytes.Repeat([]byte(" "), 33<<20), nil, 413, "too_large"},
		"arrays 10,000 deep":              {[]byte(envelopeHead + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "]}"), nil, 422, "too_deep"},
		"objects 10,000 deep":             {[]byte(envelopeHead + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000) + "]}"), nil, 422, "too_deep"},
		"a member of the envelope twice":  {[]byte(`{"schema":"clarity.upload/1","schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[]}`), nil, 400, "malformed_json"},
		"bad UTF-8":                       {[]byte(envelopeHead + "{\"uuid\":\"\xff\xfe\"}]}"), nil, 400, "malformed_json"},
		"NaN":                             {[]byte(envelopeHead + `{"value":NaN}]}`), nil, 400, "malformed_json"},
		"Infinity":                        {[]byte(envelopeHead + `{"value":-Infinity}]}`), nil, 400, "malformed_json"},
		"1e400 costs its sample alone":    {bytes.Replace(ingresstest.Batch(2), []byte(`"value":50`), []byte(`"value":1e400`), 1), nil, 202, ""},
		"-0 is a number":                  {bytes.Replace(ingresstest.Batch(2), []byte(`"value":50`), []byte(`"value":-0`), 1), nil, 202, ""},
		"wrong types cost their samples":  {[]byte(envelopeHead + `1,"a",null,[],{},true,{"uuid":1,"type":2}]}`), nil, 202, ""},
		"a million members in one sample": {millionKeys(), nil, 202, ""},
		"trailing bytes":                  {append(ingresstest.Batch(1), "{}"...), nil, 400, "malformed_json"},
		"10,001 samples":                  {ingresstest.Zipped(ingresstest.Batch(10_001)), gz, 413, "too_large"},
		"an array instead of an envelope": {[]byte(`[]`), nil, 422, "invalid_envelope"},
		"a null":                          {[]byte(`null`), nil, 422, "invalid_envelope"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := w.Upload(ingresstest.Anna, "hostile-"+fmt.Sprintf("%08x", len(name)*7919+len(tt.body)), tt.body, tt.headers)
			if got.Status != tt.status || got.Code() != tt.code {
				t.Errorf("got %d %.300s, want %d %s", got.Status, got.Body, tt.status, tt.code)
			}
			if next := w.Do("GET", "/v1/models", ingresstest.Anna, nil); next.Status != 200 {
				t.Errorf("the next request got %d", next.Status)
			}
		})
	}
}

func millionKeys() []byte {
	var b bytes.Buffer
	b.WriteString(envelopeHead + `{"metadata":{`)
	for i := range 1_000_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k%d":1`, i)
	}
	b.WriteString("}}]}")
	return b.Bytes()
}

// Sixteen bombs at a time, over and over: what is held stays within bounds.
func TestBombsDoNotFillTheHeap(t *testing.T) {
	for _, size := range []int{40 << 20, 200 << 20} {
		t.Run(fmt.Sprintf("of %d MiB", size>>20), func(t *testing.T) {
			w := ingresstest.New(t)
			w.Consent(ingresstest.Anna, true)
			bomb := ingresstest.Zipped(make([]byte, size))
			grown := peakOver(func() {
				var group sync.WaitGroup
				for range 16 {
					group.Go(func() {
						for range 4 {
							r, err := w.Try("PUT", "/v1/uploads/hostile-0001", ingresstest.Anna, bytes.NewReader(bomb), ingresstest.AsJSON(), ingresstest.Header{"Content-Encoding": "gzip"})
							if err != nil || r.Status != 413 {
								t.Errorf("got %d %v", r.Status, err)
							}
						}
					})
				}
				group.Wait()
			})
			t.Logf("the heap grew by %d MiB", grown>>20)
			if grown > 64<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
}

// peakOver is how far the heap grows while f runs under a soft memory limit, as
// the platform runs under one: what is live counts, not what the collector has
// not come to yet.
func peakOver(f func()) int64 {
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	soft := int64(before.Sys-before.HeapReleased) + 32<<20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(soft))
	var peak uint64
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	})
	f()
	close(done)
	watcher.Wait()
	return int64(peak) - int64(before.HeapAlloc)
}

func TestAmbiguousFramingIsRefused(t *testing.T) {
	w := ingresstest.New(t)
	head := "PUT /v1/profile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ingresstest.Anna + "\r\nContent-Type: application/json\r\n"
	smuggled := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	tests := map[string]string{
		"length and chunked":          head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"chunked and length":          head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths that differ":     head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"two lengths that agree":      head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"chunked twice":               head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked and identity":        head + "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"identity and a length":       head + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
		"a coding that is not known":  head + "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
		"a blank before the colon":    head + "Content-Length : 2\r\n\r\n{}",
		"a tab before the colon":      head + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
		"a folded line":               head + "X-A: b\r\n Content-Length: 2\r\n\r\n{}",
		"a length that is negative":   head + "Content-Length: -1\r\n\r\n{}",
		"a length with a sign":        head + "Content-Length: +2\r\n\r\n{}",
		"a list of lengths":           head + "Content-Length: 2, 2\r\n\r\n{}",
		"two hosts":                   head + "Host: y\r\nContent-Length: 2\r\n\r\n{}",
		"no request at all":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a request line without path": "GET\r\n\r\n",
	}
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := w.Raw(request)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			if !res.Close {
				t.Error("the connection stays open for what follows")
			}
		})
	}
	t.Run("headers of 1 MiB", func(t *testing.T) {
		res, err := w.Raw("GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n")
		if err == nil {
			defer res.Body.Close()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("got %d", res.StatusCode)
			}
		}
	})
}

// A body that a refusal left unread is not taken for the next request.
func TestAnUnreadBodyIsNoRequest(t *testing.T) {
	w := ingresstest.New(t)
	body := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + strings.Repeat("x", 20_000)
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "PUT /v1/uploads/upload-0001 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v %v", res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if next, err := http.ReadResponse(r, nil); err == nil {
		t.Errorf("the body was answered as a request: %d", next.StatusCode)
	}
}

func TestAChunkedBodyWithoutEndIsCutOff(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	r, err := w.Try("PUT", "/v1/uploads/upload-0001", ingresstest.Anna, io.LimitReader(endless{}, 1<<30), ingresstest.AsJSON())
	if err == nil && r.Status != 413 {
		t.Errorf("a chunked body of 1 GiB got %d %s", r.Status, r.Body)
	}
	if found, _ := w.Blobs.List(t.Context(), "uploads/", "", 1); len(found) != 0 {
		t.Error("something of it was kept")
	}
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Errorf("the next upload got %d", r.Status)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Who brings less than the least rate is cut off; who is slow and brings that
// arrives, however long it takes.
func TestTheLeastRateOfABody(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.ReadTimeout, d.Limits.HandlerTimeout = 300*time.Millisecond, 300*time.Millisecond
		d.Limits.BodyWindow, d.Limits.BodyRate = 200*time.Millisecond, 4<<10
	})
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Batch(40)
	tests := map[string]struct {
		piece int
		every time.Duration
		want  int
	}{
		"stands still":       {1000, time.Minute, http.StatusRequestTimeout},
		"trickles":           {1, 20 * time.Millisecond, http.StatusRequestTimeout},
		"is slow and steady": {500, 20 * time.Millisecond, http.StatusAccepted},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				fmt.Fprintf(c, "PUT /v1/uploads/upload-%04d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", tt.piece, ingresstest.Anna, len(body))
				for at := 0; at < len(body); at += tt.piece {
					if _, err := c.Write(body[at:min(at+tt.piece, len(body))]); err != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-time.After(tt.every):
					}
				}
			}()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if took := time.Since(start); res.StatusCode != tt.want || took > 20*time.Second || tt.want == http.StatusAccepted && took < 300*time.Millisecond {
				t.Errorf("got %d after %s", res.StatusCode, took)
			}
		})
	}
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Errorf("the next upload got %d", r.Status)
	}
}

// Six chunked uploads of one person that bring next to nothing hold next to
// nothing: another person's large upload is not kept waiting.
func TestSlowUploadsHoldWhatTheyBrought(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	w.Consent(ingresstest.Ben, true)
	for i := range 6 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "PUT /v1/uploads/upload-%04d HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", i, ingresstest.Anna)
	}
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	if r := w.Upload(ingresstest.Ben, "upload-0001", ingresstest.Batch(400)); r.Status != 202 || time.Since(start) > 5*time.Second {
		t.Errorf("another person's upload: %d after %s", r.Status, time.Since(start))
	}
}

// A client that waits to be asked for its body is asked once it is known, may and
// does not announce too much; else it has its answer and sends nothing.
func TestABodyThatWaitsToBeAskedFor(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	body := ingresstest.Batch(2)
	tests := map[string]struct {
		token  string
		length int
		want   int
	}{
		"a person":         {ingresstest.Anna, len(body), http.StatusContinue},
		"nobody":           {"nonsense", len(body), http.StatusUnauthorized},
		"without consent":  {ingresstest.Ben, len(body), http.StatusForbidden},
		"too large a body": {ingresstest.Anna, 33 << 20, http.StatusRequestEntityTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			r := bufio.NewReader(c)
			fmt.Fprintf(c, "PUT /v1/uploads/upload-0001 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", tt.token, tt.length)
			line, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", tt.want)) {
				t.Fatalf("%q %v", line, err)
			}
			if tt.want != http.StatusContinue {
				return
			}
			if blank, err := r.ReadString('\n'); err != nil || blank != "\r\n" {
				t.Fatalf("%q %v", blank, err)
			}
			_, _ = c.Write(body)
			res, err := http.ReadResponse(r, nil)
			if err != nil || res.StatusCode != http.StatusAccepted {
				t.Fatalf("%v %v", res, err)
			}
		})
	}
}

// A refusal does not wait for the rest of a body that comes slowly.
func TestARefusalIsSentAtOnce(t *testing.T) {
	w := ingresstest.New(t)
	start := time.Now()
	res, err := w.Raw("PUT /v1/uploads/upload-0001 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if took := time.Since(start); res.StatusCode != http.StatusUnauthorized || took > time.Second {
		t.Errorf("got %d after %s", res.StatusCode, took)
	}
}

// Where all places are taken, who has said nothing for longest goes, one address'
// first; who is being served stays, and who comes then is told so.
func TestConnectionsThatSayNothingGo(t *testing.T) {
	for name, change := range map[string]func(*ingress.Needs){
		"of all":         func(d *ingress.Needs) { d.Limits.Connections = 3 },
		"of one address": func(d *ingress.Needs) { d.Limits.PerAddress = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, change)
			for range 40 {
				c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			reply, err := io.ReadAll(c) // to its end: by then the place is free again
			if err != nil || !strings.HasPrefix(string(reply), "HTTP/1.1 200 ") {
				t.Errorf("behind those that say nothing: %q, %v", reply, err)
			}
			for range 3 { // are being served
				_, end := w.Stream(ingresstest.Anna, "")
				defer end()
			}
			res, err := w.Raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Retry-After") == "" {
				t.Errorf("got %d %v", res.StatusCode, res.Header)
			}
		})
	}
}

// The first byte has a bound of its own.
func TestAConnectionThatNeverSpeaks(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Limits.FirstByte = 100 * time.Millisecond })
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	start := time.Now()
	_ = c.SetDeadline(start.Add(20 * time.Second))
	_, _ = io.Copy(io.Discard, c)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it was closed after %s", took)
	}
}
