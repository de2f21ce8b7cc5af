package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/audittest"
)

// smallSegments is a limit that a few entries reach.
const smallSegments = 1000

// inSegments makes a log of n entries in small segments.
func inSegments(t testing.TB, dir string, n int, object string) []segment {
	t.Helper()
	l, err := openIn(dir, noon, smallSegments)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := l.Append(ctx, audit.Event{Action: audit.DataRead, UID: "anna", Object: fmt.Sprint(object, i), Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := segmentsOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestContractInSegments(t *testing.T) {
	audittest.Run(t, func(t *testing.T) func() audittest.Log {
		dir := t.TempDir()
		return func() audittest.Log {
			l, err := openIn(dir, noon, smallSegments)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
	})
}

// A log of the release before, in one part, goes on in segments; of each that is
// full two checkpoints are left, and a copy has all of them.
func TestALogGoesOnInSegments(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	filled(t, dir, 10, "before-")
	before, err := os.ReadFile(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := inSegments(t, dir, 25, "o")
	if len(all) < 5 || all[1] != 10 {
		t.Fatalf("segments begin at %d", all)
	}
	if now, err := os.ReadFile(filepath.Join(dir, "log.jsonl")); err != nil || !bytes.Equal(now, before) {
		t.Errorf("what was there has changed: %v", err)
	}
	for i, s := range all[:len(all)-1] {
		signed, err := os.ReadFile(filepath.Join(dir, s.checkpoints()))
		if got := strings.Count(string(signed), separator); err != nil || got != min(i, 1)+1 {
			t.Errorf("%s has %d checkpoints, %v", s.checkpoints(), got, err)
		}
	}
	if err := Copy(dir, copied); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, copied} {
		if n, err := Verify(ctx, d); n != 35 || err != nil {
			t.Errorf("%d entries, %v", n, err)
		}
	}
}

// Opening reads the newest segment alone, as its size says; what is wrong with
// another, Verify says.
func TestOpeningReadsTheNewestSegment(t *testing.T) {
	dir := t.TempDir()
	all := inSegments(t, dir, 30, "o")
	path := filepath.Join(dir, all[1].log())
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	inSegments(t, dir, 3, "later")
	var bad *audit.BadEntry
	if _, err := Verify(ctx, dir); !errors.As(err, &bad) || bad.Index != int64(all[1]) {
		t.Errorf("Verify: %v, want entry %d named", err, all[1])
	}
}

func TestTamperingWithSegmentsIsFound(t *testing.T) {
	remove := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	dir, other := t.TempDir(), t.TempDir()
	filled(t, dir, 1, "common")
	if err := os.CopyFS(filepath.Join(other, "log"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	other = filepath.Join(other, "log")
	all, forked := inSegments(t, dir, 30, "left"), inSegments(t, other, 30, "line")
	second, third, last := all[1], all[2], all[len(all)-1]
	if forked[1] != second || forked[2] != third {
		t.Fatalf("segments begin at %d and %d", all, forked)
	}
	swap := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				b, err := os.ReadFile(filepath.Join(other, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		tamper func(t *testing.T, dir string)
		want   int64
	}{
		"a whole segment is missing":            {remove(second.log(), second.checkpoints()), int64(second)},
		"the lines of one are missing":          {remove(second.log()), int64(second)},
		"the lines of the newest are missing":   {remove(last.log()), int64(last)},
		"the checkpoints of one are missing":    {remove(second.checkpoints()), int64(second)},
		"a segment is of another history":       {swap(second.log(), second.checkpoints()), int64(second)},
		"the lines of one are of another":       {swap(second.log()), int64(second)},
		"the checkpoints of one are of another": {swap(second.checkpoints()), int64(second)},
		"all but the first are of another":      {swap(append(files(forked[1:]), "keys.json")...), int64(second)},
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "log")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			tt.tamper(t, copied)
			var bad *audit.BadEntry
			if _, err := Verify(ctx, copied); !errors.As(err, &bad) || bad.Index != tt.want {
				t.Errorf("Verify: %v, want entry %d named", err, tt.want)
			}
		})
	}
}

func files(all []segment) (names []string) {
	for _, s := range all {
		names = append(names, s.log(), s.checkpoints())
	}
	return names
}

// The first checkpoint of the newest segment is what opening trusts: any bit of it
// that is changed is found (every seventh is tried).
func TestAChangedBeginningIsFound(t *testing.T) {
	dir := t.TempDir()
	all := inSegments(t, dir, 12, "o")
	path := filepath.Join(dir, all[len(all)-1].checkpoints())
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 8*(bytes.Index(good, []byte(separator))+1); i += 7 {
		changed := bytes.Clone(good)
		changed[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		var bad *audit.BadEntry
		if _, err := Open(dir, noon); !errors.As(err, &bad) {
			t.Fatalf("Open with byte %d changed: %v", i/8, err)
		}
	}
}

// A crash while a segment is made leaves its lines' file, or both: the log goes on.
func TestACrashWhileASegmentIsMade(t *testing.T) {
	dir := t.TempDir()
	l, err := openIn(dir, noon, smallSegments)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for l.good < smallSegments {
		if err := l.Append(ctx, audit.Event{Action: audit.DataRead, Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	begin, err := signBase(l.head, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	next := segment(n)
	for _, made := range []struct {
		name string
		data []byte
	}{{next.log(), nil}, {next.checkpoints(), begin}} {
		if err := os.WriteFile(filepath.Join(dir, made.name), made.data, 0o600); err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "log")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		all := inSegments(t, copied, 2, "after")
		if got, err := Verify(ctx, copied); got != n+2 || err != nil || all[1] != next {
			t.Errorf("with %s: %d entries in segments at %d, %v; want %d", made.name, got, all, err, n+2)
		}
	}
}
