package upload_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
)

func BenchmarkDecode500(b *testing.B) {
	body := uploadtest.Body(500, uploadtest.Options{})
	for name, emit := range map[string]func(*health.Sample){"verdicts": nil, "samples": func(*health.Sample) {}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := upload.Decode(body, now, emit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkInflate500(b *testing.B) {
	body := uploadtest.Body(500, uploadtest.Options{})
	packed := uploadtest.Gzip(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = upload.Inflate(dst, "gzip", packed); err != nil || len(dst) != len(body) {
			b.Fatal(len(dst), err)
		}
	}
}
