package sim_test

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/timeline"
)

// An outcome is what a seed came to.
type outcome struct {
	seed   uint64
	faults []string
	sum    uint64
	steps  int
}

// runSeed runs a seed; tell, where there is one, is told of each step.
func runSeed(t *testing.T, seed uint64, doors []*door, tell func(string)) (o outcome) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed) // what is swept comes in the order of names, which end at random
	between(t)
	synctest.Test(t, func(*testing.T) {
		w := newWorld(seed, doors)
		w.loom.tell = tell
		o = outcome{seed, w.run(), w.loom.sum.Sum64(), 0}
		o.steps = w.loom.steps
	})
	return o
}

// between is what is done between two runs. The coders of chunks wait in pools, and
// have channels, which belong to the run they were made in. The second collection takes
// what the first has left to be found once more; then one of each is made here, so that
// a run finds it, and nothing is collected while a run is on.
func between(t *testing.T) {
	t.Helper()
	runtime.GC()
	runtime.GC()
	chunk := timeline.Chunk{Day: 1, Samples: []health.Sample{{Type: "a", Zone: "UTC"}}}
	data, _, err := timeline.Encode(chunk)
	if err == nil {
		_, err = timeline.Decode(data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// number is that of an environment variable.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// fewSeeds are run with all other tests; `make sim` runs more.
const fewSeeds = 12

// TestSeeds runs SEEDS seeds from FROM on, and stops at the first that fails (or
// after so many as FAILURES says), of which it prints what went wrong.
func TestSeeds(t *testing.T) {
	from, n := number(t, "FROM", 1_000), number(t, "SEEDS", fewSeeds)
	doors := newDoors(t)
	most, failed := number(t, "FAILURES", 1), uint64(0)
	began, steps := time.Now(), 0
	for seed := from; seed < from+n; seed++ {
		if (seed-from)%500 == 499 {
			doors = newDoors(t)
		}
		o := runSeed(t, seed, doors, nil)
		steps += o.steps
		if len(o.faults) > 0 {
			report(t, o)
			if failed++; failed >= most {
				break
			}
		}
	}
	took := time.Since(began)
	t.Logf("%d seeds, %d steps, %.1f seeds/s", n, steps, float64(n)/took.Seconds())
}

func report(t *testing.T, o outcome) {
	t.Helper()
	t.Errorf("seed %d fails after %d steps; run it again with its trace: make sim SEED=%d", o.seed, o.steps, o.seed)
	for _, f := range o.faults[:min(len(o.faults), 12)] {
		t.Errorf("  %s", f)
	}
}

// regressions are seeds that failed, and what was wrong. What a seed does changes
// with the code: each of these faults has a test of its own in its room, too.
func regressions() map[uint64]string {
	return map[uint64]string{
		2:     "of two deliveries the one wrote an insight and died, the other found it written: nobody was told",
		4:     "a result of tomorrow was stored by a delivery that died, and nobody was told",
		8:     "a result became ready while there was no consent, and was never put into words",
		13:    "a result of tomorrow, by another process's clock, was never brought up to date",
		16:    "of two deliveries the one withdrew an insight and died: nobody was told",
		41:    "who was erased and came back was told from the fifth event on, by a process that remembered four",
		42:    "an outage under clocks that differ: each look asked again at once, and messages grew without end",
		57:    "a slow turn wrote results of older days over newer ones",
		113:   "who took up what was held put an upload on the agenda that was merged meanwhile: it was asked for each hour, for ever",
		87:    "a held upload that was asked for as its person agreed was asked for each hour when they no longer did, and by that kept an object that nobody refers to",
		99:    "of two deliveries the one wrote an insight and could not audit it, the other found none and ended without consent: nobody was told",
		100:   "of two deliveries the one withdrew a result and died: nobody was told, and its insight stayed",
		2106:  "of two deliveries the one found no consent and settled the message, the other, slow, wrote an insight that it could not tell of: nobody was told",
		10846: "a sample that no number is made of came into a window of days without any that one is: nobody asked for the result that was made of such",
		13191: "another writer of the simulator came before one who was too late for a day, and rewrote it: nobody was left to tell the digest",
		15127: "who came back at one process was refused by another, which remembered that they were erased",
		554:   "a result was stored by a process that died, whose clock was behind who asked for it: nobody was told",
		667:   "a result of tomorrow was stored by who was slow, of days that came since, and who was asked next found it current: nobody was told",
	}
}

func TestRegressions(t *testing.T) {
	doors := newDoors(t)
	for _, seed := range slices.Sorted(maps.Keys(regressions())) {
		if o := runSeed(t, seed, doors, nil); len(o.faults) > 0 {
			t.Errorf("it was: %s", regressions()[seed])
			report(t, o)
		}
	}
}

// TestMain has one goroutine run at a time: those of one process that work beside each
// other would draw the names of their objects in another order each time.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30) // more than a run makes
	m.Run()
}

// TestSeed runs the one seed SEED, and prints its trace.
func TestSeed(t *testing.T) {
	if os.Getenv("SEED") == "" {
		t.Skip("SEED names none")
	}
	o := runSeed(t, number(t, "SEED", 0), newDoors(t), func(line string) { fmt.Println(line) })
	if len(o.faults) > 0 {
		report(t, o)
	}
}

// TestASeedIsARun has a run be the same run again, and another seed another.
func TestASeedIsARun(t *testing.T) {
	if raced {
		t.Skip("the race detector has goroutines run in an order of its own; make sim runs this without it")
	}
	sums := map[uint64]bool{}
	for seed := range uint64(4) {
		first, again := runSeed(t, 100+seed, newDoors(t), nil), runSeed(t, 100+seed, newDoors(t), nil)
		if first.sum != again.sum || first.steps != again.steps {
			t.Errorf("seed %d: %x after %d steps, and %x after %d", 100+seed, first.sum, first.steps, again.sum, again.steps)
		}
		sums[first.sum] = true
	}
	if len(sums) != 4 {
		t.Errorf("%d of 4 seeds are runs of their own", len(sums))
	}
}
