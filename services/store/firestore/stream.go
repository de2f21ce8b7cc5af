package firestore

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
)

const (
	// ask is how often those are told of whom nothing is heard: whoever has a token lists.
	ask = 10 * time.Second
	// firstPause and longestPause are between two tries of a stream.
	firstPause, longestPause = 200 * time.Millisecond, 10 * time.Second
	// stable is how long a stream has stood for its break to be no sign of an outage.
	stable = 10 * time.Second
)

// A stream is one Listen call after another. The hub's lock guards what changes.
type stream struct {
	hub  *hub
	ctx  context.Context //nolint:containedctx // its own, which ends with its last tail
	stop context.CancelFunc

	tails map[int32]*tail
	last  int32 // the number that was given last
	out   []*firestorepb.ListenRequest
	work  chan struct{} // out has something
	up    bool          // a call is open
	spoke bool          // it was answered
}

// take gives the tail a number and has it listened for. The hub's lock is held.
func (s *stream) take(t *tail) {
	s.last++
	t.on, t.target = s, s.last
	s.tails[t.target] = t
	s.listenFor(t)
}

func (s *stream) listenFor(t *tail) {
	target := &firestorepb.Target{TargetId: t.target, TargetType: &firestorepb.Target_Query{Query: t.query}}
	if t.resume != nil {
		target.ResumeType = &firestorepb.Target_ResumeToken{ResumeToken: t.resume}
	}
	s.send(&firestorepb.ListenRequest{TargetChange: &firestorepb.ListenRequest_AddTarget{AddTarget: target}})
}

// send has a request go out, where a call is open: the next begins with all tails.
func (s *stream) send(r *firestorepb.ListenRequest) {
	if !s.up {
		return
	}
	r.Database = s.hub.database
	s.out = append(s.out, r)
	select {
	case s.work <- struct{}{}:
	default:
	}
}

// run listens until the last tail is gone.
func (s *stream) run() {
	defer s.stop()
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		s.ask()
	}()
	defer func() { <-asking }()
	pause := firstPause
	for s.ctx.Err() == nil {
		began := time.Now()
		s.once()
		if time.Since(began) > stable {
			pause = firstPause
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(pause/2 + rand.N(pause/2)): //nolint:gosec // so that not all come at once
		}
		pause = min(2*pause, longestPause)
	}
}

// once is one call, from its first request until it breaks.
func (s *stream) once() {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	call, err := s.hub.listen(ctx)
	if err != nil {
		return
	}
	s.begin()
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		defer cancel()
		s.sendAll(ctx, call)
	}()
	for {
		r, err := call.Recv()
		if err != nil {
			break
		}
		s.heard(r)
	}
	cancel()
	<-sending
	s.broke()
}

// begin has every tail listened for on a call that is new.
func (s *stream) begin() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.up, s.spoke, s.out = true, false, nil
	for _, t := range s.tails {
		s.listenFor(t)
	}
}

func (s *stream) broke() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.up, s.out = false, nil
	for _, t := range s.tails {
		t.told = false
		if !s.spoke { // it may be for where it was to go on
			t.resume = nil
		}
	}
}

// sendAll sends what is to go out until ctx is done or the call breaks.
func (s *stream) sendAll(ctx context.Context, call listening) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.work:
		}
		s.hub.mu.Lock()
		out := s.out
		s.out = nil
		s.hub.mu.Unlock()
		for _, r := range out {
			if call.Send(r) != nil {
				return
			}
		}
	}
}

// heard tells those whom the response is about.
func (s *stream) heard(r *firestorepb.ListenResponse) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.spoke = true
	if change := r.GetDocumentChange(); change != nil {
		id := change.GetDocument().GetFields()[fieldKey].GetStringValue()
		for _, n := range change.GetTargetIds() {
			if t := s.tails[n]; t != nil && id > t.greatest {
				t.greatest = id
				t.tell()
			}
		}
	}
	if change := r.GetTargetChange(); change != nil {
		s.targets(change)
	}
	if filter := r.GetFilter(); filter != nil { // it may have missed something
		if t := s.tails[filter.GetTargetId()]; t != nil {
			t.tell()
		}
	}
}

// targets learns which tails are heard of, which the service has given up, and where it
// goes on with each on another call. A change that names none is of all that are heard of.
func (s *stream) targets(change *firestorepb.TargetChange) {
	of := change.GetTargetIds()
	if len(of) == 0 {
		for n, t := range s.tails {
			if t.told {
				of = append(of, n)
			}
		}
	}
	for _, n := range of {
		t := s.tails[n]
		if t == nil {
			continue
		}
		if token := change.GetResumeToken(); len(token) > 0 {
			t.resume = token
		}
		switch change.GetTargetChangeType() {
		case firestorepb.TargetChange_CURRENT:
			t.told = true
		case firestorepb.TargetChange_RESET: // all is shown anew
			t.told, t.resume = false, nil
		case firestorepb.TargetChange_REMOVE:
			t.told, t.resume = false, nil
			t.tell()
		}
	}
}

// ask tells those of whom nothing is heard now and then, and tries again to listen.
func (s *stream) ask() {
	tick := time.NewTicker(ask)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		s.askNow()
	}
}

func (s *stream) askNow() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for _, t := range slices.Collect(maps.Values(s.tails)) {
		if !t.told {
			t.tell()
			s.renew(t)
		}
	}
}

// renew has the service forget the tail's number and listen for it under a new one.
func (s *stream) renew(t *tail) {
	if !s.up {
		return
	}
	s.send(&firestorepb.ListenRequest{TargetChange: &firestorepb.ListenRequest_RemoveTarget{RemoveTarget: t.target}})
	delete(s.tails, t.target)
	s.take(t)
}
