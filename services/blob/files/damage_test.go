package files

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
)

// furnish makes a closed store of several segments, with deletions, and returns
// what it holds.
func furnish(t *testing.T) (*memoryDir, map[string][]byte) {
	t.Helper()
	dir := newMemoryDir()
	l, err := openLog(dir, fixedNow, worldSegment)
	if err != nil {
		t.Fatal(err)
	}
	holds := map[string][]byte{}
	for i := range 16 {
		data := bytes.Repeat([]byte{byte(i)}, 150+10*i)
		ops := []*operation{putOp(fmt.Sprintf("kept/%02d", i), data), putOp(fmt.Sprintf("gone/%02d", i), data[:50])}
		if gone := fmt.Sprintf("gone/%02d", i-1); i > 0 {
			former, _ := l.lookup(gone)
			ops = append(ops, &operation{verb: verbDelete, name: gone, generation: former.created})
		}
		for _, err := range l.commit(ops) {
			if err != nil {
				t.Fatal(err)
			}
		}
		holds[fmt.Sprintf("kept/%02d", i)] = data
	}
	holds["gone/15"] = holds["kept/15"][:50]
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	return dir, holds
}

func (d *memoryDir) clone() *memoryDir {
	c := newMemoryDir()
	for name, f := range d.names {
		c.names[name] = &memoryFile{data: slices.Clone(f.data), disk: slices.Clone(f.data), dirty: map[int]bool{}}
		c.durable[name] = c.names[name]
	}
	return c
}

// damaged lists the names that are ErrCorrupt; any other deviation fails the test.
func damaged(t *testing.T, l *log, holds map[string][]byte, where string) []string {
	t.Helper()
	var bad []string
	for name, want := range holds {
		e, found := l.lookup(name)
		if !found {
			t.Fatalf("%s: %s is lost", where, name)
		}
		got, err := l.read(e)
		switch {
		case errors.Is(err, blob.ErrCorrupt):
			bad = append(bad, name)
		case err != nil:
			t.Fatalf("%s: %s: %v", where, name, err)
		case !bytes.Equal(got, want):
			t.Fatalf("%s: %s comes back damaged", where, name)
		}
	}
	for _, e := range l.list("", "", 100) {
		if holds[e.name] == nil {
			t.Fatalf("%s: %s is back from the dead", where, e.name)
		}
	}
	return bad
}

func TestOneBitFlippedAnywhereCostsOneObjectAtMost(t *testing.T) {
	dir, holds := furnish(t)
	if len(dir.names) < 3 {
		t.Fatalf("only %d segments", len(dir.names))
	}
	var corrupt, harmless int
	for name, f := range dir.names {
		for at := range f.data {
			where := fmt.Sprintf("bit flipped in byte %d of %s", at, name)
			d := dir.clone()
			d.names[name].data[at] ^= 1 << (at % 8)
			l, err := openLog(d, fixedNow, worldSegment)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			bad := damaged(t, l, holds, where)
			if len(bad) > 1 {
				t.Fatalf("%s: %v are damaged", where, bad)
			}
			if len(bad) == 0 {
				harmless++
				continue
			}
			corrupt++
			if at%7 == 0 { // slower: copy the segment, and the damage stays known
				compactAll(t, l)
				if again := damaged(t, l, holds, where+", compacted"); !slices.Equal(again, bad) {
					t.Fatalf("%s: %v were damaged, after a compaction %v", where, bad, again)
				}
			}
		}
	}
	if corrupt == 0 || harmless == 0 {
		t.Errorf("%d flips damaged an object, %d did not: this test proves nothing", corrupt, harmless)
	}
}

// compactAll copies every segment that can be copied.
func compactAll(t *testing.T, l *log) {
	t.Helper()
	for id := uint32(1); id <= 32; id++ {
		if s := l.segments[id]; s == nil || l.active != nil && s == l.active.segment {
			continue
		}
		if err := l.commit([]*operation{{verb: verbCompact, segment: id}})[0]; err != nil {
			t.Fatalf("compact %d: %v", id, err)
		}
	}
}

func TestASegmentCutAnywhereLosesOnlyTheGroupThatWasCut(t *testing.T) {
	dir := newMemoryDir()
	l, err := openLog(dir, fixedNow, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	holds := map[string][]byte{}
	sizes := []int64{0}
	for i := range 5 {
		name, data := fmt.Sprint("o", i), bytes.Repeat([]byte{byte(i)}, 100)
		if err := l.commit([]*operation{putOp(name, data)})[0]; err != nil {
			t.Fatal(err)
		}
		holds[name] = data
		sizes = append(sizes, l.active.size)
	}
	for cut := range l.active.size {
		d := dir.clone()
		d.names[segmentName(1)].data = d.names[segmentName(1)].data[:cut]
		l, err := openLog(d, fixedNow, 1<<20)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for i := range 5 {
			e, found := l.lookup(fmt.Sprint("o", i))
			if want := cut >= sizes[i+1]; found != want {
				t.Fatalf("cut at %d: object %d, which ends at %d, is found: %v", cut, i, sizes[i+1], found)
			}
			if !found {
				continue
			}
			if _, err := l.read(e); err != nil {
				t.Fatalf("cut at %d: object %d: %v", cut, i, err)
			}
		}
		if err := l.commit([]*operation{putOp("new", []byte("x"))})[0]; err != nil {
			t.Fatalf("cut at %d: put: %v", cut, err)
		}
	}
}

// FuzzOpen opens a store of arbitrary bytes: it must neither panic nor return
// bytes that do not match their CRC, and must take new objects.
func FuzzOpen(f *testing.F) {
	dir := newMemoryDir()
	l, err := openLog(dir, fixedNow, worldSegment)
	if err != nil {
		f.Fatal(err)
	}
	l.commit([]*operation{putOp("a", []byte("first")), putOp("b", []byte("second")), eraseOp("a")})
	f.Add(slices.Clone(dir.names[segmentName(1)].data), []byte{})
	f.Add(slices.Clone(dir.names[segmentName(1)].data), slices.Clone(dir.names[segmentName(1)].data))
	f.Add([]byte{}, []byte("CLG1"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		d := newMemoryDir()
		for i, data := range [][]byte{first, second} {
			d.names[segmentName(uint32(i+1))] = &memoryFile{data: slices.Clone(data), dirty: map[int]bool{}}
		}
		l, err := openLog(d, fixedNow, worldSegment)
		if isNewer(err) {
			return
		}
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		for _, e := range l.list("", "", 1000) {
			if _, err := l.read(e); err != nil && !errors.Is(err, blob.ErrCorrupt) {
				t.Fatalf("read: %v", err)
			}
		}
		if _, taken := l.lookup("fresh/name"); taken {
			return
		}
		if err := l.commit([]*operation{putOp("fresh/name", []byte("x"))})[0]; err != nil {
			t.Fatalf("put: %v", err)
		}
		if e, found := l.lookup("fresh/name"); !found {
			t.Fatal("what was put is not found")
		} else if got, err := l.read(e); err != nil || string(got) != "x" {
			t.Fatalf("what was put comes back as %q, %v", got, err)
		}
	})
}
