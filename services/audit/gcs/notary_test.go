package gcs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

// turned is a turn that may or may not sign.
func (n *notary) turned(t *testing.T) (signed bool) {
	t.Helper()
	before := len(n.all(t, headsFolder))
	if err := n.turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	return len(n.all(t, headsFolder)) > before
}

// Of two notaries one signs; the other takes over once it does not.
func TestTwoNotaries(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l, one, two := w.process(t), w.notary(t), w.notary(t)
	turn := func(n *notary, want bool) {
		t.Helper()
		l.flushed(t, 1)
		if got := n.turned(t); got != want {
			t.Fatalf("signed: %v, want %v", got, want)
		}
	}
	for range 3 {
		turn(one, true)
		turn(two, false)
	}
	turn(two, true) // the other is gone
	turn(two, true)
	turn(one, false) // and is back, and sees that it was replaced
	turn(two, true)
	turn(one, false)
	turn(one, true)
	if one.turned(t) {
		t.Error("nothing is new, and is signed")
	}
	if n, err := l.Verify(t.Context()); err != nil || n != 12 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// Notaries that take their turns at the same moment make one chain.
func TestNotariesAtOnce(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.process(t)
	notaries := []*notary{w.notary(t), w.notary(t), w.notary(t)}
	for range 20 {
		l.flushed(t, 1)
		var all sync.WaitGroup
		for _, n := range notaries {
			all.Go(func() {
				if err := n.turn(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n, err := l.Verify(t.Context()); err != nil || n != 20 {
		t.Errorf("%d entries, %v", n, err)
	}
	signed, err := l.marks(t.Context())
	if got := len(signed[l.writer.chain.name]); err != nil || got < 5 || got > 20 {
		t.Errorf("of 20 turns %d were signed, %v", got, err)
	}
}

// A notary that starts goes on where the newest object ends, and reads of each writer what is
// behind it.
func TestANotaryGoesOn(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	a, b, former := w.process(t), w.process(t), w.notary(t)
	for i := range 23 {
		a.flushed(t, 2)
		if i%4 == 0 {
			b.flushed(t, 3)
		}
		former.signed(t)
	}
	through, d := through(t, w)
	next := through.notary(t)
	d.took()
	if next.turned(t) {
		t.Error("another has signed since, and it does")
	}
	if calls := d.took(); calls["read"] != 1 || calls["list"] > 60 {
		t.Errorf("it asked %v", calls)
	}
	a.flushed(t, 2)
	next.signed(t)
	if calls := d.took(); calls["read"] != 3 { // where each writer was, and what is new
		t.Errorf("it asked %v", calls)
	}
	if n, err := a.Verify(t.Context()); err != nil || n != 66 {
		t.Errorf("%d entries, %v", n, err)
	}
	if !next.chain.head.Is(former.chain.head) {
		_, err := former.catchUp(t.Context())
		if err != nil || !next.chain.head.Is(former.chain.head) {
			t.Errorf("the two are not of one chain: %v", err)
		}
	}
}

// What a notary finds it tells, and goes on with the others; what it vouched for stays.
func TestANotaryFindsTampering(t *testing.T) {
	url := gcstest.Start(t)
	tests := map[string]struct {
		tamper func(l *Log)
		entry  int64
		fresh  bool // another notary finds it, which has to start
	}{
		"an object is changed":  {func(l *Log) { l.puts(t, l.writer.chain.object(8), []byte("x")) }, 8, false},
		"an object is left out": {func(l *Log) { l.drops(t, l.writer.chain.object(8)) }, 8, false},
		"what it vouched for is cut": {func(l *Log) {
			l.drops(t, l.writer.chain.object(4), l.writer.chain.object(8), l.writer.chain.object(12))
		}, 4, true},
		"the writer is gone": {func(l *Log) { l.drops(t, l.all(t, l.writer.chain.folder)...) }, 4, true},
		"its newest is another's": {func(l *Log) {
			m := l.keys.macs()
			k := l.keys.writerOf(l.writer.chain.name, m)
			if err := k.take(m, l.holds(t, k.object(0)), blind); err != nil {
				t.Fatal(err)
			}
			for name, data := range rewritten(t, &world{now: noon}, k, m, l.keys.writers, 4) {
				l.puts(t, name, data)
			}
		}, 4, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, url)
			l, other, n := w.process(t), w.process(t), w.notary(t)
			l.flushed(t, 4)
			l.flushed(t, 4)
			other.flushed(t, 1)
			n.signed(t)
			l.flushed(t, 4)
			l.flushed(t, 4)
			other.flushed(t, 1)
			tt.tamper(l)
			if tt.fresh {
				n = w.notary(t)
				if _, err := n.catchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			before := len(n.all(t, headsFolder))
			var bad *audit.BadEntry
			if err := n.turn(t.Context()); !errors.As(err, &bad) || bad.Writer != l.writer.chain.name || bad.Index != tt.entry {
				t.Errorf("a turn: %v, want entry %d", err, tt.entry)
			}
			if len(n.all(t, headsFolder)) == before {
				t.Error("the other writer's head is not signed")
			}
			if signed := n.live[l.writer.chain.name].signed; signed.Size != 8 {
				t.Errorf("it vouches for %d entries", signed.Size)
			}
		})
	}
}

// A turn that fails is made up for in the next, whatever it had read already.
func TestATurnThatFails(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	l, n := w.open(t), w.notary(t)
	l.flushed(t, 1)
	n.signed(t)
	l.flushed(t, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"read", "insert if 0", "list"} {
		d.stands(func(w http.ResponseWriter, _ *http.Request, call string) bool {
			if call == what {
				w.WriteHeader(http.StatusForbidden)
			}
			return call == what
		})
		if err := n.turn(t.Context()); err == nil {
			t.Errorf("%s: a turn in which it is refused has no error", what)
		}
	}
	d.stands(nil)
	n.signed(t)
	if n, err := w.process(t).Verify(t.Context()); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// The writers of more than two days ago are no longer followed.
func TestANotaryForgetsWhoHasEnded(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	now := noon()
	w.now = func() time.Time { return now }
	old, n := w.open(t), w.notary(t)
	old.flushed(t, 1)
	n.signed(t)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	n.signed(t)
	if n.turned(t) {
		t.Error("nothing is new, and is signed")
	}
	now = now.Add(looksBack + time.Second)
	young := w.process(t)
	young.flushed(t, 1)
	n.signed(t)
	if len(n.live) != 1 {
		t.Errorf("%d are followed", len(n.live))
	}
	if entries, err := young.Verify(t.Context()); err != nil || entries != 2 {
		t.Errorf("%d entries, %v", entries, err)
	}
}

// A notary takes its turns until it is told to end, and logs what it signed.
func TestNotarize(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l := w.process(t)
	l.flushed(t, 2)
	var told bytes.Buffer
	var well atomic.Int64
	ends, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Notarize(ends, slog.New(slog.NewTextHandler(&told, nil)), func() { well.Add(1) }) }()
	for began := time.Now(); len(l.all(t, headsFolder)) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it signs nothing")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ends with %v", err)
	}
	if well.Load() == 0 {
		t.Error("it signed, and did not say that all is well")
	}
	n := w.notary(t)
	if _, err := n.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := n.chain.head.Root().String(); !strings.Contains(told.String(), want) {
		t.Errorf("the root %s is not logged:\n%s", want, told.String())
	}
}
