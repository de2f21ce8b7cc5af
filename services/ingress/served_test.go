package ingress_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// What is away, but for what it is asked here.
type (
	noQueue   struct{ queue.Queue }
	noObjects struct{ blob.Store }
)

var errAway = errors.New("no answer")

func (noQueue) Publish(context.Context, ...queue.Message) error {
	return queue.Fault("publish", errAway)
}
func (noObjects) Put(context.Context, string, []byte) (int64, error) {
	return 0, blob.Fault("put", blob.ErrUnavailable)
}
func (noObjects) Get(context.Context, string) ([]byte, error) {
	return nil, blob.Fault("get", blob.ErrUnavailable)
}

// What people are served while a peer is away: the table of docs/operations/binaries.md. An
// ingress without the one is ready as long as something is served that needs a person.
func TestWhatIsServedWithoutWhom(t *testing.T) {
	breaks := func(operations ...string) func(*ingresstest.World) {
		return func(w *ingresstest.World) {
			for _, collection := range append(store.Personal(), "accounts") {
				for _, op := range operations {
					w.Break(op + " " + collection)
				}
			}
		}
	}
	tests := map[string]struct {
		option ingress.Needs
		away   func(w *ingresstest.World)
		token  string
		want   string // what is served; open needs no person
	}{
		"nobody":             {want: "read small large consent open"},
		"the store's reads":  {away: breaks("get", "list"), want: "open"},
		"the store's writes": {away: breaks("write"), want: "read open"},
		"the queue":          {option: ingress.Needs{Queue: noQueue{}}, want: "read consent open"},
		"the objects":        {option: ingress.Needs{Blobs: noObjects{}}, want: "read small consent open"},
		"the audit log":      {away: func(w *ingresstest.World) { w.Audit.Broken = true }, want: "open"},
		"the verifier":       {token: "down-anna", want: "open"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := ingresstest.New(t, func(n *ingress.Needs) {
				if tt.option.Queue != nil {
					n.Queue = tt.option.Queue
				}
				if tt.option.Blobs != nil {
					n.Blobs = tt.option.Blobs
				}
			})
			token := ingresstest.Anna
			w.Consent(token, true)
			if tt.option.Blobs == nil {
				ingresstest.Furnish(w)
			}
			if tt.away != nil {
				tt.away(w)
			}
			if tt.token != "" {
				token = tt.token
			}
			read := w.Do("GET", "/v1/profile", token, nil)
			small := w.Upload(token, "upload-small-1", ingresstest.Batch(1))
			large := w.Upload(token, "upload-large-1", ingresstest.Batch(3000))
			agreed := w.Do("PUT", "/v1/consents/narrative", token, []byte(`{"granted":true,"version":"test/1"}`), ingresstest.AsJSON())
			open := w.Do("GET", "/openapi.json", "", nil)
			var got []string
			for i, r := range []ingresstest.Reply{read, small, large, agreed, open} {
				switch {
				case r.Status < 300:
					got = append(got, []string{"read", "small", "large", "consent", "open"}[i])
				case r.Status < 500:
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
			if is := strings.Join(got, " "); is != tt.want {
				t.Errorf("serves %s, want %s", is, tt.want)
			}
		})
	}
}
