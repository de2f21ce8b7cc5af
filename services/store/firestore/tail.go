package firestore

import (
	"context"
	"fmt"
	"sync"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/clarity-loop/clarity/services/store"
)

// Tail sends a token when a document is there that is behind `after` and all that it
// told of: it listens to the one document that is behind all others. What is there
// already has a token. The channel is closed once ctx is done.
func (s *Store) Tail(ctx context.Context, collection, uid, after string) (<-chan struct{}, error) {
	if err := (store.Query{Collection: collection, UID: uid, After: after, Limit: 1}).Check(); err != nil {
		return nil, store.Fault("tail", err)
	}
	place := placeOf(collection, uid)
	t := &tail{tokens: make(chan struct{}, 1), greatest: place + apart + after}
	t.query = &firestorepb.Target_QueryTarget{Parent: s.shard(store.ShardOf(uid)),
		QueryType: &firestorepb.Target_QueryTarget_StructuredQuery{StructuredQuery: greatest(place, t.greatest)}}
	if err := s.hub.add(t); err != nil {
		return nil, store.Fault("tail", err)
	}
	context.AfterFunc(ctx, func() { s.hub.remove(t) })
	return t.tokens, nil
}

// A tail is one who waits for greater keys. What changes of it, the hub's lock guards.
type tail struct {
	query    *firestorepb.Target_QueryTarget
	tokens   chan struct{}
	greatest string // the id of the last that it told of
	resume   []byte // where the service goes on with it; nil has all be shown anew
	gone     bool
	told     bool // the stream shows what there is; else it is asked for
	on       *stream
	target   int32 // its number on that stream
}

func (t *tail) tell() {
	select {
	case t.tokens <- struct{}{}:
	default:
	}
}

// most is how many tails share a stream.
const most = 500

// listening is a Listen call.
type listening interface {
	Send(*firestorepb.ListenRequest) error
	Recv() (*firestorepb.ListenResponse, error)
}

// A hub has everybody's tails on few streams.
type hub struct {
	database string
	listen   func(ctx context.Context) (listening, error)
	ctx      context.Context //nolint:containedctx // the streams', which outlive the calls that need them
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex // nothing is waited for under it
	streams []*stream  // each with a tail at least
}

func newHub(database string, listen func(ctx context.Context) (listening, error)) *hub {
	h := &hub{database: database, listen: listen}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// close ends every stream.
func (h *hub) close() {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	h.running.Wait()
}

// add has a stream that has room take the tail, or a new one.
func (h *hub) add(t *tail) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return errClosed
	}
	for _, s := range h.streams {
		if len(s.tails) < most {
			s.take(t)
			return nil
		}
	}
	s := &stream{hub: h, tails: map[int32]*tail{}, work: make(chan struct{}, 1)}
	s.ctx, s.stop = context.WithCancel(h.ctx)
	h.streams = append(h.streams, s)
	s.take(t)
	h.running.Go(s.run)
	return nil
}

var errClosed = fmt.Errorf("the store is closed: %w", context.Canceled)

// remove closes the tail's channel. A stream without tails ends.
func (h *hub) remove(t *tail) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.gone = true
	close(t.tokens)
	s := t.on
	delete(s.tails, t.target)
	if len(s.tails) > 0 {
		s.send(&firestorepb.ListenRequest{TargetChange: &firestorepb.ListenRequest_RemoveTarget{RemoveTarget: t.target}})
		return
	}
	s.stop()
	for i, other := range h.streams {
		if other == s {
			h.streams = append(h.streams[:i], h.streams[i+1:]...)
			break
		}
	}
}
