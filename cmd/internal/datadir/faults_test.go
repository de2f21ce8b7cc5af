package datadir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
)

func TestSentence(t *testing.T) {
	opaque := errors.New("opaque")
	path := func(err error) error { return &fs.PathError{Op: "open", Path: "data/x", Err: err} }
	tests := map[string]struct {
		err  error
		want string
	}{
		"nothing":                    {nil, ""},
		"in use already said":        {fmt.Errorf("open: %w", datadir.ErrInUse), "open: the data directory is in use by another process"},
		"the directory's own lock":   {&dirlock.InUseError{Dir: "data"}, "the data directory data is in use by another process: stop that one, or choose another --data"},
		"the lock of a driver in it": {&dirlock.InUseError{Dir: "data/blobs"}, "the data directory data is in use by another process: stop that one, or choose another --data"},
		"the lock of one elsewhere":  {&dirlock.InUseError{Dir: "other"}, "the data directory other is in use by another process: stop that one, or choose another --data"},
		"the lock of one above":      {&dirlock.InUseError{Dir: "."}, "the data directory . is in use by another process: stop that one, or choose another --data"},
		"a full disk":                {path(syscall.ENOSPC), "the disk of the data directory data is full: make room, or choose another --data"},
		"a quota":                    {path(syscall.EDQUOT), "the disk of the data directory data is full: make room, or choose another --data"},
		"a disk that is not written": {path(syscall.EROFS), "the data directory data is on a read-only disk: choose another --data"},
		"a file on the way":          {path(syscall.ENOTDIR), "the data directory data is not a directory: choose another --data"},
		"a file in its place":        {fs.ErrExist, "the data directory data is not a directory: choose another --data"},
		"another's":                  {path(syscall.EACCES), "this user may not use the data directory data: run as its owner, or choose another --data"},
		"something else":             {opaque, "open the data directory data: opaque"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			err := datadir.Sentence("data", tt.err)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if inUse := strings.Contains(tt.want, "in use"); errors.Is(err, datadir.ErrInUse) != inUse {
				t.Errorf("%v is ErrInUse: %t", err, !inUse)
			}
		})
	}
	if err := datadir.Sentence("data", opaque); !errors.Is(err, opaque) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// A backend's place that is elsewhere is named with the flag that names it.
func TestSentenceOfAPlaceElsewhere(t *testing.T) {
	opening := func(of, at string, err error) error {
		return &platform.OpenError{Of: of, Driver: "d", At: at, Cause: fmt.Errorf("open it: %w", err)}
	}
	tests := map[string]struct {
		err     error
		want    string
		lasting bool
	}{
		"in use":             {opening("audit", "/a", &dirlock.InUseError{Dir: "/a"}), "the audit directory /a is in use by another process: stop that one, or choose another --audit", false},
		"in use, in full":    {opening("store", "s", &dirlock.InUseError{Dir: "/there/s"}), "the store directory s is in use by another process: stop that one, or choose another --store", false},
		"a full disk":        {opening("blobs", "/b", syscall.ENOSPC), "the disk of the blobs directory /b is full: make room, or choose another --blobs", false},
		"a read-only disk":   {opening("queue", "/q", syscall.EROFS), "the queue directory /q is on a read-only disk: choose another --queue", true},
		"a file":             {opening("keys", "/k", syscall.ENOTDIR), "the keys directory /k is not a directory: choose another --keys", true},
		"no right":           {opening("identity", "/i", fs.ErrPermission), "this user may not use the identity directory /i: run as its owner, or choose another --identity", true},
		"its own fault":      {opening("keys", "/k", errors.New("opaque")), "open the keys d: open it: opaque", false},
		"in the directory":   {opening("audit", "data/audit", fs.ErrPermission), "this user may not use the data directory data: run as its owner, or choose another --data", true},
		"in use, its own":    {opening("queue", "data", &dirlock.InUseError{Dir: "/there/data"}), "the data directory data is in use by another process: stop that one, or choose another --data", false},
		"a plan has no flag": {opening("traffic plan", "", errors.New("opaque")), "open the data directory data: open the traffic plan d: open it: opaque", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := datadir.Sentence("data", tt.err)
			if err.Error() != tt.want || !errors.Is(err, errors.Unwrap(errors.Unwrap(tt.err))) {
				t.Errorf("%q, want %q", err, tt.want)
			}
			if again := datadir.Sentence("elsewhere", fmt.Errorf("open: %w", err)); !strings.HasSuffix(again.Error(), tt.want) {
				t.Errorf("said twice it is %q", again)
			}
			var f *datadir.Fault
			if lasting := errors.As(err, &f) && f.Lasting(); lasting != tt.lasting {
				t.Errorf("lasting: %t", lasting)
			}
		})
	}
}

// Open tells of another place in the same sentence.
func TestADriverElsewhereThatCannotBeOpened(t *testing.T) {
	table := []platform.Stage{{Name: "s", Needs: capability.Queue}}
	config := platform.Config{Stages: []string{"s"}, Backends: platform.Backends{Queue: "sqlite:/elsewhere"}}
	_, err := datadir.Open(t.Context(), t.TempDir(), config, faulty(fs.ErrPermission, nil), table, env())
	if want := "this user may not use the queue directory /elsewhere: run as its owner, or choose another --queue"; err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestValidate(t *testing.T) {
	good := platform.Config{Stages: []string{"s"}, Listen: platform.Listen{API: "127.0.0.1:0"}}
	bad := good
	bad.Stages = []string{"x"}
	tests := map[string]struct {
		dir    string
		config platform.Config
		want   string
	}{
		"good":         {"data", good, ""},
		"no directory": {"", good, "name the data directory"},
		"no stage":     {"data", bad, `there is no stage "x"; the stages are s`},
		"neither":      {"", bad, `name the data directory; there is no stage "x"; the stages are s`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table := []platform.Stage{{Name: "s"}}
			for what, check := range map[string]func() error{
				"Validate": func() error { return datadir.Validate(tt.dir, tt.config, drivers(), table) },
				"Open": func() error {
					if tt.want == "" {
						return nil
					}
					_, err := datadir.Open(t.Context(), tt.dir, tt.config, drivers(), table, env())
					return err
				},
			} {
				err, got := check(), ""
				var wrong *platform.ConfigError
				if err != nil {
					got = err.Error()
				}
				// With an unknown stage Open tells what is wrong with the drivers, too.
				if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" || err != nil && !errors.As(err, &wrong) {
					t.Errorf("%s: %T %q, want a ConfigError of %q", what, err, got, tt.want)
				}
			}
		})
	}
}

// faulty are drivers whose queue cannot be opened, or cannot be closed.
func faulty(open, close error) platform.Drivers {
	d := drivers()
	d.Queue["sqlite"] = func(_ context.Context, _ string, e platform.Env) (queue.Driver, error) {
		if open != nil {
			return nil, open
		}
		e.Closing("the queue", closer{close})
		return &letters{}, nil
	}
	return d
}

type closer struct{ err error }

func (c closer) Close() error { return c.err }

func openWith(t *testing.T, dir string, d platform.Drivers, needs capability.Set) (*datadir.Platform, error) {
	t.Helper()
	table := []platform.Stage{{Name: "s", Needs: needs, Build: func(context.Context, platform.Parts) ([]platform.Runner, error) { return nil, nil }}}
	return datadir.Open(t.Context(), dir, platform.Config{Stages: []string{"s"}, Listen: platform.Listen{API: "127.0.0.1:0"}}, d, table, env())
}

// What the disk is to blame for is told in a sentence, the rest as it is, and
// the directory is free again.
func TestADriverThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct {
		err  error
		want string
	}{
		"a full disk":      {syscall.ENOSPC, "the disk of the data directory " + dir + " is full: make room, or choose another --data"},
		"a quota":          {syscall.EDQUOT, "the disk of the data directory " + dir + " is full: make room, or choose another --data"},
		"a read-only disk": {syscall.EROFS, "the data directory " + dir + " is on a read-only disk: choose another --data"},
		"in use":           {&dirlock.InUseError{Dir: dir}, "the data directory " + dir + " is in use by another process: stop that one, or choose another --data"},
		"its own fault":    {errors.New("opaque"), "open the queue sqlite: opaque"},
		"no right":         {fs.ErrPermission, "open the queue sqlite: permission denied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if p, err := openWith(t, dir, faulty(tt.err, nil), capability.Queue); err == nil || err.Error() != tt.want || p != nil {
				t.Errorf("%v, %v; want %q", p, err, tt.want)
			}
		})
	}
	l := &datadir.Lease{Dir: dir, Drivers: faulty(errors.New("opaque"), nil), Needs: capability.Queue, Env: env()}
	if _, release, err := l.Acquire(t.Context()); err == nil || release != nil || err.Error() != "open the data directory "+dir+": open the queue sqlite: opaque" {
		t.Errorf("a lease: %v", err)
	}
	p, err := openWith(t, dir, faulty(nil, nil), capability.Queue)
	if err != nil {
		t.Fatalf("it is not free: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestADriverThatCannotBeClosedIsTold(t *testing.T) {
	dir, stuck := t.TempDir(), errors.New("stuck")
	for name, end := range map[string]func(*datadir.Platform) error{
		"Close": func(p *datadir.Platform) error { return p.Close() },
		"Run":   func(p *datadir.Platform) error { return p.Run(t.Context()) },
	} {
		p, err := openWith(t, dir, faulty(nil, stuck), capability.Queue)
		if err != nil {
			t.Fatal(err)
		}
		if err := end(p); !errors.Is(err, stuck) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := &datadir.Lease{Dir: dir, Drivers: faulty(nil, stuck), Needs: capability.Queue, Env: env()}
	_, release, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); !errors.Is(err, stuck) {
		t.Errorf("a lease: %v", err)
	}
}

func TestADirectoryThatCannotBeOne(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("file", nil, 0o600), os.MkdirAll(filepath.Join("locked", "clarity.lock"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"file":                       "the data directory file is not a directory: choose another --data",
		filepath.Join("file", "sub"): "the data directory file/sub is not a directory: choose another --data",
		"locked":                     "open the data directory locked: ",
	} {
		if _, err := openWith(t, dir, drivers(), 0); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("a platform on %s: %v", dir, err)
		}
		if _, _, err := lease(dir, time.Hour).Acquire(t.Context()); err == nil || errors.Is(err, datadir.ErrInUse) {
			t.Errorf("a lease of %s: %v", dir, err)
		}
	}
}

// Nobody else looks into a data directory, and nothing of a trial is left in it.
func TestADirectoryIsItsOwnersAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	p, err := openWith(t, "data", drivers(), capability.Listener)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"data": 0o700 | fs.ModeDir, filepath.Join("data", "endpoint"): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	left, err := os.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"VERSION", "clarity.lock", "endpoint", "reserve"}, names); diff != "" {
		t.Errorf("what is there (-want +got):\n%s", diff)
	}
	if err := os.Remove(filepath.Join("data", "endpoint")); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "close the endpoint") {
		t.Errorf("an endpoint that somebody removed: %v", err)
	}
}

func TestAnEndpointThatCannotBeWritten(t *testing.T) {
	for _, name := range []string{"endpoint", "endpoint.new"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, name, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		if p, err := openWith(t, dir, drivers(), capability.Listener); err == nil || p != nil {
			t.Errorf("with a directory %s: %v, %v", name, p, err)
		}
		if p, err := openWith(t, dir, drivers(), 0); err != nil {
			t.Errorf("the directory was not given back: %v", err)
		} else if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAnEndpointWhereNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "endpoint")
	if err := os.WriteFile(path, []byte("http://"+l.Addr().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if url, err := datadir.Endpoint(t.Context(), dir); err != nil || url != "http://"+l.Addr().String() {
		t.Errorf("%q, %v", url, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if url, err := datadir.Endpoint(t.Context(), dir); url != "" || err == nil || err.Error() != "no platform runs on the data directory "+dir+" any more: start one with `clarity up --data "+dir+"`" {
		t.Errorf("after it was killed: %q, %v", url, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if url, err := datadir.Endpoint(t.Context(), dir); url != "" || err == nil || !strings.HasPrefix(err.Error(), "open the data directory "+dir+": ") {
		t.Errorf("where there is no file: %q, %v", url, err)
	}
}

// Who has had the directory lets the others have a look before it asks again.
func TestALeaseStandsBack(t *testing.T) {
	l := lease(t.TempDir(), 0)
	for i := range 2 {
		began := time.Now()
		_, release, err := l.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); i == 1 && took < 75*time.Millisecond {
			t.Errorf("it asks again after %v", took)
		}
		if err := release(); err != nil {
			t.Error(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, release, err := l.Acquire(ctx); !errors.Is(err, context.Canceled) || release != nil {
		t.Errorf("told to stop meanwhile: %v", err)
	}
}

// letters is a queue of dead letters, by topic; it notes what is done to them.
type letters struct {
	queue.Driver
	dead map[string]int
	old  []queue.Backlog // that nobody consumes
	err  error
	done []string
}

func (q *letters) Dead(_ context.Context, topic, name string, after string, limit int) ([]queue.DeadLetter, error) {
	if q.err != nil {
		return nil, q.err
	}
	var out []queue.DeadLetter
	behind, _ := strconv.Atoi(after)
	for s := behind + 1; s <= q.dead[topic] && len(out) < limit; s++ {
		out = append(out, queue.DeadLetter{Delivery: queue.Delivery{Message: queue.Message{Topic: topic}}, Consumer: name, ID: strconv.Itoa(s)})
	}
	return out, nil
}

func (q *letters) Unclaimed(context.Context) ([]queue.Backlog, error) { return q.old, q.err }

func (q *letters) Replay(_ context.Context, s string) error {
	q.done = append(q.done, fmt.Sprint("replay ", s))
	return q.err
}

func (q *letters) Drop(_ context.Context, s string) error {
	q.done = append(q.done, fmt.Sprint("drop ", s))
	return q.err
}

func (q *letters) drivers() platform.Drivers {
	d := drivers()
	d.Queue["sqlite"] = func(context.Context, string, platform.Env) (queue.Driver, error) { return q, nil }
	return d
}

func TestDeadLettersOfEveryConsumer(t *testing.T) {
	tests := map[string]map[string]int{
		"none":                nil,
		"a few of each":       {flow.TopicUploads: 1, flow.TopicAnalyses: 2, flow.TopicResults: 3, flow.TopicEvents: 4},
		"a page but for one":  {flow.TopicUploads: 499},
		"a page":              {flow.TopicResults: 500},
		"more than two pages": {flow.TopicUploads: 1001, flow.TopicEvents: 1},
	}
	for name, dead := range tests {
		t.Run(name, func(t *testing.T) {
			q := &letters{dead: dead}
			got, _, err := datadir.DeadLetters(t.Context(), datadir.Place{Dir: t.TempDir()}, q.drivers(), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			counts, last := map[string]int{}, 0
			for _, l := range got {
				n, err := strconv.Atoi(l.ID)
				of := l.Topic + " " + l.Consumer
				if counts[of]++; err != nil || counts[of] > 1 && n != last+1 {
					t.Fatalf("%s: %s after %d", of, l.ID, last)
				}
				last = n
			}
			want := map[string]int{}
			for topic, n := range dead {
				for _, consumer := range flow.Consumers()[topic] {
					want[topic+" "+consumer] = n
				}
			}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What nobody consumes comes behind what somebody does; of what has no letters
// none are asked for.
func TestDeadLettersThatNobodyConsumes(t *testing.T) {
	old := []queue.Backlog{{Topic: "older", Consumer: "x", Depth: queue.Depth{Waiting: 3}}, {Topic: "old", Consumer: "y", Depth: queue.Depth{Dead: 2}}}
	q := &letters{dead: map[string]int{flow.TopicEvents: 1, "old": 2, "older": 9}, old: old}
	got, unclaimed, err := datadir.DeadLetters(t.Context(), datadir.Place{Dir: t.TempDir()}, q.drivers(), time.Now)
	if diff := cmp.Diff(old, unclaimed); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	var consumers []string
	for _, l := range got {
		consumers = append(consumers, l.Consumer)
	}
	if diff := cmp.Diff([]string{flow.Feed, "y", "y"}, consumers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestADeadLetterIsReplayedOrDropped(t *testing.T) {
	gone := errors.New("no such letter")
	for _, fails := range []error{nil, gone} {
		q, dir := &letters{err: fails}, t.TempDir()
		_, _, listed := datadir.DeadLetters(t.Context(), datadir.Place{Dir: dir}, q.drivers(), time.Now)
		replayed := datadir.ReplayDead(t.Context(), datadir.Place{Dir: dir}, q.drivers(), time.Now, "7")
		dropped := datadir.DropDead(t.Context(), datadir.Place{Dir: dir}, q.drivers(), time.Now, "8")
		for what, err := range map[string]error{"list": listed, "replay": replayed, "drop": dropped} {
			if !errors.Is(err, fails) {
				t.Errorf("%s: %v, want %v", what, err, fails)
			}
		}
		if !slices.Equal(q.done, []string{"replay 7", "drop 8"}) {
			t.Errorf("done: %v", q.done)
		}
	}
}

func TestToolsBesideARunningPlatform(t *testing.T) {
	dir := t.TempDir()
	e := env()
	var closers []io.Closer
	e.Closing = func(_ string, c io.Closer) { closers = append(closers, c) }
	log, err := embedded.Audit(t.Context(), filepath.Join(dir, "audit"), e)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := log.Append(t.Context(), audit.Event{Action: audit.DataRead, UID: "anna", Outcome: "ok"}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := datadir.VerifyAudit(t.Context(), datadir.Place{Dir: dir}); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
	if err := closers[0].Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, "anna"); name != "" || err == nil || !strings.Contains(err.Error(), "data directory "+dir) {
		t.Errorf("keys that are a file: %q, %v", name, err)
	}
}

// A database that was cut, or is none, is told as that, with what to do.
func TestADamagedDatabaseIsToldAsThat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	path := filepath.Join(dir, "store.db")
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, holds := range map[string][]byte{"cut": made[:5000], "none": bytes.Repeat([]byte("no database "), 1000)} {
		if err := os.WriteFile(path, holds, 0o600); err != nil {
			t.Fatal(err)
		}
		_, opened := open(t, dir, capability.Store|capability.Keys)
		l := lease(dir, 0)
		l.Needs = capability.Store | capability.Keys
		_, _, leased := l.Acquire(t.Context())
		for _, err := range []error{opened, leased} {
			var f *datadir.Fault
			if !errors.As(err, &f) || !f.Lasting() || !strings.HasPrefix(err.Error(), "store.db of the data directory "+dir+" is damaged or cut: ") || !strings.Contains(err.Error(), "`clarity restore`") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// Where a path is too long for a socket, the platform that runs there cannot be asked:
// that is what is said.
func TestALongPathSaysWhyItCannotBeAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	p, err := open(t, dir, capability.Queue)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // the test's end
	_, _, err = datadir.DeadLetters(t.Context(), datadir.Place{Dir: dir}, drivers(), time.Now)
	if !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), "longer than the path of a socket can be") {
		t.Errorf("%v", err)
	}
}
