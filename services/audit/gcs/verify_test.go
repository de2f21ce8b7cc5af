package gcs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

// told is a log of two writers, the first of which has ended: three objects of four entries
// each, and all signed, in two turns.
func told(t *testing.T, url string) (w *world, first, second link) {
	t.Helper()
	w = newWorld(t, url)
	a, b, n := w.open(t), w.process(t), w.notary(t)
	for i := range 3 {
		a.flushed(t, 4)
		b.flushed(t, 4)
		if i == 1 {
			n.signed(t)
		}
	}
	first, second = a.writer.chain, b.writer.chain
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	n.signed(t)
	return w, first, second
}

// rewritten is another history of the writer, from an entry on, by somebody who has the keys.
func rewritten(t *testing.T, w *world, l link, m *chain.MACs, by signing, sizes ...int) map[string][]byte {
	t.Helper()
	made := map[string][]byte{}
	for _, entries := range sizes {
		next := l.head.Clone()
		var lines bytes.Buffer
		for i := range entries {
			if err := next.Add(m, &lines, m.Entry(read(fmt.Sprint("other", i)), next.Size, w.now())); err != nil {
				t.Fatal(err)
			}
		}
		data, err := seal(lines.Bytes(), next, l.name, false, by.Signer)
		if err != nil {
			t.Fatal(err)
		}
		made[l.object(l.head.Size)] = data
		l.head = next
	}
	return made
}

func TestTamperingIsFound(t *testing.T) {
	original, first, second := told(t, gcstest.Start(t))
	keys := original.process(t).keys
	foreign, err := derive([]byte(strings.Repeat("another ", 4)))
	if err != nil {
		t.Fatal(err)
	}
	behind := func(l *Log, of link, objects int) link { // the chain behind the objects
		m := keys.macs()
		k := keys.writerOf(of.name, m)
		for range objects {
			if err := k.take(m, l.holds(t, k.object(k.head.Size)), blind); err != nil {
				t.Fatal(err)
			}
		}
		return k
	}
	replace := func(l *Log, made map[string][]byte) {
		for name, data := range made {
			l.puts(t, name, data)
		}
	}
	lines := func(l *Log, name string, change func(lines [][]byte) [][]byte) {
		text, note, _ := bytes.Cut(l.holds(t, name), []byte(separator))
		all := bytes.SplitAfter(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
		all[len(all)-1] = append(all[len(all)-1], '\n')
		l.puts(t, name, append(append(bytes.Join(change(all), nil), separator...), note...))
	}
	tests := map[string]struct {
		tamper func(l *Log)
		writer string
		entry  int64
	}{
		"an object is dropped":        {func(l *Log) { l.drops(t, second.object(4)) }, second.name, 4},
		"the first object is dropped": {func(l *Log) { l.drops(t, first.object(0)) }, first.name, 0},
		"the tail is cut off":         {func(l *Log) { l.drops(t, second.object(8)) }, second.name, 8},
		"two of the tail are cut off": {func(l *Log) { l.drops(t, second.object(8), second.object(4)) }, second.name, 4},
		"a writer's end is dropped":   {func(l *Log) { l.drops(t, first.object(12)) }, first.name, 12},
		"a writer is missing":         {func(l *Log) { l.drops(t, l.all(t, first.folder)...) }, first.name, 0},
		"a line is dropped": {func(l *Log) {
			lines(l, first.object(4), func(all [][]byte) [][]byte { return append(all[:1:1], all[2:]...) })
		}, first.name, 5},
		"two lines change places": {func(l *Log) {
			lines(l, first.object(4), func(all [][]byte) [][]byte { all[1], all[2] = all[2], all[1]; return all })
		}, first.name, 5},
		"a line is there twice": {func(l *Log) {
			lines(l, first.object(4), func(all [][]byte) [][]byte { return append(all, all[3]) })
		}, first.name, 8},
		"an object's last line is dropped": {func(l *Log) {
			lines(l, first.object(4), func(all [][]byte) [][]byte { return all[:3] })
		}, first.name, 4},
		"two objects change places": {func(l *Log) {
			a, b := l.holds(t, first.object(4)), l.holds(t, first.object(8))
			l.puts(t, first.object(4), b)
			l.puts(t, first.object(8), a)
		}, first.name, 4},
		"an object is there twice": {func(l *Log) { l.puts(t, second.object(12), l.holds(t, second.object(8))) }, second.name, 12},
		"another writer's object":  {func(l *Log) { l.puts(t, second.object(4), l.holds(t, first.object(4))) }, second.name, 4},
		"another writer's chain": {func(l *Log) {
			for n := int64(0); n < 12; n += 4 {
				l.puts(t, second.object(n), l.holds(t, first.object(n)))
			}
		}, second.name, 0},
		"a chain of another log": {func(l *Log) {
			m := foreign.macs()
			replace(l, rewritten(t, original, foreign.writerOf(second.name, m), m, foreign.writers, 4, 4, 4))
		}, second.name, 0},
		"signed again with another key": {func(l *Log) {
			replace(l, rewritten(t, original, behind(l, second, 1), keys.macs(), foreign.writers, 4))
		}, second.name, 4},
		"signed by the notary's key": {func(l *Log) {
			replace(l, rewritten(t, original, behind(l, second, 1), keys.macs(), keys.notary, 4))
		}, second.name, 4},
		"a fork, by who has the keys": {func(l *Log) {
			replace(l, rewritten(t, original, behind(l, second, 2), keys.macs(), keys.writers, 4))
		}, second.name, 8},
		"a fork from the beginning": {func(l *Log) {
			replace(l, rewritten(t, original, behind(l, second, 0), keys.macs(), keys.writers, 4, 4, 4))
		}, second.name, 0},
		"a fork in other parts": {func(l *Log) {
			l.drops(t, second.object(8))
			replace(l, rewritten(t, original, behind(l, second, 1), keys.macs(), keys.writers, 7, 9))
		}, second.name, 0},
		"behind a writer's end": {func(l *Log) { l.puts(t, first.object(13), l.holds(t, second.object(8))) }, first.name, 12},
		"a writer's end made a beginning": {func(l *Log) {
			replace(l, rewritten(t, original, behind(l, first, 3), keys.macs(), keys.writers, 4))
		}, first.name, 12},
		"a stranger among the objects": {func(l *Log) { l.puts(t, second.folder+"stranger", nil) }, second.name, 12},
		"a stranger among the writers": {func(l *Log) { l.puts(t, writersFolder+"stranger/000000000000.log", nil) }, "", 0},
		"an object without its note": {func(l *Log) {
			text, _, _ := bytes.Cut(l.holds(t, second.object(4)), []byte(separator))
			l.puts(t, second.object(4), text)
		}, second.name, 4},
		"an empty object":                    {func(l *Log) { l.puts(t, second.object(12), nil) }, second.name, 12},
		"the notary's first object is gone":  {func(l *Log) { l.drops(t, headsFolder+"000000000000.log") }, notaryName, 0},
		"the notary's second object changed": {func(l *Log) { l.puts(t, headsFolder+"000000000002.log", []byte("x")) }, notaryName, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := original.copied(t).process(t)
			if n, err := l.Verify(t.Context()); n != 24 || err != nil {
				t.Fatalf("before: %d entries, %v", n, err)
			}
			tt.tamper(l)
			var bad *audit.BadEntry
			_, err := l.Verify(t.Context())
			if !errors.As(err, &bad) || bad.Writer != tt.writer || bad.Index != tt.entry {
				t.Errorf("Verify: %v; want entry %d of %q", err, tt.entry, tt.writer)
			}
		})
	}
}

// Any bit of an object that is changed is found, in its line or behind all of them.
func TestAnyBitIsFound(t *testing.T) {
	w, first, _ := told(t, gcstest.Start(t))
	l := w.process(t)
	good := l.holds(t, first.object(4))
	m := l.keys.macs()
	begin := l.keys.writerOf(first.name, m)
	if err := begin.take(m, l.holds(t, first.object(0)), blind); err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(good, []byte(separator))
	r := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		at := r.IntN(len(good))
		changed := bytes.Clone(good)
		changed[at] ^= 1 << r.IntN(8)
		want := int64(4)
		if at < end {
			want += int64(bytes.Count(good[:at], []byte("\n")))
		}
		was := begin
		err := was.take(m, changed, blind)
		var bad *audit.BadEntry
		if !errors.As(err, &bad) || !was.head.Is(begin.head) {
			t.Fatalf("with byte %d changed: %v", at, err)
		}
		// A line's end that is gone makes one line of two; the separator's, a line of the note.
		if near := good[at] == '\n' || at >= end-1 && at < end+len(separator); bad.Index != want && !near {
			t.Fatalf("with byte %d changed: entry %d, want %d", at, bad.Index, want)
		}
	}
}

// What has been kept for its time may go; nothing before that.
func TestWhatHasServedItsTimeIsNotMissed(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	now := noon()
	w.now = func() time.Time { return now }
	l, n := w.process(t), w.notary(t)
	l.flushed(t, 2)
	n.signed(t)
	l.flushed(t, 2)
	n.signed(t)
	now = now.Add(kept)
	l.flushed(t, 2) // of another chain by now
	n.signed(t)
	l.drops(t, headsFolder+"000000000000.log", l.all(t, writersFolder)[0])
	var bad *audit.BadEntry
	if _, err := l.Verify(t.Context()); !errors.As(err, &bad) || bad.Index != 0 {
		t.Errorf("a moment before it may go: %v", err)
	}
	now = now.Add(time.Second)
	if entries, err := l.Verify(t.Context()); err != nil || entries != 2 {
		t.Errorf("%d entries, %v", entries, err)
	}
	l.drops(t, headsFolder+"000000000001.log")
	if _, err := l.Verify(t.Context()); !errors.As(err, &bad) || bad.Writer != notaryName {
		t.Errorf("without one that was to stay: %v", err)
	}
}

// A chain is read ahead: verifying takes as long as the slowest of some requests, not as all
// of them.
func TestAChainIsReadAhead(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	l := w.process(t)
	const objects = 64
	for range objects {
		l.flushed(t, 1)
	}
	const latency = 25 * time.Millisecond
	d.stands(func(_ http.ResponseWriter, _ *http.Request, call string) bool {
		if call == "read" {
			time.Sleep(latency)
		}
		return false
	})
	began := time.Now()
	if n, err := l.Verify(t.Context()); err != nil || n != objects {
		t.Errorf("%d entries, %v", n, err)
	}
	if took := time.Since(began); took > objects*latency/2 {
		t.Errorf("%d objects that take %v each took %v", objects, latency, took)
	}
}

// Several that are wrong are all told of, the first writer's first.
func TestAllFindingsAreTold(t *testing.T) {
	w, first, second := told(t, gcstest.Start(t))
	l := w.process(t)
	l.drops(t, first.object(4), second.object(8))
	_, err := l.Verify(t.Context())
	for _, l := range []link{first, second} {
		if err == nil || !strings.Contains(err.Error(), l.name) {
			t.Errorf("%v tells nothing of %s", err, l.name)
		}
	}
}

func FuzzObject(f *testing.F) {
	k, err := derive([]byte(strings.Repeat("secret ", 5)))
	if err != nil {
		f.Fatal(err)
	}
	m := k.macs()
	begin := k.writerOf("20261120T120000Z-0123456789abcdef", m)
	next := begin.head.Clone()
	var lines bytes.Buffer
	for i := range int64(2) {
		if err := next.Add(m, &lines, m.Entry(read("x"), i, noon())); err != nil {
			f.Fatal(err)
		}
	}
	good, err := seal(lines.Bytes(), next, begin.name, false, k.writers.Signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(separator))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		taken, resumed := begin, begin
		if err := taken.take(m, data, blind); err == nil && !bytes.Equal(data, good) {
			t.Error("another object is taken")
		}
		if err := resumed.resume(0, data, blind); err == nil && !bytes.Equal(data, good) {
			t.Error("another object is gone on behind")
		}
	})
}
