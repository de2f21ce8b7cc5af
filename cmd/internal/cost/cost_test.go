package cost_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/internal/logtest"
)

var update = flag.Bool("update", false, "write the golden file anew")

// most is what an hourly upload may cost, whatever the golden file says: what is
// asked of it where that is met, and else what it has come to.
var most = map[Kind]int{Read: 15, Write: 9, Put: 1, Get: 7, Message: 4}

// mostDollars is what a million of them may cost.
const mostDollars = 25

// Operations are golden: what a person does is counted in documents, objects and
// messages, over the whole platform and the drivers of a laptop. Where a figure
// has fallen, -update writes it down; where one rises, something that is billed by
// the call is done more often than it was.
func TestWhatPeopleDoCosts(t *testing.T) {
	var report strings.Builder
	w := newWorld(t)
	row := func(what string, c Counts, of int) {
		fmt.Fprintf(&report, "%s\n%s", what, c)
		if of == 1 {
			fmt.Fprintf(&report, "  $%.2f a million, $%.2f million a year of %d million people\n\n", c.PerMillion(), c.PerYear()/1e6, People/1_000_000)
			return
		}
		fmt.Fprintf(&report, "  $%.4f in all\n\n", c.Dollars())
	}

	w.agree("anna")
	w.upload("anna", w.history(40, 13, measured()...))
	w.restart()
	w.now.advance(time.Hour)
	hourly := w.hour()
	cold := w.cost(func() { w.put("anna", hourly) })
	row("an hourly upload, of somebody whom the process has not seen", cold, 1)
	row("the same once more", w.cost(func() { w.put("anna", hourly) }), 1)
	w.now.advance(time.Hour)
	next := w.hour()
	warm := w.cost(func() { w.put("anna", next) })
	row("an hourly upload, of somebody whom it has seen an hour ago", warm, 1)
	row("the same samples in another upload", w.cost(func() { w.put("anna", next.again(1)) }), 1)
	row("an hour of what no metric reads", w.cost(func() { w.put("anna", w.hour(water)) }), 1)

	w.agree("bob")
	w.upload("bob", w.history(3*365, 1, steps))
	deleted := w.deletion(200)
	row("a deletion, with three years of history", w.cost(func() { w.put("bob", deleted) }), 1)

	w.agree("cleo")
	row("an import of five years", w.cost(func() { w.upload("cleo", w.history(5*365, 1, measured()...)) }), 0)

	for kind, bound := range most {
		if n := max(cold.Sum(kind), warm.Sum(kind)); n > bound {
			t.Errorf("an hourly upload is %d of %s, at most %d are asked", n, kind, bound)
		}
	}
	if dollars := max(cold.PerMillion(), warm.PerMillion()); dollars > mostDollars {
		t.Errorf("a million hourly uploads are $%.2f, at most $%d are asked", dollars, mostDollars)
	}
	compare(t, "operations.txt", report.String())
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("what it costs (-golden +now):\n%s", diff)
	}
}

// cost is what is counted while act runs and until all of it is done, a while
// after whatever was before.
func (w *world) cost(act func()) Counts {
	w.t.Helper()
	w.now.advance(time.Minute)
	w.meter.Take()
	act()
	w.settle()
	return w.meter.Take()
}

func (w *world) agree(uid string) {
	w.t.Helper()
	w.must(w.client(uid).Send(w.t.Context(), http.MethodPut, "/v1/consents/processing", map[string]any{"granted": true, "version": "test/1"}, nil))
}

// put sends one upload.
func (w *world) put(uid string, b body) {
	w.t.Helper()
	u, err := phone.Pack(b.encode(w.t), len(b.Samples), len(b.Deleted))
	w.must(err)
	receipt, err := w.client(uid).Put(w.t.Context(), u)
	w.must(err)
	if receipt.Accepted != len(b.Samples)+len(b.Deleted) {
		w.t.Fatalf("accepted %d of %d: %v", receipt.Accepted, len(b.Samples)+len(b.Deleted), receipt.Rejected)
	}
}

// upload sends a history, each body once the one before is merged, and has all of
// it analysed together.
func (w *world) upload(uid string, bodies []body) {
	w.t.Helper()
	for _, b := range bodies {
		w.put(uid, b)
		w.until("merged", func() bool { return w.waiting() == 0 })
	}
	w.settle()
}

// settle lets time pass until nothing is unfinished.
func (w *world) settle() {
	w.t.Helper()
	w.until("everything is done", func() bool {
		if w.unfinished() > 0 {
			if w.waiting() == 0 {
				w.now.advance(quiet)
			}
			return false
		}
		return w.waiting() == 0
	})
}

func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			w.t.Fatalf("waiting until %s:\n%s", what, w.log.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

func logger(w *logtest.Log) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
