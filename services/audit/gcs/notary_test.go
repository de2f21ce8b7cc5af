package gcs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
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
	if err := n.turn(t.Context()).err(); err != nil {
		t.Fatal(err)
	}
	return len(n.all(t, headsFolder)) > before
}

// vouchedFor are the sizes that were signed of the writer, each once in a row.
func (p place) vouchedFor(t *testing.T, writer string) (sizes []int64) {
	t.Helper()
	err := p.marked(t.Context(), func(signed []vouched) {
		for _, v := range signed {
			if v.Writer == writer {
				sizes = append(sizes, v.Size)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(sizes)
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
				if err := n.turn(t.Context()).err(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if n, err := l.Verify(t.Context()); err != nil || n != 20 {
		t.Errorf("%d entries, %v", n, err)
	}
	if got := len(l.vouchedFor(t, l.writer.chain.name)); got < 5 || got > 20 {
		t.Errorf("of 20 turns %d were signed", got)
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

// A notary that starts reads nothing of who has ended: what was signed of them stands in the
// newest object, too.
func TestWhoHasEndedIsNotReadAgain(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	lives, former := w.process(t), w.notary(t)
	lives.flushed(t, 1)
	var ended []string
	for range 5 {
		l := w.open(t)
		for range 20 {
			l.flushed(t, 1)
		}
		ended = append(ended, l.writer.chain.name)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	former.signed(t)
	for range 3 { // objects in which none of them is news
		lives.flushed(t, 1)
		former.signed(t)
	}
	through, d := through(t, w)
	next := through.notary(t)
	if next.turned(t) {
		t.Error("another has signed since, and it does")
	}
	lives.flushed(t, 1)
	d.took()
	next.signed(t)
	if calls := d.took(); calls["read"] > 2 { // where the one that lives was, and what is new
		t.Errorf("it asked %v", calls)
	}
	for _, name := range ended {
		if sizes := next.vouchedFor(t, name); !slices.Equal(sizes, []int64{20}) {
			t.Errorf("who has ended is vouched for with %v", sizes)
		}
	}
	if n, err := lives.Verify(t.Context()); err != nil || n != 105 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// However often notaries start, none vouches for less than one before: also where what it
// vouched for is gone, and it has said so.
func TestNoNotaryVouchesForLess(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	cut, other := w.process(t), w.process(t)
	former := w.notary(t)
	for range 3 {
		cut.flushed(t, 4)
	}
	other.flushed(t, 1)
	former.signed(t)
	writer := cut.writer.chain.name
	cut.drops(t, cut.writer.chain.object(8), cut.writer.chain.object(4))
	for start := range 3 {
		n := w.notary(t)
		if _, err := n.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			other.flushed(t, 1)
			o := n.turn(t.Context())
			var bad *audit.BadEntry
			if err := o.err(); !errors.As(err, &bad) || bad.Writer != writer || len(o.failures) > 0 {
				t.Errorf("start %d: %v", start, err)
			}
		}
	}
	if sizes := other.vouchedFor(t, writer); !slices.Equal(sizes, []int64{12}) {
		t.Errorf("it is vouched for with %v", sizes)
	}
	if sizes := other.vouchedFor(t, other.writer.chain.name); len(sizes) != 7 {
		t.Errorf("of the other %v is signed", sizes)
	}
	var bad *audit.BadEntry
	if _, err := other.Verify(t.Context()); !errors.As(err, &bad) || bad.Writer != writer || bad.Index != 4 {
		t.Errorf("verify: %v", err)
	}
}

// What another notary signs for less is a finding, and is not taken over.
func TestANotaryThatSignsLessIsFound(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l, n := w.process(t), w.notary(t)
	l.flushed(t, 4)
	l.flushed(t, 4)
	n.signed(t)
	was := n.live[l.writer.chain.name].signed
	for name, less := range map[string]vouched{"fewer": {Size: 4}, "others": {Size: 8}} {
		liar := w.notary(t)
		if _, err := liar.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		next, lines := liar.chain.head.Clone(), bytes.Buffer{}
		less.Index, less.Time, less.Writer = next.Size, noon(), l.writer.chain.name
		if err := next.Add(liar.macs, &lines, less); err != nil {
			t.Fatal(err)
		}
		data, err := seal(lines.Bytes(), next, notaryName, false, n.keys.notary.Signer)
		if err != nil {
			t.Fatal(err)
		}
		l.puts(t, liar.chain.object(liar.chain.head.Size), data)
		if o := n.turn(t.Context()); len(o.findings) != 1 || len(o.failures) > 0 {
			t.Errorf("%s: %v", name, o)
		}
		if is := n.live[l.writer.chain.name].signed; is != was {
			t.Errorf("%s: it believes %v", name, is)
		}
	}
	l.flushed(t, 4)
	n.signed(t) // and goes on
}

// All is well for who has followed the chains: who rests, as another has signed, does not know.
func TestWhoRestsVouchesForNothing(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	l, one, two := w.process(t), w.notary(t), w.notary(t)
	l.flushed(t, 1)
	if o := one.turn(t.Context()); !o.well() {
		t.Errorf("it signed, and finds %v", o.err())
	}
	if o := two.turn(t.Context()); o.well() {
		t.Error("who rests says that all is well")
	}
	if o := two.turn(t.Context()); !o.well() {
		t.Errorf("nothing is new: %v", o.err())
	}
}

// What cannot be read is no tampering: it is told as what it is, and the others' heads are signed.
func TestABlipIsNoAlarm(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	away, other, n := w.process(t), w.process(t), w.notary(t)
	var told bytes.Buffer
	n.log = slog.New(slog.NewTextHandler(&told, nil))
	away.flushed(t, 1)
	other.flushed(t, 1)
	n.signed(t)
	away.flushed(t, 1)
	other.flushed(t, 1)
	d.stands(func(w http.ResponseWriter, r *http.Request, call string) bool {
		is := call == "read" && strings.Contains(r.URL.Path, away.writer.chain.name)
		if is {
			w.WriteHeader(http.StatusForbidden)
		}
		return is
	})
	o := n.turn(t.Context())
	if n.tell(t.Context(), o); o.well() {
		t.Error("all is well, though a chain cannot be read")
	}
	if text := told.String(); strings.Contains(text, "level=ERROR") || !strings.Contains(text, "level=WARN msg=\"some of the audit log cannot be read or signed now") {
		t.Errorf("it tells:\n%s", text)
	}
	if got := n.live[other.writer.chain.name].signed.Size; got != 2 {
		t.Errorf("the other is vouched for with %d", got)
	}
	d.stands(nil)
	away.drops(t, away.writer.chain.object(1))
	away.flushed(t, 1)
	told.Reset()
	n.tell(t.Context(), n.turn(t.Context()))
	if text := told.String(); !strings.Contains(text, "level=ERROR msg=\"the audit log is not as it was written") || strings.Contains(text, "level=WARN") {
		t.Errorf("of what is gone it tells:\n%s", text)
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
			if err := n.turn(t.Context()).err(); !errors.As(err, &bad) || bad.Writer != l.writer.chain.name || bad.Index != tt.entry {
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
		if err := n.turn(t.Context()).err(); err == nil {
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
	for began := time.Now(); len(l.all(t, headsFolder)) == 0 || well.Load() == 0; time.Sleep(10 * time.Millisecond) {
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
