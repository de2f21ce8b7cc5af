package powerloss

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// calls are the system calls that change a directory, or say where a descriptor
// stands. Those that change one and that Add does not know are errors there.
const calls = "open,openat,creat,close,dup,dup2,dup3,read,lseek,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate," +
	"fsync,fdatasync,sync_file_range,syncfs,sync,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat," +
	"copy_file_range,sendfile,splice,openat2,io_uring_setup"

// Command is the program under strace, which writes the trace that Add reads.
// The program is strace's child, and strace ends as it does.
func Command(ctx context.Context, trace, program string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "strace", append([]string{"-f", "-xx", "-s", "67108864", "-ttt", "--seccomp-bpf", "-e", "signal=none", "-e", "trace=" + calls, "-o", trace, program}, args...)...) //nolint:gosec // the test's own program
}

// Add reads the trace of a process, which began after those before had ended, and
// has ended itself; the directory is as it has left it. What a call has done in which
// the process was killed is seen there.
func (r *Recording) Add(trace io.Reader) error {
	p := process{Recording: r, files: map[int]*open{}, unfinished: map[string]begun{}}
	lines := bufio.NewReaderSize(trace, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return p.killed()
		}
		if err == nil {
			err = p.line(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			if len(line) > 300 {
				line = line[:300]
			}
			return fmt.Errorf("read trace: %w: %s", err, line)
		}
	}
}

// A process is one that is followed through its trace.
type process struct {
	*Recording
	files      map[int]*open
	unfinished map[string]begun // by thread
}

// An open file is one of the directory that a descriptor stands for.
type open struct {
	*node
	path    string // when it was opened
	at      int64  // where the next write goes
	appends bool
}

type begun struct {
	text string
	line int
}

// line takes one line: a call, or the begin or the end of one.
func (p *process) line(text string) error {
	thread, rest, _ := strings.Cut(text, " ")
	stamp, rest, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	seconds, micros, _ := strings.Cut(stamp, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return errors.New("a line without a time")
	}
	us, _ := strconv.ParseInt(micros, 10, 64)
	now := p.lines
	p.lines++
	p.times = append(p.times, time.Unix(s, us*1000))
	at := span{now, now}
	if _, end, resumed := strings.Cut(rest, " resumed>"); resumed && strings.HasPrefix(rest, "<... ") {
		b := p.unfinished[thread]
		delete(p.unfinished, thread)
		rest, at.began = b.text+end, b.line
	} else if begin, cut := strings.CutSuffix(rest, " <unfinished ...>"); cut {
		p.unfinished[thread] = begun{begin, now}
		return p.begin(begin)
	} else if err := p.begin(rest); err != nil {
		return err
	}
	return p.end(rest, at)
}

// begin takes the begin of a call: a descriptor is free from there on.
func (p *process) begin(text string) error {
	if args, is := strings.CutPrefix(text, "close("); is {
		fd, err := strconv.Atoi(strings.TrimRight(strings.SplitN(args, ")", 2)[0], " "))
		if err != nil {
			return err
		}
		delete(p.files, fd)
	}
	return nil
}

// A call is one that has ended, and did what it says.
type call struct {
	name   string
	args   []string
	result int64
	span
}

// end takes a call that has ended.
func (p *process) end(text string, at span) error {
	name, rest, isCall := strings.Cut(text, "(")
	i := strings.LastIndex(rest, "= ") // strings are hexadecimal
	args, closed := strings.CutSuffix(strings.TrimRight(rest[:max(i, 0)], " "), ")")
	if !isCall || strings.HasPrefix(name, "+++") || strings.HasPrefix(name, "---") {
		return nil
	}
	if !closed { // the process was killed in it
		p.unfinished[text] = begun{text, at.began}
		return nil
	}
	said, _, _ := strings.Cut(rest[i+2:], " ")
	if said == "?" {
		p.unfinished[text] = begun{name + "(" + strings.TrimSuffix(args, " <unfinished ...>"), at.began}
		return nil
	}
	result, err := strconv.ParseInt(said, 0, 64)
	if err != nil || result < 0 { // it failed
		return nil //nolint:nilerr // as above
	}
	return p.done(call{name, arguments(args), result, at})
}

// killed takes the calls in which the process was killed: of a write, what is in the
// file; of any other that leaves something to see, whether it is there.
func (p *process) killed() error {
	for _, b := range p.unfinished {
		text, _, _ := strings.Cut(b.text, " <detached ...>")
		name, rest, _ := strings.Cut(text, "(")
		c := call{name, arguments(rest), 0, span{b.line, p.lines}}
		var err error
		switch strings.TrimSuffix(name, "at") {
		case "write", "pwrite64":
			err = p.halfWritten(c)
		case "ftruncate":
			err = p.halfCut(c)
		case "rename", "link", "unlink", "mkdir", "rmdir":
			err = p.halfDone(c)
		}
		if err != nil {
			return fmt.Errorf("the process was killed in %s: %w", name, err)
		}
	}
	return nil
}

// halfWritten takes as much of a write as the file has.
func (p *process) halfWritten(c call) error {
	fd, err := c.number(0)
	f := p.files[int(fd)]
	if err != nil || f == nil {
		return err
	}
	text, err := c.text(1)
	if err != nil {
		return nil //nolint:nilerr // it was killed before strace had read it
	}
	off := f.at
	if c.name == "pwrite64" {
		if off, err = c.number(3); err != nil {
			return err
		}
	} else if f.appends {
		off = f.size
	}
	has, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	for off+c.result < int64(len(has)) && c.result < int64(len(text)) && has[off+c.result] == text[c.result] {
		c.result++
	}
	if c.result == 0 {
		return nil
	}
	return f.wrote(c)
}

// halfCut takes a size if the file has it.
func (p *process) halfCut(c call) error {
	fd, err := c.number(0)
	f := p.files[int(fd)]
	if err != nil || f == nil {
		return err
	}
	info, err := os.Stat(f.path)
	size, asked := c.number(1)
	if err != nil || asked != nil || info.Size() != size {
		return err
	}
	return f.done(c)
}

// halfDone takes a change of entries if it is there to see.
func (p *process) halfDone(c call) error {
	i := 0
	if strings.HasSuffix(c.name, "at") {
		i = 1
	}
	if strings.HasPrefix(c.name, "rename") || strings.HasPrefix(c.name, "link") {
		i = 2*i + 1
	}
	path, err := c.path(i)
	if err != nil {
		return nil //nolint:nilerr // it was killed before strace had read it
	}
	_, err = os.Lstat(path)
	n, _, _ := p.find(path)
	if is := err == nil; is == (n != nil) && !strings.HasPrefix(c.name, "rename") {
		return nil
	}
	if from, err := c.path(i / 2); err == nil && strings.HasPrefix(c.name, "rename") {
		if _, err := os.Lstat(from); err == nil {
			return nil
		}
	}
	return p.entry(c)
}

// arguments are what stands between commas that are in no string.
func arguments(text string) (args []string) {
	quoted, from := false, 0
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			args, from = append(args, text[from:i]), i+2
		}
	}
	return append(args, text[min(from, len(text)):])
}

// text is a string of strace -xx.
func (c call) text(i int) (string, error) {
	if i >= len(c.args) {
		return "", errors.New("an argument is missing")
	}
	hex, ok := strings.CutPrefix(strings.TrimSuffix(c.args[i], `"`), `"`)
	if !ok || len(hex)%4 != 0 {
		return "", errors.New("an argument is no whole string")
	}
	b := make([]byte, len(hex)/4)
	for i := range b {
		n, err := strconv.ParseUint(hex[4*i+2:4*i+4], 16, 8)
		if err != nil {
			return "", err
		}
		b[i] = byte(n)
	}
	return string(b), nil
}

func (c call) number(i int) (int64, error) {
	if i >= len(c.args) {
		return 0, errors.New("an argument is missing")
	}
	return strconv.ParseInt(c.args[i], 0, 64)
}

// done does in the recording what the call did.
func (p *process) done(c call) error {
	switch c.name {
	case "open", "openat", "creat":
		return p.open(c)
	case "rename", "renameat", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir":
		return p.entry(c)
	case "close":
		return nil
	case "sync", "io_uring_setup", "renameat2", "truncate", "openat2", "symlink", "symlinkat":
		return errors.New("a call that the recording does not know")
	}
	fd, err := c.number(0)
	if err != nil {
		return err
	}
	f := p.files[int(fd)]
	if f == nil {
		return nil
	}
	return f.done(c)
}

// done is what a call did to an open file.
func (f *open) done(c call) error {
	switch c.name {
	case "fsync", "fdatasync":
		f.syncs = append(f.syncs, c.span)
	case "read":
		f.at += c.result
	case "lseek":
		f.at = c.result
	case "ftruncate":
		size, err := c.number(1)
		if err != nil {
			return err
		}
		f.truncate(size, c.span)
	case "write", "pwrite64":
		return f.wrote(c)
	default:
		return errors.New("a call that the recording does not know")
	}
	return nil
}

func (f *open) wrote(c call) error {
	text, err := c.text(1)
	if err != nil {
		return err
	}
	data := []byte(text)[:c.result]
	if c.name == "pwrite64" {
		off, err := c.number(3)
		if err != nil {
			return err
		}
		f.write(data, off, c.span)
		return nil
	}
	if f.appends {
		f.at = f.size
	}
	f.write(data, f.at, c.span)
	f.at += c.result
	return nil
}

// path is the path in argument i, below the working directory if the call has one.
func (c call) path(i int) (string, error) {
	path, err := c.text(i)
	if err == nil && !filepath.IsAbs(path) {
		if _, err = os.Stat(path); err == nil {
			path, err = filepath.Abs(path)
		} else {
			err = nil
		}
	}
	return path, err
}

func (p *process) open(c call) error {
	i := strings.Count(c.name, "at") - strings.Count(c.name, "creat")
	path, err := c.path(i)
	if err != nil {
		return err
	}
	n, parent, name := p.find(path)
	flags := ""
	if i+1 < len(c.args) {
		flags = c.args[i+1]
	}
	if n == nil && parent == nil {
		return nil
	}
	if n == nil {
		if !strings.Contains(flags, "O_CREAT") {
			return errors.New("a file that nobody made")
		}
		n = p.newNode(false)
		parent.set(name, n, c.span, p.lines)
	}
	if strings.Contains(flags, "O_TRUNC") && n.size > 0 {
		n.truncate(0, c.span)
	}
	p.files[int(c.result)] = &open{node: n, path: path, appends: strings.Contains(flags, "O_APPEND")}
	return nil
}

// entry is a call that changes entries of directories.
func (p *process) entry(c call) error {
	at := strings.HasSuffix(c.name, "at")
	first, second := 0, 1
	if at {
		first, second = 1, 3
	}
	path, err := c.path(first)
	if err != nil {
		return err
	}
	n, parent, name := p.find(path)
	if parent == nil {
		return nil
	}
	switch strings.TrimSuffix(c.name, "at") {
	case "mkdir":
		parent.set(name, p.newNode(true), c.span, p.lines)
		return nil
	case "unlink", "rmdir":
		parent.set(name, nil, c.span, p.lines)
		return nil
	}
	if path, err = c.path(second); err != nil {
		return err
	}
	_, to, new := p.find(path)
	if n == nil || to == nil {
		return errors.New("an entry that leaves or enters the directory")
	}
	to.set(new, n, c.span, p.lines)
	if strings.HasPrefix(c.name, "rename") {
		parent.set(name, nil, c.span, p.lines)
	}
	return nil
}
