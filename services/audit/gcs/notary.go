package gcs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

const (
	turnEvery = time.Minute
	// looksBack is how long after its beginning a writer is followed: longer than its
	// chain goes on, by as long as a notary may be away.
	looksBack = 2 * writerLife
)

// A notary follows every writer's chain and signs over their heads, each minute in which one
// has gone on. Each of its objects has a line of every writer that it follows, also of one that
// has ended or is not as it was written: so the newest is all that a notary has to read that
// starts, and no writer is vouched for with less than before. Any number of replicas may run one. Their objects are their lease: each is
// created under the number that follows, which one of them can; and who finds one that another
// has signed since its own last turn rests for a turn.
type notary struct {
	place
	log *slog.Logger

	macs  *chain.MACs
	chain link // the notary's own
	begun bool // it is known where that ends
	live  map[string]*followed
	said  []vouched // of the object that is being read

	shrunk []error // what another has signed for less than before
}

// followed is a writer's chain as far as the notary has followed it.
type followed struct {
	link
	macs   *chain.MACs
	known  bool    // what is in link; else the notary has only signed a head
	signed vouched // the longest; of no writer where there is none
}

func newNotary(at place, log *slog.Logger) *notary {
	m := at.keys.macs()
	return &notary{place: at, log: log, macs: m, chain: at.keys.notaryOf(m), live: map[string]*followed{}}
}

// Notarize has this process be a notary until the context ends, a turn a minute. What is wrong
// it logs, and goes on: a writer whose chain is not as it was written stays vouched for as it was.
// What cannot be read now is another matter, and nothing that anybody did. After each turn in
// which it followed every chain and nothing was wrong, it calls well; who rests says nothing.
func (l *Log) Notarize(ctx context.Context, log *slog.Logger, well func()) error {
	return newNotary(l.place, log).run(ctx, well)
}

func (n *notary) run(ctx context.Context, well func()) error {
	turns := time.NewTicker(turnEvery)
	defer turns.Stop()
	for {
		o := n.turn(ctx)
		n.tell(ctx, o)
		if o.well() {
			well()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-turns.C:
		}
	}
}

// An outcome is what was wrong in a turn: chains that are not as they were written, and what
// could not be read or signed, which the next turn makes up for.
type outcome struct {
	findings, failures []error
	rested             bool // another has signed
}

// well says that every chain was followed in the turn, and that all is as it was written.
func (o outcome) well() bool { return !o.rested && len(o.findings)+len(o.failures) == 0 }

// sort adds an error to those of its kind.
func (o *outcome) sort(err error) {
	switch {
	case isBad(err):
		o.findings = append(o.findings, err)
	case err != nil:
		o.failures = append(o.failures, err)
	}
}

func (n *notary) tell(ctx context.Context, o outcome) {
	if err := errors.Join(o.findings...); err != nil {
		n.log.Error("the audit log is not as it was written", "err", found("sign", err))
	}
	if err := errors.Join(o.failures...); err != nil && ctx.Err() == nil {
		n.log.Warn("some of the audit log cannot be read or signed now, and is in a minute", "err", found("sign", err))
	}
}

// turn signs, unless another has since the last.
func (n *notary) turn(ctx context.Context) (o outcome) {
	another, err := n.catchUp(ctx)
	o.findings, n.shrunk = n.shrunk, nil
	o.sort(err)
	if err != nil || another {
		o.rested = another
		return o
	}
	n.follow(ctx, &o)
	o.sort(n.sign(ctx))
	return o
}

// catchUp reads what notaries have signed since, and says whether another has.
func (n *notary) catchUp(ctx context.Context) (another bool, err error) {
	before := n.chain.head.Size
	n.said = nil
	if !n.begun {
		if err := n.resume(ctx); err != nil {
			return false, err
		}
		n.begun = true
	}
	err = n.objects(ctx, &n.chain, n.macs, n.see, func() error { n.believe(); return nil })
	return n.chain.head.Size > before, err
}

// resume finds the newest object, whose note is believed: it has every writer that lives.
func (n *notary) resume(ctx context.Context) error {
	newest, is, err := n.newest(ctx)
	if err != nil || !is {
		return err
	}
	data, err := n.read(ctx, n.chain.object(newest))
	if err == nil {
		err = n.chain.resume(newest, data, n.see)
	}
	if err == nil {
		n.believe()
	}
	return err
}

// newest is the number of the newest object, found by halves.
func (n *notary) newest(ctx context.Context) (number int64, is bool, err error) {
	const most = 1e12
	low, high, step := int64(-1), int64(most), int64(1) // there is one at low, none from high on
	for low+1 < high {
		middle := low + min(step, (high-low)/2)
		names, err := n.names(ctx, headsFolder, n.chain.object(middle), 1)
		switch {
		case err != nil:
			return 0, false, err
		case len(names) == 0:
			high, step = middle, most
			continue
		}
		if low, is = n.chain.number(names[0]); !is {
			return 0, false, n.chain.bad(middle, "among the notary's stands an object that is none of the log's")
		}
		step = min(2*step, most)
	}
	return low, low >= 0, nil
}

// see reads a line that a notary has signed.
func (n *notary) see(entry []byte) error {
	v, err := decodeHead(entry)
	n.said = append(n.said, v)
	return err
}

// believe takes over what another notary has signed, unless it was signed for more before:
// that is a finding.
func (n *notary) believe() {
	for _, v := range n.said {
		f, is := n.live[v.Writer]
		if !is {
			f = n.stranger(v.Writer)
			n.live[v.Writer] = f
		}
		if f.signed.goesOn(v) {
			f.signed = v
		} else {
			n.shrunk = append(n.shrunk, f.bad(v.Size, "the notary vouches for %d entries, and has signed another history since", f.signed.Size))
		}
	}
	n.said = nil
}

// stranger is a writer of whom nothing is known yet.
func (n *notary) stranger(name string) *followed {
	m := n.keys.macs()
	return &followed{link: n.keys.writerOf(name, m), macs: m}
}

// follow reads what writers have written since. One that cannot be read keeps nobody from
// reading the others.
func (n *notary) follow(ctx context.Context, o *outcome) {
	since := n.now().Add(-looksBack)
	names, err := n.writers(ctx, since)
	o.sort(err)
	for _, name := range names {
		at, is := began(name)
		switch {
		case !is:
			o.sort(stranger())
		case n.live[name] == nil && !at.Before(since):
			n.live[name] = n.stranger(name)
		}
	}
	maps.DeleteFunc(n.live, func(name string, _ *followed) bool {
		at, is := began(name)
		return !is || at.Before(since)
	})
	var mu sync.Mutex // guards the outcome
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, f := range n.live {
		all.Go(func() error {
			err := n.followOne(ctx, f)
			mu.Lock()
			defer mu.Unlock()
			o.sort(err)
			return nil
		})
	}
	_ = all.Wait() // each has said its own
}

// followOne reads a writer's chain from where the notary knows it.
func (n *notary) followOne(ctx context.Context, f *followed) error {
	if f.signed.Closed {
		return nil
	}
	if !f.known && f.signed.Writer != "" {
		if err := n.recall(ctx, f); err != nil {
			return err
		}
	}
	f.known = true
	if err := n.objects(ctx, &f.link, f.macs, blind, func() error { return nil }); err != nil {
		return err
	}
	if f.head.Size < f.signed.Size {
		return f.bad(f.head.Size, "it is missing: the notary vouches for %d entries", f.signed.Size)
	}
	return nil
}

// recall is the chain as another notary has signed it, from the object that was the newest
// then.
func (n *notary) recall(ctx context.Context, f *followed) error {
	data, err := n.read(ctx, f.object(f.signed.From))
	if errors.Is(err, errNone) {
		return f.bad(f.signed.From, "it is missing: the notary vouches for %d entries", f.signed.Size)
	}
	if err != nil {
		return err
	}
	was := f.link
	if err := was.resume(f.signed.From, data, blind); err != nil {
		return err
	}
	if !f.signed.says(was) {
		return f.bad(f.signed.From, "the notary has signed another history")
	}
	f.link = was
	return nil
}

// sign signs over all heads, where one has gone on.
func (n *notary) sign(ctx context.Context) error {
	next := n.chain
	next.head = n.chain.head.Clone()
	var lines bytes.Buffer
	fresh := map[string]vouched{}
	changed := false
	for _, name := range slices.Sorted(maps.Keys(n.live)) {
		v, anew := n.live[name].line()
		if v.Writer == "" {
			continue
		}
		v.Index, v.Time = next.head.Size, n.now().UTC()
		if err := next.head.Add(n.macs, &lines, v); err != nil {
			return err
		}
		fresh[name] = v
		changed = changed || anew
	}
	if !changed {
		return nil
	}
	data, err := seal(lines.Bytes(), next.head, notaryName, false, n.keys.notary.Signer)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	err = n.create(within, n.chain.object(n.chain.head.Size), data)
	if errors.Is(err, errTaken) { // another was first
		return nil
	}
	if err != nil {
		return err
	}
	n.chain = next
	for name, v := range fresh {
		n.live[name].signed = v
	}
	n.log.Info("signed the audit log's heads", "writers", len(fresh), "entries", next.head.Size, "root", next.head.Root().String())
	return nil
}

// line is what there is to sign over the writer, of no writer where that is nothing: its head
// as it is known, where that goes on from what was signed, which anew says; else what was
// signed.
func (f *followed) line() (v vouched, anew bool) {
	if !f.known || f.head.Size == 0 {
		return f.signed, false
	}
	is := vouched{Writer: f.name, Size: f.head.Size, Root: f.head.Root(), From: f.from, Closed: f.closed}
	if f.signed.says(f.link) || !f.signed.goesOn(is) {
		return f.signed, false
	}
	return is, true
}
