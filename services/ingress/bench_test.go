package ingress

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/valyala/fasthttp"

	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

// BenchmarkPutUpload is the handler alone, from parsed headers to the reply's
// bytes: no network, drivers that forget at once. 500 samples.
func BenchmarkPutUpload(b *testing.B) {
	w := newWorld(b, forgetful)
	w.consent(anna, true)
	body := uploadtest.Gzip(uploadtest.Body(500, uploadtest.Options{}))
	b.Run("whole", func(b *testing.B) { benchPut(b, w, body, 202) })
	b.Run("refused before its body is read", func(b *testing.B) {
		w.consent(anna, false)
		benchPut(b, w, body, 403)
	})
}

func benchPut(b *testing.B, w *world, body []byte, want int) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	var rc fasthttp.RequestCtx
	reader := bytes.NewReader(nil)
	for n := 0; b.Loop(); n++ {
		rc.Request.Reset()
		rc.Response.Reset()
		rc.ResetUserValues()
		rc.Request.Header.SetMethod("PUT")
		rc.Request.SetRequestURI(fmt.Sprintf("/v1/uploads/upload-%08d", n))
		rc.Request.Header.Set("Authorization", "Bearer "+anna)
		rc.Request.Header.SetContentType("application/json")
		rc.Request.Header.Set("Content-Encoding", "gzip")
		reader.Reset(body)
		rc.Request.SetBodyStream(reader, len(body))
		w.server.app.Server().Handler(&rc)
		if rc.Response.StatusCode() != want {
			b.Fatalf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
		}
	}
}

// BenchmarkTypedUpload is what huma's typed handler would add to the upload:
// it does nothing with the body but take it.
func BenchmarkTypedUpload(b *testing.B) {
	w := newWorld(b, forgetful)
	type input struct {
		UploadID string `path:"uploadId" minLength:"8" maxLength:"64" pattern:"^[A-Za-z0-9_-]+$"`
		Encoding string `header:"Content-Encoding"`
		RawBody  []byte
	}
	huma.Register(w.server.api, huma.Operation{Method: "PUT", Path: "/bench/{uploadId}", OperationID: "bench", MaxBodyBytes: 1 << 25, DefaultStatus: 202},
		func(context.Context, *input) (*struct{ Body receipt }, error) {
			return &struct{ Body receipt }{receipt{UploadID: "x", Cursor: map[string]string{}}}, nil
		})
	w.server.app.Handler() // learns of the new route
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
		w.server.inner(&rc)
		if rc.Response.StatusCode() != 202 {
			b.Fatalf("%d %s", rc.Response.StatusCode(), rc.Response.Body())
		}
	}
}
