package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/audittest"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// filled is a closed log of n entries, a checkpoint after each.
func filled(t testing.TB, dir string, n int, object string) {
	t.Helper()
	l := open(t, dir)
	for i := range n {
		e := audit.Event{Action: audit.DataRead, UID: "anna", Object: fmt.Sprint(object, i), Outcome: "ok"}
		if err := l.Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	audittest.Run(t, func(t *testing.T) func() audittest.Log {
		dir := t.TempDir()
		return func() audittest.Log { return open(t, dir) }
	})
}

// Two that continue one log break it for good: the second is refused, by
// whichever path it comes, and changes nothing. Reading needs no lock.
func TestASecondOwnerIsRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	l, err := Open("audit", noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"audit", "./audit/../audit", filepath.Join(dir, "audit")} {
		var inUse *dirlock.InUseError
		if _, err := Open(path, noon); !errors.As(err, &inUse) || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("%s: %v, want an InUseError", path, err)
		}
	}
	if err := l.Append(t.Context(), audit.Event{Action: "consent.granted"}); err != nil {
		t.Fatal(err)
	}
	if n, err := Verify(t.Context(), filepath.Join(dir, "audit")); n != 1 || err != nil {
		t.Errorf("while it is open: %d entries, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(filepath.Join(dir, "audit"), noon)
	if err != nil {
		t.Fatalf("after the first has closed it: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// An Open that fails leaves no lock: what is wrong is told each time.
func TestAFailedOpenLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3, "o")
	if err := os.Remove(filepath.Join(dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(dir, noon); err == nil || !strings.Contains(err.Error(), "keys.json is missing") {
			t.Errorf("error %v", err)
		}
	}
}

// tampering changes the stored lines and says which entry is the first bad one.
type tampering func(r *rand.Rand, lines [][]byte) (changed [][]byte, bad int64)

func tamperings() map[string]tampering {
	return map[string]tampering{
		"one bit flipped": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			lines[i] = bytes.Clone(lines[i])
			at := r.IntN(len(lines[i]) - 1) // the line's end is another tampering
			lines[i][at] ^= 1 << r.IntN(8)
			return lines, int64(i)
		},
		"a line dropped": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			return append(append([][]byte{}, lines[:i]...), lines[i+1:]...), int64(i)
		},
		"two lines swapped": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines) - 1)
			j := i + 1 + r.IntN(len(lines)-i-1)
			lines = append([][]byte{}, lines...)
			lines[i], lines[j] = lines[j], lines[i]
			return lines, int64(i)
		},
		"the end cut off": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			return lines[:i], int64(i)
		},
		"a line repeated": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			return append(append([][]byte{}, lines[:i+1]...), lines[i:]...), int64(i) + 1
		},
		"a cut in the middle of a line": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			at := 1 + r.IntN(len(lines[i])-2)
			return append(append([][]byte{}, lines[:i]...), lines[i][:at]), int64(i)
		},
		"a line break made a blank": func(r *rand.Rand, lines [][]byte) ([][]byte, int64) {
			i := r.IntN(len(lines))
			lines = append([][]byte{}, lines...)
			lines[i] = append(bytes.Clone(lines[i][:len(lines[i])-1]), ' ')
			return lines, int64(i)
		},
	}
}

func TestTamperingIsFoundWhereItIs(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 40, "day-")
	path := filepath.Join(dir, "log.jsonl")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(original, nil), []byte("\n"))
	lines = lines[:len(lines)-1]
	rounds := 10_000 / len(tamperings())
	if testing.Short() {
		rounds /= 20
	}
	r := rand.New(rand.NewPCG(1, 2))
	verify := verifier(t, dir)
	for name, tamper := range tamperings() {
		t.Run(name, func(t *testing.T) {
			for range rounds {
				changed, want := tamper(r, append([][]byte{}, lines...))
				got := verify(bytes.Join(changed, nil))
				var bad *audit.BadEntry
				if !errors.As(got, &bad) || bad.Index != want {
					t.Fatalf("Verify: %v, want entry %d named", got, want)
				}
			}
		})
	}
}

// verifier holds other bytes against a log's keys and checkpoints, whose
// signatures it checks once, so that thousands of rounds are cheap. What it
// finds, opening such a log must find too.
func verifier(t testing.TB, dir string) func(log []byte) error {
	t.Helper()
	signed, err := os.Open(filepath.Join(dir, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { signed.Close() })
	info, err := signed.Stat()
	if err != nil {
		t.Fatal(err)
	}
	k, err := readKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVerification(k, signed, 0)
	if err != nil {
		t.Fatal(err)
	}
	var trees []tlog.Tree
	for next := v.trees(info.Size()); ; {
		tree, ok, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		trees = append(trees, tree)
	}
	last := trees[len(trees)-1]
	return func(log []byte) error {
		at := 0
		good, found := v.run(ctx, bytes.NewReader(log), func() (tree tlog.Tree, ok bool, err error) {
			if ok = at < len(trees); ok {
				tree, at = trees[at], at+1
			}
			return tree, ok, nil
		})
		quick, err := v.quick(bytes.NewReader(log), last)
		switch {
		case found == nil && (err != nil || !quick.Is(good.Head) || quick.bytes != good.bytes):
			t.Fatalf("Verify is content, opening is not: %v", err)
		case found != nil && good.Size < last.N && !errors.Is(err, errDiffers):
			t.Fatalf("Verify finds %v, opening %v", found, err)
		}
		return found
	}
}

func TestAForkIsFound(t *testing.T) {
	// Two histories with the same keys and a common beginning of 10 entries: an
	// old copy was restored and continued.
	first, second := t.TempDir(), t.TempDir()
	filled(t, first, 10, "common-")
	if err := os.CopyFS(filepath.Join(second, "log"), os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	second = filepath.Join(second, "log")
	filled(t, first, 5, "left-")
	filled(t, second, 5, "right-")
	log, err := os.ReadFile(filepath.Join(second, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var bad *audit.BadEntry
	if err := verifier(t, first)(log); !errors.As(err, &bad) || bad.Index != 10 {
		t.Errorf("Verify of a fork: %v, want entry 10 named", err)
	}
}

func TestCheckpointsOfAnotherKeyAreRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	filled(t, dir, 3, "a-")
	filled(t, other, 3, "a-")
	foreign, err := os.ReadFile(filepath.Join(other, "checkpoints"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "checkpoints"), foreign, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var bad *audit.BadEntry
	if _, err := Verify(ctx, dir); !errors.As(err, &bad) {
		t.Errorf("Verify: %v, want a bad entry", err)
	}
}

// A checkpoint with any bit changed is found. The last separator is spared:
// without it the last checkpoint counts as one that a crash cut short.
func TestAChangedCheckpointIsFound(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 1, "a-")
	path := filepath.Join(dir, "checkpoints")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * (len(good) - len(separator)) {
		at := i / 8
		changed := bytes.Clone(good)
		changed[at] ^= 1 << (i % 8)
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		var bad *audit.BadEntry
		if _, err := Verify(ctx, dir); !errors.As(err, &bad) || bad.Index > 0 {
			t.Fatalf("Verify with byte %d of the checkpoints changed: %v", at, err)
		}
	}
}

// What a loss of power has torn of lines that no checkpoint vouches for is no
// tampering, before the log is opened again, too; another line that does not follow is.
func TestTornLinesAreNotVouchedFor(t *testing.T) {
	for torn, want := range map[string]bool{
		"{\"index\":3,\"ti\x00\x00\x00\x00\":1}\n{\"index\":4}\n": true,
		string(make([]byte, 2*chain.MaxLine)) + "\n":              true,
		"{\"index\":3}\tabc\n":                                    false,
	} {
		dir := t.TempDir()
		filled(t, dir, 3, "a-")
		appendTo(t, filepath.Join(dir, "log.jsonl"), torn)
		n, err := Verify(ctx, dir)
		var bad *audit.BadEntry
		if want && (err != nil || n != 3) || !want && (!errors.As(err, &bad) || bad.Index != 3) {
			t.Errorf("%.20q: %d entries, %v", torn, n, err)
		}
	}
}

// Opening looks at the newest checkpoint alone; whatever is wrong with it or
// behind it, the full verification then says.
func TestOpenRefusesANewestCheckpointOfAnotherKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	filled(t, dir, 3, "a-")
	filled(t, other, 4, "a-")
	foreign, err := os.ReadFile(filepath.Join(other, "checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(foreign, []byte(separator))
	appendTo(t, filepath.Join(dir, "checkpoints"), string(all[3]))
	var bad *audit.BadEntry
	if _, err := Open(dir, noon); !errors.As(err, &bad) || bad.Index != 3 {
		t.Errorf("Open: %v, want entry 3 named", err)
	}
}

func TestVerifyStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3, "a-")
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Verify(gone, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify: %v, want that it was cancelled", err)
	}
}

// While entries are appended, another process verifies: it never finds fault.
func TestALogThatGrowsVerifies(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		for range 300 {
			if err := l.Append(ctx, audit.Event{Action: audit.DataRead, Outcome: "ok"}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for before := int64(0); ; {
		n, err := Verify(ctx, dir)
		if err != nil || n < before {
			t.Errorf("Verify = %d, %v behind %d", n, err, before)
			break
		}
		before = n
		select {
		case <-done:
		default:
			continue
		}
		break
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesATamperedLog(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3, "a-")
	path := filepath.Join(dir, "log.jsonl")
	data, err := os.ReadFile(path)
	if err == nil {
		data[10] ^= 1
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var bad *audit.BadEntry
	if _, err := Open(dir, noon); !errors.As(err, &bad) || bad.Index != 0 {
		t.Errorf("Open: %v, want entry 0 named", err)
	}
}

func TestOpenRefusesALogWithoutItsKeys(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3, "a-")
	if err := os.Remove(filepath.Join(dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, noon); err == nil {
		t.Error("Open makes new keys for an old log")
	}
}

func TestWhatACrashLeftHalfWrittenIsDropped(t *testing.T) {
	tests := map[string]struct{ log, checkpoints string }{
		"half a line":                      {`{"index":3,"ti`, ""},
		"a whole line of garbage":          {"garbage\n", ""},
		"half a checkpoint":                {"", "go.sum database tree\n4\n"},
		"a page of zeros":                  {string(make([]byte, 512)), ""},
		"half a line and half a signature": {`{"index"`, "go.sum"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir, 3, "a-")
			appendTo(t, filepath.Join(dir, "log.jsonl"), tt.log)
			appendTo(t, filepath.Join(dir, "checkpoints"), tt.checkpoints)
			filled(t, dir, 2, "b-")
			if n, err := Verify(ctx, dir); err != nil || n != 5 {
				t.Errorf("Verify = %d, %v; want 5 entries", n, err)
			}
		})
	}
}

func TestAfterAFailedWriteNothingIsAcknowledged(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if err := l.entries.Close(); err != nil { // every write fails from now on
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Append(ctx, audit.Event{Action: audit.DataRead, Outcome: "ok"}); err == nil {
			t.Fatal("Append succeeds on a closed file")
		}
	}
	l.group.Close()
	if err := l.checkpoints.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyIsNamed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	if err := l.Append(ctx, audit.Event{Action: audit.AccountErased, UID: "canary-uid", ActorUID: "canary-actor", Outcome: "ok"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if bytes.Contains(data, []byte("canary")) {
			t.Errorf("%s names a person", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	filled(f, dir, 3, "a-")
	good, err := os.ReadFile(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	verify := verifier(f, dir)
	f.Add(good)
	f.Add([]byte("\t\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, log []byte) {
		if err := verify(log); err == nil && !bytes.HasPrefix(log, good) {
			t.Error("another log verifies")
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := open(b, b.TempDir())
			defer func() {
				if err := l.Close(); err != nil {
					b.Error(err)
				}
			}()
			e := audit.Event{Action: audit.UploadAccepted, UID: "anna", ActorUID: "anna", Object: "upload-1", Outcome: "ok"}
			b.ReportAllocs()
			before := cpu(b)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for range b.N / callers {
						if err := l.Append(ctx, e); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkCommit16 is the work of a group of 16 entries without its disk.
func BenchmarkCommit16(b *testing.B) {
	l := open(b, b.TempDir())
	defer l.Close()
	e := audit.Event{Action: audit.UploadAccepted, UID: "anna", ActorUID: "anna", Object: "upload-1", Outcome: "ok"}
	group := make([]*pending, 16)
	for i := range group {
		group[i] = &pending{event: e}
	}
	b.ReportAllocs()
	next := l.head.Clone()
	for b.Loop() {
		l.buf.Reset()
		if err := l.lines(&next, group); err != nil {
			b.Fatal(err)
		}
		if _, err := checkpoint(next, l.signer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead is how long a log of 10,000 entries, a checkpoint each, takes
// to be opened and to be verified.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	l := open(b, dir)
	for range 10_000 {
		if errs := l.commit([]*pending{{event: audit.Event{Action: audit.DataRead, UID: "anna", Object: "2026-11-20", Outcome: "ok"}}}); errs != nil {
			b.Fatal(errs)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := open(b, dir).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n, err := Verify(ctx, dir); err != nil || n != 10_000 {
				b.Fatal(n, err)
			}
		}
	})
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What is a person's own is in no file, and is told apart.
func TestAnEntryNamesNothingOfThePersons(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for _, own := range []string{"upload-of-anna", "upload-of-anna", "another-of-anna"} {
		if err := l.Append(t.Context(), audit.Event{Action: audit.UploadAccepted, UID: "uid-of-anna", ActorUID: "uid-of-anna", Own: own, Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "log.jsonl"))
	if err != nil || bytes.Contains(text, []byte("of-anna")) {
		t.Errorf("%s, %v", text, err)
	}
	objects := map[string]int{}
	for line := range bytes.Lines(text) {
		var e audit.Entry
		entry, _, _ := bytes.Cut(line, []byte("\t"))
		if err := json.Unmarshal(entry, &e); err != nil || e.Object == "" {
			t.Errorf("%s: %v", line, err)
		}
		objects[e.Object]++
	}
	if len(objects) != 2 {
		t.Errorf("of two uploads there are %v", objects)
	}
}

// A log to which nothing can be appended does not verify: no start would work on it.
func TestALogWhoseSigningKeyIsDamagedDoesNotVerify(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3, "a-")
	path := filepath.Join(dir, "keys.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(`"signer":"`)) + len(`"signer":"PRIVATE+KEY+clarity-audit+`)
	data[at+20] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir); err == nil {
		t.Error("it verifies")
	}
}
