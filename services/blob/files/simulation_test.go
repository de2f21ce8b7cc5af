package files

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
)

// absent is the state of a name without an object; objects are never empty here.
const absent = ""

// A world is a log on a memoryDir, and what each name may hold.
type world struct {
	r     *rand.Rand
	dir   *memoryDir
	log   *log
	model map[string]map[string]bool
	made  int
}

var worldNames = []string{"a", "b", "c", "d/e", "d/f", "d/g", "h", "i", "j"}

const worldSegment = 2 << 10

func fixedNow() time.Time { return time.Unix(1_700_000_000, 0) }

// simulate runs a store through crashes, restarts and failures of the disk, and
// returns what it got wrong.
func simulate(seed uint64, ignored ...string) error {
	w := &world{r: rand.New(rand.NewPCG(seed, 1)), dir: newMemoryDir(), model: map[string]map[string]bool{}}
	for _, call := range ignored {
		w.dir.ignored[call] = true
	}
	for _, name := range worldNames {
		w.model[name] = map[string]bool{absent: true}
	}
	for life := range 8 {
		if w.r.IntN(4) == 0 { // the machine may go off while the store is opened, too
			w.dir.dieAt = 1 + w.r.IntN(6)
		}
		l, err := openLog(w.dir, fixedNow, worldSegment)
		for ; err != nil; l, err = openLog(w.dir, fixedNow, worldSegment) {
			if !errors.Is(err, errDead) {
				return fmt.Errorf("life %d: open: %w", life, err)
			}
			w.dir = w.dir.crash(w.r)
		}
		w.log = l
		if err := w.check(true); err != nil {
			return fmt.Errorf("life %d: after opening: %w", life, err)
		}
		if err := w.live(); err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		if w.r.IntN(3) == 0 {
			w.dir.restart()
		} else {
			w.dir = w.dir.crash(w.r)
		}
	}
	return nil
}

// live writes until the machine goes off.
func (w *world) live() error {
	w.dir.calls, w.dir.dieAt = 0, 1+w.r.IntN(80)
	if w.r.IntN(2) == 0 {
		w.dir.fault = func(call, _ string) error {
			if w.r.IntN(12) > 0 {
				return nil
			}
			return map[string]error{"sync": syscall.EIO, "write": syscall.ENOSPC}[call]
		}
	}
	for !w.dir.dead() {
		ops := make([]*operation, 1+w.r.IntN(5))
		used := map[string]bool{}
		for i := range ops {
			ops[i] = w.operation(used)
		}
		errs := w.log.commit(ops)
		for i, op := range ops {
			if err := w.learn(op, errs[i]); err != nil {
				return err
			}
		}
		if err := w.check(false); err != nil {
			return err
		}
		for id, due := w.log.due(); due; id, due = w.log.due() {
			if err := w.log.commit([]*operation{{verb: verbCompact, segment: id}})[0]; err != nil {
				w.log.leaveAlone(id)
			}
			if err := w.check(false); err != nil {
				return fmt.Errorf("after a compaction: %w", err)
			}
		}
	}
	return nil
}

// operation is one of a group. What goes by a generation is the first of its name
// in the group, so that it is known what it means.
func (w *world) operation(used map[string]bool) *operation {
	name := worldNames[w.r.IntN(len(worldNames))]
	first := !used[name]
	used[name] = true
	seen, _ := w.log.lookup(name)
	switch n := w.r.IntN(10); {
	case n < 2 && first:
		return &operation{verb: verbDelete, name: name, generation: seen.created}
	case n < 4 && first:
		return &operation{verb: verbRenew, name: name}
	case n < 5:
		return eraseOp(name)
	}
	w.made++
	data := []byte(fmt.Sprintf("object %d ", w.made) + strings.Repeat(".", w.r.IntN(300)))
	return &operation{verb: verbPut, name: name, data: data, crc: crc32.Checksum(data, castagnoli)}
}

// learn narrows what the name may hold by an operation's outcome, or widens it
// where the outcome is unknown.
func (w *world) learn(op *operation, err error) error {
	may := w.model[op.name]
	switch {
	case op.verb == verbDelete && op.generation == 0:
	case op.verb == verbRenew:
		if errors.Is(err, blob.ErrNotFound) && !may[absent] {
			return fmt.Errorf("%s is said not to be there, and is", op.name)
		}
	case op.verb != verbPut && err == nil:
		w.model[op.name] = map[string]bool{absent: true}
	case op.verb != verbPut:
		may[absent] = true
	case err == nil:
		if !may[absent] {
			return fmt.Errorf("%s was put twice", op.name)
		}
		w.model[op.name] = map[string]bool{string(op.data): true}
	case errors.Is(err, blob.ErrExists):
		delete(may, absent)
		if len(may) == 0 {
			return fmt.Errorf("%s is said to exist, and does not", op.name)
		}
	case may[absent]:
		may[string(op.data)] = true
	}
	return nil
}

// check reads every name. What is read just after opening is settled: it may not
// change until something is written.
func (w *world) check(settled bool) error {
	for name, may := range w.model {
		got := absent
		if e, found := w.log.lookup(name); found {
			data, err := w.log.read(e)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			got = string(data)
		}
		if !may[got] {
			return fmt.Errorf("%s holds %.12q, may hold one of %.40q", name, got, slices.Collect(maps.Keys(may)))
		}
		if settled {
			w.model[name] = map[string]bool{got: true}
		}
	}
	return nil
}

func TestNoCrashLosesWhatWasAcknowledged(t *testing.T) {
	start, seed := time.Now(), uint64(0)
	for ; seed < 200 || seed < 3000 && !testing.Short() && time.Since(start) < 8*time.Second; seed++ {
		if err := simulate(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	t.Logf("%d seeds", seed)
}

// Were one of these syncs left out of the store, the test above would fail: here
// the disk leaves them out, and it does.
func TestTheSimulationNoticesAMissingSync(t *testing.T) {
	for _, call := range []string{"sync", "syncdir"} {
		t.Run(call, func(t *testing.T) {
			for seed := range uint64(3000) {
				if err := simulate(seed, call); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("no seed notices")
		})
	}
}
