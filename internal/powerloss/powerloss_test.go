package powerloss_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/internal/powerloss"
)

// trace is a trace as strace prints it, of calls in /d.
func trace(t *testing.T, calls ...string) *powerloss.Recording {
	t.Helper()
	return traceIn(t, "/d", calls...)
}

// traceIn is a trace of calls in a directory.
func traceIn(t *testing.T, dir string, calls ...string) *powerloss.Recording {
	t.Helper()
	var b strings.Builder
	for i, c := range calls {
		for {
			before, rest, found := strings.Cut(c, "'")
			if !found {
				break
			}
			text, after, _ := strings.Cut(rest, "'")
			hex := ""
			for _, x := range []byte(text) {
				hex += fmt.Sprintf(`\x%02x`, x)
			}
			c = before + `"` + hex + `"` + after
		}
		thread, call, _ := strings.Cut(c, " ")
		fmt.Fprintf(&b, "%s %d.000001 %s\n", thread, 1000+i, call)
	}
	r := powerloss.New(dir)
	if err := r.Add(strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	return r
}

// What a call has done in which the process was killed is seen in the directory.
func TestACallInWhichTheProcessWasKilled(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"half": "ab", "all": "abcd", "cut": "a", "whole": "abcd", "renamed": "", "linked": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	create := func(fd int, name string) string {
		return fmt.Sprintf("1 openat(AT_FDCWD, '%s/%s', O_RDWR|O_CREAT, 0600) = %d", dir, name, fd)
	}
	r := traceIn(t, dir, create(3, "half"), create(4, "all"), create(5, "former"), create(6, "linked"), create(7, "stays"),
		create(8, "cut"), create(9, "whole"), "1 write(8, 'abcd', 4) = 4", "1 write(9, 'abcd', 4) = 4", "7 ftruncate(8, 1 <unfinished ...>", "8 ftruncate(9, 1) = ?",
		fmt.Sprintf("1 renameat(AT_FDCWD, '%s/former', AT_FDCWD, '%s/renamed') = ?", dir, dir),
		"2 write(3, 'abcd', 4 <unfinished ...>", "3 pwrite64(4, 'abcd', 4, 0 <unfinished ...>) = ?", "4 pwrite64(3, 'never', 5, 8 <detached ...>",
		fmt.Sprintf("5 unlink('%s/linked' <unfinished ...>", dir), fmt.Sprintf("6 unlink('%s/stays') = ?", dir), "2 <... write resumed>) = ?", "1 +++ killed by SIGKILL +++")
	if err := r.Differs(func(string) bool { return false }); err != nil {
		t.Error(err)
	}
}

// outcomes are the directories that cuts at the end come to, as one text each.
func outcomes(t *testing.T, r *powerloss.Recording) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	under := t.TempDir()
	for i := range 250 {
		dir := filepath.Join(under, fmt.Sprint(i))
		if err := r.Cut(r.Lines(), rand.New(rand.NewPCG(1, uint64(i))), dir); err != nil {
			t.Fatal(err)
		}
		var files []string
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == dir {
				return err
			}
			name := strings.TrimPrefix(path, dir+"/")
			if d.IsDir() {
				files = append(files, name+"/")
				return nil
			}
			data, err := os.ReadFile(path)
			files = append(files, name+"="+strings.ReplaceAll(string(data), "\x00", "."))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		seen[strings.Join(files, " ")] = true
	}
	return seen
}

func TestWhatACutLeaves(t *testing.T) {
	create := "1 openat(AT_FDCWD, '/d/f', O_RDWR|O_CREAT, 0600) = 3"
	folder := "1 openat(AT_FDCWD, '/d', O_RDONLY|O_DIRECTORY) = 4"
	for name, tt := range map[string]struct {
		calls []string
		want  []string
	}{
		"nothing was synced": {[]string{create, "1 write(3, 'ab', 2) = 2"}, []string{"", "f=", "f=ab", "f=.."}},
		"the file was synced, its entry was not": {
			[]string{create, "1 write(3, 'ab', 2) = 2", "1 fsync(3) = 0"}, []string{"", "f=ab"}},
		"both were synced": {
			[]string{create, "1 write(3, 'ab', 2) = 2", "1 fdatasync(3) = 0", folder, "1 fsync(4)                         = 0"}, []string{"f=ab"}},
		"what was written while it was synced may be lost": {
			[]string{create, folder, "1 fsync(4) = 0", "1 fsync(3 <unfinished ...>", "2 write(3, 'ab', 2) = 2", "1 <... fsync resumed>) = 0"},
			[]string{"f=", "f=ab", "f=.."}},
		"a failed sync is none": {
			[]string{create, folder, "1 fsync(4) = 0", "1 write(3, 'a', 1) = 1", "1 fsync(3) = -1 EIO (Input/output error)"}, []string{"f=", "f=a", "f=."}},
		"a file that was renamed is there under one name": {
			[]string{create, "1 write(3, 'a', 1) = 1", "1 fsync(3) = 0", folder, "1 fsync(4) = 0", "1 renameat(AT_FDCWD, '/d/f', AT_FDCWD, '/d/g') = 0"},
			[]string{"f=a", "g=a"}},
		"a file that was removed may come back": {
			[]string{create, folder, "1 fsync(4) = 0", "1 unlink('/d/f') = 0"}, []string{"", "f="}},
		"what lies in a folder goes with it": {
			[]string{"1 mkdirat(AT_FDCWD, '/d/x', 0700) = 0", "1 openat(AT_FDCWD, '/d/x/f', O_WRONLY|O_CREAT, 0600) = 3", "1 openat(AT_FDCWD, '/d/x', O_RDONLY) = 5", "1 fsync(5) = 0"},
			[]string{"", "x/ x/f="}},
		"sectors are lost each on its own": {
			[]string{create, folder, "1 fsync(4) = 0", "1 pwrite64(3, 'a', 1, 0) = 1", "1 pwrite64(3, 'b', 1, 512) = 1"},
			[]string{"f=", "f=a", "f=.", "f=a" + strings.Repeat(".", 511) + "b", "f=" + strings.Repeat(".", 513), "f=a" + strings.Repeat(".", 512), "f=" + strings.Repeat(".", 512) + "b"}},
		"a size that was cut may be the former": {
			[]string{create, "1 write(3, 'abc', 3) = 3", "1 fsync(3) = 0", folder, "1 fsync(4) = 0", "1 ftruncate(3, 1) = 0"},
			[]string{"f=abc", "f=a", "f=a.."}},
		"who appends writes at the end": {
			[]string{create, "1 write(3, 'ab', 2) = 2", "1 openat(AT_FDCWD, '/d/f', O_WRONLY|O_APPEND) = 6", "1 write(6, 'cd', 2) = 2", "1 fsync(6) = 0", folder, "1 fsync(4) = 0"},
			[]string{"f=abcd"}},
		"a descriptor that was closed is another file's": {
			[]string{create, "2 close(3 <unfinished ...>", "1 openat(AT_FDCWD, '/d/g', O_WRONLY|O_CREAT, 0600) = 3", "2 <... close resumed>) = 0", "1 write(3, 'x', 1) = 1", "1 fsync(3) = 0", folder, "1 fsync(4) = 0"},
			[]string{"f= g=x"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcomes(t, trace(t, tt.calls...))
			for _, w := range tt.want {
				if !got[w] {
					t.Errorf("never %q", w)
				}
				delete(got, w)
			}
			for g := range got {
				t.Errorf("%q", g)
			}
		})
	}
}

// What the recording cannot follow is an error, not a guess.
func TestACallThatIsNotKnown(t *testing.T) {
	for _, call := range []string{"fallocate(3, 0, 0, 10) = 0", "writev(3, [], 1) = 4"} {
		r := powerloss.New("/d")
		text := "1 1000.1 openat(AT_FDCWD, \"\\x2f\\x64\\x2f\\x66\", O_RDWR|O_CREAT, 0600) = 3\n1 1000.2 " + call + "\n"
		if err := r.Add(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken", call)
		}
	}
}
