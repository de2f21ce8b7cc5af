package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
)

func TestEverySubjectIsCountedOnce(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %v", replace), func(t *testing.T) {
			w := newWorld(9)
			got, err := attempt(t.Context(), t, w, aTask(replace), 0, alive)
			if diff := cmp.Diff(counts(9, replace), got); err != nil || diff != "" {
				t.Errorf("%v; report (-want +got):\n%s", err, diff)
			}
			// The shard is done: a pod that is started again says the same.
			again, err := attempt(t.Context(), t, w, aTask(replace), 1, alive)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("%v; the second time (-want +got):\n%s", err, diff)
			}
			// Another run finds everything current.
			next := aTask(false)
			next.Run = "next-run"
			want := counts(9, false)
			want.Succeeded, want.Skipped = 0, 4*9
			if got, err = attempt(t.Context(), t, w, next, 0, alive); err != nil || !cmp.Equal(want, got) {
				t.Errorf("%v; another run (-want +got):\n%s", err, cmp.Diff(want, got))
			}
			if left := listCheckpoints(w); left > 2*kept {
				t.Errorf("%d checkpoints are left", left)
			}
		})
	}
}

func listCheckpoints(w *world) (n int) {
	for name := range w.blobs {
		if strings.HasPrefix(name, blob.Checkpoints) {
			n++
		}
	}
	return n
}

// An attempt is killed before and after each of its effects, for every one of
// them, and the attempt after it at a random one; the third one ends. The count
// is that of an attempt that was never killed.
func TestKilledAtEveryStepComesToTheSameCount(t *testing.T) {
	for _, replace := range []bool{false, true} {
		calm := newWorld(5)
		steps := 0
		if _, err := attempt(t.Context(), t, calm, aTask(replace), 0, func() error { steps++; return nil }); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for k := range steps {
			w := newWorld(5)
			if _, err := attempt(t.Context(), t, w, aTask(replace), 0, dies(k)); !errors.Is(err, errDead) {
				t.Fatalf("killed at step %d of %d: %v", k, steps, err)
			}
			second := r.IntN(steps)
			if _, err := attempt(t.Context(), t, w, aTask(replace), 1, dies(second)); err != nil && !errors.Is(err, errDead) {
				t.Fatalf("killed at %d, then at %d: %v", k, second, err)
			}
			got, err := attempt(t.Context(), t, w, aTask(replace), 2, alive)
			if diff := cmp.Diff(counts(5, replace), got); err != nil || diff != "" {
				t.Fatalf("replace %v, killed at %d, then at %d: %v; report (-want +got):\n%s", replace, k, second, err, diff)
			}
			if !replace && !cmp.Equal(calm.results, w.results, cmp.AllowUnexported(result{})) {
				t.Fatalf("killed at %d, then at %d: other Results than in calm", k, second)
			}
		}
		t.Logf("replace %v: %d steps", replace, steps)
	}
}

// Two attempts run at once, step by step in a random order. The later one's
// count is right, and the earlier one does not end well after it was superseded.
func TestTwoAttemptsAtOnceComeToOneCount(t *testing.T) {
	const seeds = 300
	superseded := 0
	for seed := range uint64(seeds) {
		w, r := newWorld(5), rand.New(rand.NewPCG(seed, 7))
		type ended struct {
			number int64
			report termination.Report
			err    error
		}
		ready, done := make(chan chan struct{}), make(chan ended, 2)
		start := func(number int64) {
			p := &process{world: w, step: func() error {
				turn := make(chan struct{})
				ready <- turn
				<-turn
				return nil
			}}
			runner := runnerOf(t, p, aTask(false), number)
			go func() {
				report, err := runner.Run(context.Background())
				done <- ended{number, report, err}
			}()
		}
		start(0)
		var waiting []chan struct{}
		ends := map[int64]ended{}
		running, started, headStart := 1, false, r.IntN(60)
		for steps := 0; running > 0; steps++ {
			if !started && steps >= headStart {
				start(1)
				running, started = running+1, true
			}
			for len(waiting) < running { // everybody is at a step, or has ended
				select {
				case turn := <-ready:
					waiting = append(waiting, turn)
				case e := <-done:
					ends[e.number] = e
					running--
				}
			}
			if running == 0 && !started {
				start(1)
				running, started = 1, true
				continue
			}
			if len(waiting) > 0 {
				i := r.IntN(len(waiting))
				close(waiting[i])
				waiting = slices.Delete(waiting, i, i+1)
			}
		}
		if diff := cmp.Diff(counts(5, false), ends[1].report); ends[1].err != nil || diff != "" {
			t.Fatalf("seed %d: the later attempt: %v; report (-want +got):\n%s", seed, ends[1].err, diff)
		}
		switch e := ends[0]; {
		case errors.Is(e.err, ErrSuperseded):
			superseded++
		case e.err != nil || !cmp.Equal(counts(5, false), e.report):
			t.Fatalf("seed %d: the earlier attempt: %v %+v", seed, e.err, e.report)
		}
	}
	if superseded < seeds/2 {
		t.Errorf("only %d of %d earlier attempts were superseded: the test does not bite", superseded, seeds)
	}
}

func TestAStopPutsWhatIsDoneOnRecord(t *testing.T) {
	for stopAt := range 12 {
		w := newWorld(5)
		ctx, cancel := context.WithCancel(t.Context())
		windows := 0
		p := &process{world: w, step: alive, stops: func() {
			if windows++; windows > stopAt {
				cancel()
			}
		}}
		report, err := runnerOf(t, p, aTask(false), 0).Run(ctx)
		if !errors.Is(err, ErrStopped) {
			t.Fatalf("stopped at window %d: %v", stopAt, err)
		}
		if stopAt >= 6 && report.Subjects < 3 {
			t.Errorf("stopped at window %d: what was done is not on record: %+v", stopAt, report)
		}
		stored, err := checkpoints{aTask(false)}.latest(t.Context(), p)
		if err != nil || !cmp.Equal(report, stored.report()) {
			t.Errorf("stopped at window %d: reports %+v, on record %+v, %v", stopAt, report, stored.report(), err)
		}
		got, err := attempt(t.Context(), t, w, aTask(false), 1, alive)
		if diff := cmp.Diff(counts(5, false), got); err != nil || diff != "" {
			t.Errorf("stopped at window %d, then ended: %v (-want +got):\n%s", stopAt, err, diff)
		}
	}
}

func TestAShardWorksInTurns(t *testing.T) {
	w := newWorld(5)
	entered := 0
	now := time.Now()
	p := &process{world: w, step: alive}
	r := runnerOf(t, p, aTask(false), 0)
	r.Lease, r.Now = 3*time.Second, func() time.Time { now = now.Add(time.Second); return now }
	r.Lock = dataLock(func(ctx context.Context) (Data, func() error, error) { entered++; return p.Acquire(ctx) })
	got, err := r.Run(t.Context())
	if diff := cmp.Diff(counts(5, false), got); err != nil || diff != "" || entered < 10 {
		t.Errorf("%v in %d turns; report (-want +got):\n%s", err, entered, diff)
	}
}

type dataLock func(ctx context.Context) (Data, func() error, error)

func (l dataLock) Acquire(ctx context.Context) (Data, func() error, error) { return l(ctx) }

func TestShardsDivideTheSubjects(t *testing.T) {
	const shards = 7
	w := newWorld(6)
	total := termination.Report{Reasons: map[string]int64{}}
	for i := range shards {
		task := aTask(false)
		task.Shard, task.Shards = i, shards
		r, err := attempt(t.Context(), t, w, task, 0, alive)
		if err != nil {
			t.Fatal(err)
		}
		total.Subjects, total.Succeeded, total.Skipped, total.Failed = total.Subjects+r.Subjects, total.Succeeded+r.Succeeded, total.Skipped+r.Skipped, total.Failed+r.Failed
		for reason, n := range r.Reasons {
			total.Reasons[reason] += n
		}
	}
	if diff := cmp.Diff(counts(6, false), total); diff != "" {
		t.Errorf("all shards together (-want +got):\n%s", diff)
	}
}

func TestSubjectsByName(t *testing.T) {
	w := newWorld(1)
	p := &process{world: w, step: alive}
	pseudonym := func(uid string) string { s, _ := p.Pseudonym(t.Context(), uid); return s }
	tests := map[string]struct {
		subjects []string
		want     termination.Report
	}{
		"one":                          {[]string{pseudonym("new-0")}, termination.Report{Subjects: 1, Succeeded: 1}},
		"one twice":                    {[]string{pseudonym("new-0"), pseudonym("new-0")}, termination.Report{Subjects: 1, Succeeded: 1}},
		"nobody's pseudonym":           {[]string{strings.Repeat("x", 43)}, termination.Report{Subjects: 1, Failed: 1, Reasons: map[string]int64{ReasonUnknownSubject: 1}}},
		"a known one and nobody":       {[]string{pseudonym("known-0"), strings.Repeat("x", 43)}, termination.Report{Subjects: 2, Skipped: 1, Failed: 1, Reasons: map[string]int64{ReasonUnknownSubject: 1}}},
		"a manifest that lists no one": {[]string{}, termination.Report{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			task := aTask(false)
			task.Subjects = tt.subjects
			got, err := attempt(t.Context(), t, newWorld(1), task, 0, alive)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v; report (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAnAttemptThatMayNotGoOnSaysWhy(t *testing.T) {
	tests := map[string]struct {
		before func(w *world, p *process)
		change func(*Task)
		want   error
	}{
		"a later attempt was there": {func(w *world, _ *process) { _, _ = attempt(t.Context(), t, w, aTask(false), 5, dies(8)) }, nil, ErrSuperseded},
		"another task's checkpoints": {func(w *world, _ *process) { _, _ = attempt(t.Context(), t, w, aTask(false), 0, dies(8)) },
			func(t *Task) { t.End++ }, ErrTask},
		"a checkpoint that is damaged": {func(w *world, _ *process) { w.blobs[checkpoints{aTask(false)}.name(3)] = []byte("{}") }, nil, ErrCheckpoint},
		"a checkpoint of another number": {func(w *world, _ *process) {
			_, _ = attempt(t.Context(), t, w, aTask(false), 0, dies(8))
			l := checkpoints{aTask(false)}
			for name, raw := range w.blobs {
				if strings.HasPrefix(name, blob.Checkpoints) {
					w.blobs[l.name(99)] = raw
				}
			}
		}, nil, ErrCheckpoint},
		"something else in the place": {func(w *world, _ *process) { w.blobs[checkpoints{aTask(false)}.place()+"x"] = nil }, nil, ErrCheckpoint},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, task := newWorld(1), aTask(false)
			tt.before(w, &process{world: w, step: alive})
			if tt.change != nil {
				tt.change(&task)
			}
			if _, err := attempt(t.Context(), t, w, task, 1, alive); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// A pod that is replaced without being counted as failed has the number of the
// one before it: the later one wins.
func TestOfTwoAttemptsWithOneNumberTheLaterWins(t *testing.T) {
	w := newWorld(5)
	first := &process{world: w, step: alive}
	var second termination.Report
	started := false
	first.stops = func() {
		if started {
			return
		}
		started = true
		r := runnerOf(t, &process{world: w, step: alive}, aTask(false), 3)
		r.attempt.Holder = "another-pod"
		var err error
		if second, err = r.Run(t.Context()); err != nil {
			t.Error(err)
		}
	}
	_, err := runnerOf(t, first, aTask(false), 3).Run(t.Context())
	if diff := cmp.Diff(counts(5, false), second); !errors.Is(err, ErrSuperseded) || diff != "" {
		t.Errorf("the first ends with %v; the second's report (-want +got):\n%s", err, diff)
	}
}

func TestErrorsNameNoPerson(t *testing.T) {
	w := newWorld(1)
	p := &process{world: w, step: func() error { return fmt.Errorf("put days/4f/new-0/x: %w", errDead) }}
	r := runnerOf(t, &process{world: w, step: alive}, aTask(false), 0)
	err := r.backendError("analyse a window", p.step())
	if strings.Contains(err.Error(), "new-0") || !errors.Is(err, errDead) {
		t.Errorf("%q", err)
	}
}

func TestTaskValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Task)
		want   string // "" is valid
	}{
		"as it should be":       {func(*Task) {}, ""},
		"with a model":          {func(t *Task) { t.Model = "sha256:" + strings.Repeat("a", 64) }, ""},
		"no run":                {func(t *Task) { t.Run = "" }, "not a name"},
		"a run with a slash":    {func(t *Task) { t.Run = "../x" }, "not a name"},
		"shard out of range":    {func(t *Task) { t.Shard = 1 }, "no shard 1 of 1"},
		"a negative shard":      {func(t *Task) { t.Shard = -1 }, "no shard -1 of 1"},
		"too many shards":       {func(t *Task) { t.Shards = MaxShards + 1 }, "shards are 1 to"},
		"an end before a start": {func(t *Task) { t.End = t.Start - 1 }, "days"},
		"eleven years":          {func(t *Task) { t.End = t.Start + 11*366 }, "days"},
		"a digest that is none": {func(t *Task) { t.Model = "latest" }, "model's digest"},
		"a uid for a pseudonym": {func(t *Task) { t.Subjects = []string{"anna@example"} }, "subject 0 is not a pseudonym"},
		"two faults":            {func(t *Task) { t.Run, t.Model = "", "x" }, "model's digest"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			task := aTask(false)
			tt.change(&task)
			err := task.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if _, err := New(Needs{}, aTask(false), Attempt{Number: -1, Holder: "x"}); err == nil {
		t.Error("an attempt below the first is taken")
	}
}

func TestReadManifest(t *testing.T) {
	a, b := strings.Repeat("a", 16), strings.Repeat("b", 43)
	tests := map[string]struct {
		text string
		want []string
		err  bool
	}{
		"two":                      {b + "\n" + a + "\n", []string{a, b}, false},
		"no newline at the end":    {a, []string{a}, false},
		"twice":                    {a + "\n" + a + "\n", []string{a}, false},
		"empty lines, and Windows": {"\r\n" + a + "\r\n\n", []string{a}, false},
		"nothing":                  {"", []string{}, false},
		"too short":                {"abc\n", nil, true},
		"a space":                  {a + " \n", nil, true},
		"a mail address":           {"anna@example.org-and-more\n", nil, true},
		"a line without end":       {strings.Repeat("a", 5000), nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ReadManifest(strings.NewReader(tt.text), aTask(false))
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.err || err != nil && !errors.Is(err, ErrManifest) {
				t.Errorf("%v; pseudonyms (-want +got):\n%s", err, diff)
			}
			if err != nil && strings.Contains(err.Error(), "anna") {
				t.Errorf("the error repeats the line: %v", err)
			}
		})
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add("abcdefghijklmnop\nqrstuvwxyzabcdef\r\n")
	f.Add("\n\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		var all []string
		for i := range 3 {
			task := aTask(false)
			task.Shard, task.Shards = i, 3
			mine, err := ReadManifest(strings.NewReader(text), task)
			if err != nil {
				if i > 0 {
					t.Fatal("one shard reads it, another does not")
				}
				return
			}
			all = append(all, mine...)
		}
		whole, err := ReadManifest(strings.NewReader(text), aTask(false))
		if slices.Sort(all); err != nil || !slices.Equal(all, whole) {
			t.Errorf("three shards have %q, all is %q, %v", all, whole, err)
		}
	})
}

func aState() state {
	return state{Number: 3, Attempt: 1, Holder: "pod", Task: strings.Repeat("0", 64), Cursor: strings.Repeat("b", 16), Succeeded: 2,
		Begun: map[string]string{strings.Repeat("c", 16): "0123456789abcdef"}, Failed: map[string]int64{ReasonNoData: 1}}
}

func TestACheckpointIsReadAsItWasWritten(t *testing.T) {
	raw, err := aState().encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(raw)
	got.Schema = ""
	if diff := cmp.Diff(aState(), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, change := range map[string][2]string{
		"another schema":                {schema, "clarity.shard/2"},
		"an unknown field":              {`"number"`, `"numbr"`},
		"no number":                     {`"number":3`, `"number":0`},
		"a negative attempt":            {`"token":1`, `"token":-1`},
		"no holder":                     {`"holder":"pod"`, `"holder":""`},
		"a cursor that is no pseudonym": {`"cursor":"`, `"cursor":"@`},
		"begun before the cursor":       {`"cccccccccccccccc"`, `"aaaaaaaaaaaaaaaa"`},
		"a mark that is none":           {"0123456789abcdef", "0123456789abcdeg"},
		"a negative count":              {`"succeeded":2`, `"succeeded":-2`},
		"a count of a quadrillion":      {`"succeeded":2`, `"succeeded":1000000000000000`},
		"an unknown reason":             {"NoData", "Weather"},
		"a reason for nobody":           {`"NoData":1`, `"NoData":0`},
	} {
		changed := strings.Replace(string(raw), change[0], change[1], 1)
		if changed == string(raw) {
			t.Fatalf("%s: nothing to change in %s", name, raw)
		}
		if _, err := decodeState([]byte(changed)); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("%s is taken: %v", name, err)
		}
	}
	if _, err := decodeState(append(raw, raw...)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("two of them are taken: %v", err)
	}
	if _, err := decodeState(make([]byte, maxCheckpoint+1)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a large one is taken: %v", err)
	}
}

func FuzzDecodeState(f *testing.F) {
	raw, err := aState().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"schema":"clarity.shard/1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeState(raw)
		if err != nil {
			return
		}
		if r := s.report(); r.Subjects != r.Succeeded+r.Skipped+r.Failed || r.Subjects < 0 {
			t.Errorf("it reports %+v", r)
		}
		again, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(again) > maxCheckpoint {
			return
		}
		if back, err := decodeState(again); err != nil || !cmp.Equal(s.report(), back.report()) {
			t.Errorf("written again it is %+v, %v", back, err)
		}
	})
}

// Those are subjects of whom a day is held, under the names of this release or of
// those before, and nobody else whom there is something of.
func TestWhoHasDaysIsASubject(t *testing.T) {
	w := &world{blobs: map[string][]byte{}}
	p := &process{world: w, step: alive}
	var want []string
	for i, uid := range []string{"a", "a.b", "a b", "ä", "a/b", "..", "zoë"} {
		pseudonym, _ := p.Pseudonym(t.Context(), uid)
		w.others = append(w.others, uid, uid+"-without-days")
		name := uid
		if i%2 == 0 {
			name = pseudonym
		}
		for d := health.Day(1); d < 4; d++ {
			w.blobs[blob.PersonPrefix(blob.KindDays, name)+d.String()+"/x"] = nil
		}
		want = append(want, uid)
	}
	people, err := list(t.Context(), Data{Blobs: p, People: p, Keys: p}, Task{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range people {
		got = append(got, one.uid)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
}
