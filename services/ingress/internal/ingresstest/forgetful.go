package ingresstest

import (
	"context"
	"io"
	"log/slog"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/store"
)

// Forgetful replaces the drivers by ones that cost nothing and keep nothing of
// an upload: what is left is the ingress itself.
func Forgetful(n *ingress.Needs) {
	n.Blobs = noBlobs{n.Blobs}
	n.Queue = noQueue{n.Queue}
	n.Audit = noAudit{}
	n.Store = store.New(&consentOnly{documents: map[store.Key]store.Document{}}, n.Keys)
	n.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
}

type noBlobs struct{ blob.Store }

func (noBlobs) Put(context.Context, string, []byte) (int64, error) { return 1, nil }

type noQueue struct{ queue.Queue }

func (noQueue) Publish(context.Context, ...queue.Message) error { return nil }

type noAudit struct{}

func (noAudit) Append(context.Context, audit.Event) error { return nil }
func (noAudit) Verify(context.Context) (int64, error)     { return 0, nil }

// consentOnly keeps all documents but uploads.
type consentOnly struct {
	store.Driver
	documents map[store.Key]store.Document
}

func (c *consentOnly) Get(_ context.Context, k store.Key) (store.Document, error) {
	if d, ok := c.documents[k]; ok {
		return d, nil
	}
	return store.Document{}, store.ErrNotFound
}

func (c *consentOnly) Batch(_ context.Context, writes []store.Write) ([]int64, error) {
	versions := make([]int64, len(writes))
	for i, w := range writes {
		switch {
		case w.Check:
			versions[i] = w.IfVersion
		case writes[0].Key.Collection == "uploads":
			versions[i] = 1
		default:
			versions[i] = c.documents[w.Key].Version + 1
			c.documents[w.Key] = store.Document{Key: w.Key, Version: versions[i], Data: w.Data}
		}
	}
	return versions, nil
}

func (c *consentOnly) List(context.Context, store.Query) ([]store.Document, error) { return nil, nil }
