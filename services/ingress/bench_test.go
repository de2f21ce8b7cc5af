package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// BenchmarkPutUpload is the handler alone, from parsed headers to the reply's
// bytes: no network, drivers that forget at once. 500 samples.
func BenchmarkPutUpload(b *testing.B) {
	w := ingresstest.New(b, ingresstest.Forgetful)
	w.Consent(ingresstest.Anna, true)
	body := uploadtest.Gzip(uploadtest.Body(500, uploadtest.Options{}))
	b.Run("whole", func(b *testing.B) { benchPut(b, w, body, 202) })
	b.Run("refused before its body is read", func(b *testing.B) {
		w.Consent(ingresstest.Anna, false)
		benchPut(b, w, body, 403)
	})
}

func benchPut(b *testing.B, w *ingresstest.World, body []byte, want int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	var rc fasthttp.RequestCtx
	reader, head := bytes.NewReader(nil), bufio.NewReader(nil)
	for n := 0; b.Loop(); n++ {
		rc.Request.Reset()
		rc.Response.Reset()
		rc.ResetUserValues()
		head.Reset(strings.NewReader(fmt.Sprintf("PUT /v1/uploads/upload-%08d HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", n, ingresstest.Anna, len(body))))
		if err := rc.Request.Header.Read(head); err != nil { // as it is read off a connection: the edge looks at its lines
			b.Fatal(err)
		}
		reader.Reset(body)
		rc.Request.SetBodyStream(reader, len(body))
		w.Server.Handler()(&rc)
		if rc.Response.StatusCode() != want {
			b.Fatalf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
		}
	}
}

// BenchmarkTypedUpload is what huma's typed handler would add to the upload:
// it does nothing with the body but take it.
func BenchmarkTypedUpload(b *testing.B) {
	w := ingresstest.New(b, ingresstest.Forgetful)
	w.Do("GET", "/openapi.json", "", nil) // it serves: nobody but the benchmark puts routes in order now
	type input struct {
		UploadID string `path:"uploadId" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
		Encoding string `header:"Content-Encoding"`
		RawBody  []byte
	}
	huma.Register(w.Server.API(), huma.Operation{Method: "PUT", Path: "/bench/{uploadId}", OperationID: "bench", MaxBodyBytes: 1 << 25, DefaultStatus: 202},
		func(context.Context, *input) (*struct{ Body acked }, error) {
			return &struct{ Body acked }{acked{UploadID: "x", Cursor: map[string]string{}}}, nil
		})
	w.Server.Routed() // learns of the new route
	body := uploadtest.Gzip(uploadtest.Body(500, uploadtest.Options{}))
	var rc fasthttp.RequestCtx
	reader := bytes.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		rc.Request.Reset()
		rc.Response.Reset()
		rc.ResetUserValues()
		rc.Request.Header.SetMethod("PUT")
		rc.Request.SetRequestURI("/bench/upload-00000001")
		rc.Request.Header.SetContentType("application/octet-stream")
		rc.Request.Header.Set("Content-Encoding", "gzip")
		reader.Reset(body)
		rc.Request.SetBodyStream(reader, len(body))
		w.Server.Inner()(&rc)
		if rc.Response.StatusCode() != 202 {
			b.Fatalf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
		}
	}
}

// acked is the shape of an upload's reply.
type acked struct {
	UploadID string             `json:"uploadId"`
	Received int                `json:"received"`
	Accepted int                `json:"accepted"`
	Rejected []health.Rejection `json:"rejected"`
	Cursor   map[string]string  `json:"cursor"`
	Status   string             `json:"status"`
}
