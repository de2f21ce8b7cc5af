package uploads

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

func TestWhyAnUploadIsUnreadable(t *testing.T) {
	r := &Room{Needs: Needs{Problem: func(_ context.Context, err error) *problem.Problem { return problem.New(problem.Internal, err.Error()) }}}
	limit := func(what string, most int64) *problem.Limit { return &problem.Limit{What: what, Max: most} }
	tests := map[string]struct {
		err   error
		code  problem.Code
		limit *problem.Limit
		at    string
	}{
		"too large":           {&upload.Error{Code: upload.TooLarge, Detail: "d", Path: "/samples"}, problem.TooLarge, limit("inflated_bytes", upload.MaxBodyBytes), ""},
		"inflates too far":    {&upload.Error{Code: upload.BadRatio, Detail: "d"}, problem.TooLarge, limit("ratio", upload.MaxRatio), ""},
		"too many":            {&upload.Error{Code: upload.TooManySamples, Detail: "d"}, problem.TooLarge, limit("samples", upload.MaxSamples), ""},
		"too deep":            {&upload.Error{Code: upload.TooDeep, Detail: "d"}, TooDeep, limit("depth", upload.MaxDepth), ""},
		"an unknown encoding": {&upload.Error{Code: upload.UnknownEncoding, Detail: "d"}, problem.UnsupportedEncoding, nil, ""},
		"damaged":             {&upload.Error{Code: upload.BadEncoding, Detail: "d"}, MalformedEncoding, nil, ""},
		"no JSON":             {&upload.Error{Code: upload.Malformed, Detail: "d"}, problem.MalformedJSON, nil, ""},
		"another schema":      {&upload.Error{Code: upload.BadSchema, Detail: "d", Path: "/schema"}, UnsupportedSchema, nil, "/schema"},
		"a wrong member":      {&upload.Error{Code: "else", Detail: "d", Path: "/samples/3/CANARY"}, InvalidEnvelope, nil, "/samples/3"},
		"something else":      {errors.New("x"), problem.Internal, nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := r.unreadable(t.Context(), tt.err)
			at := ""
			if len(p.Errors) > 0 {
				at = p.Errors[0].Location
			}
			if p.Code != tt.code.Reason() || p.Status != tt.code.Status() || at != tt.at {
				t.Errorf("%d %s at %q, want %s at %q", p.Status, p.Code, at, tt.code, tt.at)
			}
			if diff := cmp.Diff(tt.limit, p.Limit); diff != "" {
				t.Errorf("limit (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKnownPath(t *testing.T) {
	for pointer, want := range map[string]string{
		"": "", "/": "", "/samples/12/value": "/samples/12/value", "/CANARY/samples": "", "/samples/1234567": "/samples", "/samples/123456": "/samples/123456",
		"/samples/1a/value": "/samples", "/samples//value": "/samples", "/cursor/CANARY": "/cursor", "/deleted/0/uuid": "/deleted/0/uuid",
	} {
		if got := knownPath(pointer); got != want {
			t.Errorf("%q is told as %q, want %q", pointer, got, want)
		}
	}
}

func TestHowMuchAGzipIsBelieved(t *testing.T) {
	says := func(length int, told uint32) []byte {
		return binary.LittleEndian.AppendUint32(make([]byte, length-4), told)
	}
	for name, tt := range map[string]struct {
		body     []byte
		encoding string
		want     int
	}{
		"as it says":            {says(1000, 5000), "gzip", 5001},
		"no gzip":               {says(1000, 5000), "zstd", 0},
		"too short for a gzip":  {says(17, 5000), "gzip", 0},
		"the shortest":          {says(18, 100), "gzip", 101},
		"more than may be":      {says(18, 1<<31), "gzip", upload.MaxRatio*18 + 1},
		"more than is believed": {says(1<<20, 1<<31), "gzip", believedSize + 1},
	} {
		if got := inflatedSize(tt.body, tt.encoding); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestUploadIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"1234567": false, "12345678": true, "azAZ09_-": true, "1234567/": false, "1234567:": false, "1234567@": false, "1234567[": false, "1234567`": false, "1234567{": false,
		string(make([]byte, 64)): false, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": true, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": false,
	} {
		if got := validUploadID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestReceipts(t *testing.T) {
	text, err := receiptFor("upload-0001", &upload.Envelope{Received: 3, Accepted: 2})
	want := `{"uploadId":"upload-0001","received":3,"accepted":2,"rejected":[],"cursor":{},"status":"/v1/uploads/upload-0001"}`
	if err != nil || string(text) != want {
		t.Errorf("%s %v", text, err)
	}
	v := viewUpload(store.Record[record.Upload]{Key: "upload-0001", Value: record.Upload{Receipt: text, State: record.UploadFailed, Reason: "r", Added: 1, Duplicates: 2, Deleted: 3}})
	if v.Received != 3 || v.Accepted != 2 || v.Rejected != 0 || v.Days == nil || v.MergedAt != nil || v.State != "failed" || v.Reason != "r" || v.Added != 1 || v.Duplicates != 2 || v.Deleted != 3 {
		t.Errorf("%+v", v)
	}
}
