package files

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
)

func isNewer(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Class == fault.Newer
}

// A segment of a later release is neither read nor cut nor removed, wherever it
// stands among ours: the store is refused.
func TestASegmentOfALaterFormatIsLeftAsItIs(t *testing.T) {
	for name, content := range map[string][]byte{
		"noise behind its magic": append([]byte("CLG2"), bytes.Repeat([]byte("noise"), 1000)...),
		"the magic alone":        []byte("CLG2"),
		"a far later one":        append([]byte("CLG9"), make([]byte, 4096)...),
	} {
		for _, id := range []uint32{1, 200} {
			dir, _ := furnish(t)
			dir.names[segmentName(id)] = &memoryFile{data: slices.Clone(content), dirty: map[int]bool{}}
			before := slices.Sorted(maps.Keys(dir.names))
			if _, err := openLog(dir, fixedNow, worldSegment); !isNewer(err) || !strings.Contains(err.Error(), segmentName(id)+" was written by a newer program") {
				t.Errorf("%s in segment %d: %v", name, id, err)
			}
			if after := slices.Sorted(maps.Keys(dir.names)); !slices.Equal(before, after) || !bytes.Equal(dir.names[segmentName(id)].data, content) {
				t.Errorf("%s in segment %d: it was changed, or %v became %v", name, id, before, after)
			}
		}
	}
}

// What is cut off a tail can be told.
func TestACutIsTold(t *testing.T) {
	dir := newMemoryDir()
	l, err := openLog(dir, fixedNow, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.commit([]*operation{putOp("a", []byte("first"))})[0]; err != nil {
		t.Fatal(err)
	}
	whole := l.active.size
	f := dir.names[segmentName(1)]
	f.data = append(f.data, "half a record"...)
	if l, err = openLog(dir, fixedNow, 1<<20); err != nil {
		t.Fatal(err)
	}
	if want := []Cut{{segmentName(1), int64(len("half a record")), whole}}; !slices.Equal(l.cuts, want) {
		t.Errorf("cut: %+v, want %+v", l.cuts, want)
	}
	if l, err = openLog(dir, fixedNow, 1<<20); err != nil || len(l.cuts) > 0 {
		t.Errorf("opened again: %+v, %v", l.cuts, err)
	}
}
