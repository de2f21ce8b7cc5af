package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/history"
	"github.com/clarity-loop/clarity/cmd/internal/models"
	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preview"
)

// jobArgs is the command line as the operator writes it.
func jobArgs(run string, shards int, start, end, existing string, more ...string) []string {
	return append([]string{"--run=" + run, fmt.Sprintf("--shards=%d", shards), "--start=" + start, "--end=" + end,
		"--analyses=wear,sleep,circadian,activity,cardio,model", "--on-existing=" + existing}, more...)
}

// everyone runs every shard of a job at once and adds up what they say.
func (r testRun) everyone(shards int) (total termination.Report, logs string) {
	r.t.Helper()
	pods := make([]*shardPod, shards)
	for i := range pods {
		pods[i] = r.start(i, 0)
	}
	total.Reasons = map[string]int64{}
	for i, p := range pods {
		code, report := p.end(r.t)
		if code != 0 {
			r.t.Errorf("shard %d ends with %d: %s", i, code, p.log.String())
		}
		total.Subjects, total.Succeeded, total.Skipped, total.Failed = total.Subjects+report.Subjects, total.Succeeded+report.Succeeded, total.Skipped+report.Skipped, total.Failed+report.Failed
		for reason, n := range report.Reasons {
			total.Reasons[reason] += n
		}
		logs += p.out.String() + p.log.String()
	}
	return total, logs
}

// Four weeks of two people, analysed as they come by the platform, and again
// by the shards of jobs: the counts are exact and the documents are the same,
// byte for byte.
func TestShardsComputeWhatThePlatformDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("four weeks of people take their time")
	}
	dir, people := t.TempDir(), []string{"canary-anna", "canary-ben"}
	p := startPlatform(t, dir, models.Preview)
	for i, user := range people {
		c := p.phone(user)
		p.consent(c, true)
		config := history.Default()
		config.Seed = uint64(i + 1)
		h, err := history.Generate(config)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range h.Uploads {
			p.put(c, u.Body, u.Samples, u.Deleted)
		}
	}
	silent := p.phone("canary-silent")
	p.consent(silent, true)
	body, samples := littleUpload(t, 1)
	p.put(silent, body, samples, 0)
	p.settle()
	p.consent(silent, false)

	model := filepath.Join(t.TempDir(), "pat.tar")
	if err := os.WriteFile(model, preview.Bundle(), 0o600); err != nil {
		t.Fatal(err)
	}
	job := func(run, existing string, who ...string) testRun {
		args := jobArgs(run, 4, "2025-10-01", "2025-11-30", existing, append(who, "--model=pat@1", "--model-artifact=file://"+model, "--model-digest="+preview.Digest)...)
		return testRun{t, dir, args, []string{"CLARITY_SHARD_TURN=400ms"}} // several turns: each opens the directory
	}
	busy := job("busy", "Skip", "--all")
	busy.env = append(busy.env, "CLARITY_SHARD_WAIT=200ms")
	if code, report := busy.start(0, 0).end(t); code != 1 || report.Reasons[reasonBusy] != 1 || report.Subjects != 0 {
		t.Errorf("beside a platform: exit %d, %+v", code, report)
	}
	p.stop()
	online := documents(t, dir, people)
	if len(online) < len(people)*2*28 {
		t.Fatalf("the platform came to %d documents", len(online))
	}
	forget(t, dir, people)

	noConsent := map[string]int64{"NoConsent": 1}
	for _, step := range []struct {
		name string
		run  testRun
		want termination.Report
	}{
		{"nothing is there yet", job("first", "Skip", "--all"), termination.Report{Subjects: 3, Succeeded: 2, Failed: 1, Reasons: noConsent}},
		{"everything is there", job("second", "Skip", "--all"), termination.Report{Subjects: 3, Skipped: 2, Failed: 1, Reasons: noConsent}},
		{"replaced", job("third", "Replace", "--all"), termination.Report{Subjects: 3, Succeeded: 2, Failed: 1, Reasons: noConsent}},
	} {
		got, logs := step.run.everyone(4)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(online)), slices.Sorted(maps.Keys(documents(t, dir, people)))); diff != "" {
			t.Fatalf("%s: documents (-online +shards):\n%s", step.name, diff)
		}
		if diff := cmp.Diff(online, documents(t, dir, people)); diff != "" {
			t.Errorf("%s: other documents than the platform's (-online +shards):\n%.2000s", step.name, diff)
		}
		namesNobody(t, dir, logs, append(people, "canary-silent"))
	}

	// The stages behind take what the shards published, and nothing changes.
	q := startPlatform(t, dir, models.Preview)
	q.settle()
	q.stop()
	if diff := cmp.Diff(online, documents(t, dir, people)); diff != "" {
		t.Errorf("after the platform went on: documents (-online +now):\n%.2000s", diff)
	}
	bySubject(t, dir, people, job)
}

// namesNobody says that a pod's output names nobody: neither uid nor pseudonym.
func namesNobody(t *testing.T, dir, logs string, people []string) {
	t.Helper()
	for _, uid := range people {
		pseudonym, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, uid)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(logs, uid) || strings.Contains(logs, pseudonym) {
			t.Errorf("the output names a person:\n%s", logs)
		}
	}
}

// bySubject asks for people by pseudonym: one by name, several by a file.
func bySubject(t *testing.T, dir string, people []string, job func(run, existing string, who ...string) testRun) {
	t.Helper()
	pseudonym, err := datadir.Pseudonym(t.Context(), datadir.Place{Dir: dir}, people[0])
	if err != nil {
		t.Fatal(err)
	}
	nobody := strings.Repeat("n", 43)
	one := job("by-name", "Skip", "--subject="+pseudonym)
	one.args[1] = "--shards=1"
	if code, report := one.start(0, 0).end(t); code != 0 || !cmp.Equal(report, termination.Report{Subjects: 1, Skipped: 1}) {
		t.Errorf("one subject: exit %d, %+v", code, report)
	}
	none := job("nobody", "Skip", "--subject="+nobody)
	none.args[1] = "--shards=1"
	want := termination.Report{Subjects: 1, Failed: 1, Reasons: map[string]int64{"UnknownSubject": 1}}
	if code, report := none.start(0, 0).end(t); code != worker.ExitInvalidInput || !cmp.Equal(report, want) {
		t.Errorf("nobody's pseudonym: exit %d, %+v", code, report)
	}
	manifest := filepath.Join(t.TempDir(), "subjects")
	list := []byte(pseudonym + "\n" + nobody + "\n" + pseudonym + "\n")
	if err := os.WriteFile(manifest, list, 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ := job("by-file", "Replace", "--manifest=file://"+manifest, "--manifest-digest="+bundle.DigestOf(list)).everyone(4)
	want = termination.Report{Subjects: 2, Succeeded: 1, Failed: 1, Reasons: map[string]int64{"UnknownSubject": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by a file (-want +got):\n%s", diff)
	}
	other := job("by-another-file", "Skip", "--manifest=file://"+manifest, "--manifest-digest="+bundle.DigestOf(nil))
	if code, report := other.start(0, 0).end(t); code != worker.ExitInvalidInput || report.Reasons[reasonManifestMismatch] != 1 {
		t.Errorf("another file: exit %d, %+v", code, report)
	}
}

// crowdSize is how many people the crowd is.
const crowdSize = 16

// made is the crowd, of which every test gets a copy.
var made struct {
	once   sync.Once
	dir    string
	people []string
	online map[string]string
}

// crowd is a directory with many people's little uploads and no Results, and
// what the platform came to before those were deleted.
func crowd(t *testing.T) (dir string, people []string, online map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a crowd's uploads take their time")
	}
	made.once.Do(func() { makeCrowd(t) })
	if len(made.online) < crowdSize {
		t.Fatalf("%d documents of %d people", len(made.online), crowdSize)
	}
	dir = t.TempDir()
	for _, part := range []string{"", ".keys"} {
		if err := os.CopyFS(dir+part, os.DirFS(made.dir+part)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, made.people, made.online
}

func makeCrowd(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "clarity-crowd-")
	if err != nil {
		t.Fatal(err)
	}
	made.dir = dir
	p := startPlatform(t, dir, "none")
	for i := range crowdSize {
		user := fmt.Sprintf("canary-%d", i)
		c := p.phone(user)
		p.consent(c, true)
		body, samples := littleUpload(t, i)
		p.put(c, body, samples, 0)
		made.people = append(made.people, user)
	}
	p.settle()
	p.stop()
	made.online = documents(t, dir, made.people)
	forget(t, dir, made.people)
}

// crowdJob is a job of one shard over everyone, which takes short turns.
func crowdJob(t *testing.T, dir, run string) testRun {
	args := jobArgs(run, 1, "2026-08-25", "2026-09-20", "Skip", "--all")
	args[4] = "--analyses=sleep" // no model
	return testRun{t, dir, args, []string{"CLARITY_SHARD_TURN=30ms"}}
}

// A shard's process is killed with SIGKILL at random moments, attempt after
// attempt, until one comes to the end.
func TestAKilledShardCountsEachSubjectOnce(t *testing.T) {
	dir, people, online := crowd(t)
	job := crowdJob(t, dir, "killed")
	seed := uint64(time.Now().UnixNano())
	r, kills := rand.New(rand.NewPCG(seed, 3)), 0
	var report termination.Report
	for attempt := 0; ; attempt++ {
		p := job.start(0, attempt)
		if attempt < 12 {
			p.says(t, "shard claimed")
			select {
			case <-p.exited:
			case <-time.After(time.Duration(r.IntN(250)) * time.Millisecond):
				p.kill()
			}
			if p.cmd.ProcessState.ExitCode() != 0 {
				kills++
				continue
			}
		}
		var code int
		if code, report = p.end(t); code != 0 {
			t.Fatalf("seed %d: attempt %d ends with %d: %s", seed, attempt, code, p.log.String())
		}
		break
	}
	t.Logf("seed %d: %d kills", seed, kills)
	if diff := cmp.Diff(termination.Report{Subjects: crowdSize, Succeeded: crowdSize}, report); diff != "" || kills == 0 {
		t.Errorf("seed %d, %d kills: report (-want +got):\n%s", seed, kills, diff)
	}
	if diff := cmp.Diff(online, documents(t, dir, people)); diff != "" {
		t.Errorf("seed %d: documents (-online +shards):\n%.2000s", seed, diff)
	}
}

// A node is lost, or so it seems: the next attempt starts while the one before runs.
func TestOfTwoAttemptsAtOnceTheLaterHasTheShard(t *testing.T) {
	dir, people, online := crowd(t)
	job := crowdJob(t, dir, "twice")
	first := job.start(0, 0)
	first.says(t, "shard claimed")
	second := job.start(0, 1)
	code, report := second.end(t)
	if diff := cmp.Diff(termination.Report{Subjects: crowdSize, Succeeded: crowdSize}, report); code != 0 || diff != "" {
		t.Errorf("the later attempt: exit %d; report (-want +got):\n%s\n%s", code, diff, second.log.String())
	}
	switch code, report := first.end(t); {
	case code == worker.ExitRetry && report.Reasons[reasonSuperseded] == 1:
	case code == 0 && report.Subjects == crowdSize: // it was done before
		t.Log("the earlier attempt was done before the later one came to its turn")
	default:
		t.Errorf("the earlier attempt: exit %d, %+v: %s", code, report, first.log.String())
	}
	if diff := cmp.Diff(online, documents(t, dir, people)); diff != "" {
		t.Errorf("documents (-online +shards):\n%.2000s", diff)
	}
}

// A node is drained: the shard has its grace period to put on record what is done.
func TestAStoppedShardSaysHowFarItCame(t *testing.T) {
	dir, _, _ := crowd(t)
	job := crowdJob(t, dir, "stopped")
	job.env = append(job.env, "CLARITY_LOG_LEVEL=debug")
	first := job.start(0, 0)
	first.says(t, `shard lease ended","command":"shard","stage":"shard","subjects":[1-9]`)
	began := time.Now()
	first.signal(t, syscall.SIGTERM)
	code, report := first.end(t)
	if took := time.Since(began); code != worker.ExitRetry || report.Reasons[reasonStopped] != 1 || report.Subjects == 0 || report.Subjects == crowdSize || took > 25*time.Second {
		t.Errorf("stopped: exit %d after %v, %+v: %s", code, took, report, first.log.String())
	}
	t.Logf("stopped after %d of %d subjects", report.Subjects, crowdSize)
	code, report = job.start(0, 1).end(t)
	if diff := cmp.Diff(termination.Report{Subjects: crowdSize, Succeeded: crowdSize}, report); code != 0 || diff != "" {
		t.Errorf("the next attempt: exit %d; report (-want +got):\n%s", code, diff)
	}
}

func TestAShardIsToldWhatIsWrongWithItsCommandLine(t *testing.T) {
	good := jobArgs("run", 2, "2026-09-01", "2026-09-07", "Skip", "--all", "--model=pat@1", "--model-artifact=file:///none", "--model-digest="+preview.Digest)
	replace := func(with ...string) []string {
		args := slices.Clone(good)
		for _, w := range with {
			name, _, _ := strings.Cut(w, "=")
			i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, name) })
			if i < 0 {
				args = append(args, w)
			} else {
				args[i] = w
			}
		}
		return args
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		env    map[string]string
		args   []string
		code   int
		reason string
	}{
		"a model that is not there":    {nil, good, worker.ExitRetry, "ModelArtifactNotFound"},
		"a window that ends first":     {nil, replace("--start=2026-09-08"), worker.ExitInvalidInput, reasonArguments},
		"a day that is none":           {nil, replace("--start=2026-02-30"), worker.ExitInvalidInput, reasonArguments},
		"an unknown family":            {nil, replace("--analyses=mood"), worker.ExitInvalidInput, reasonArguments},
		"an unknown policy":            {nil, replace("--on-existing=Ask"), worker.ExitInvalidInput, reasonArguments},
		"everyone and one":             {nil, replace("--subject=" + strings.Repeat("a", 43)), worker.ExitInvalidInput, reasonArguments},
		"a manifest without a digest":  {nil, replace("--all=false", "--manifest=file:///x"), worker.ExitInvalidInput, reasonArguments},
		"a model without a version":    {nil, replace("--model=pat"), worker.ExitInvalidInput, reasonArguments},
		"a run that leads elsewhere":   {nil, replace("--run=../../x"), worker.ExitInvalidInput, reasonArguments},
		"no index":                     {map[string]string{"JOB_COMPLETION_INDEX": ""}, good, worker.ExitInvalidInput, reasonArguments},
		"an index out of range":        {map[string]string{"JOB_COMPLETION_INDEX": "2"}, good, worker.ExitInvalidInput, reasonArguments},
		"failures that are no count":   {map[string]string{"CLARITY_SHARD_FAILURES": "-1"}, good, worker.ExitInvalidInput, reasonArguments},
		"no data directory":            {map[string]string{"CLARITY_DATA": ""}, good, worker.ExitConfiguration, reasonConfiguration},
		"a turn of no time":            {map[string]string{"CLARITY_SHARD_TURN": "0s"}, good, worker.ExitConfiguration, reasonConfiguration},
		"a server without a port":      {nil, replace("--analyses=model", "--model-endpoint=triton"), worker.ExitInvalidInput, reasonArguments},
		"a file for a data directory":  {map[string]string{"CLARITY_DATA": file}, replace("--analyses=sleep"), worker.ExitConfiguration, reasonConfiguration},
		"a path through a file":        {map[string]string{"CLARITY_DATA": filepath.Join(file, "data")}, replace("--analyses=sleep"), worker.ExitConfiguration, reasonConfiguration},
		"a data directory that is not": {nil, replace("--analyses=sleep"), worker.ExitRetry, reasonBackend},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			maps.Copy(p.env, map[string]string{"JOB_COMPLETION_INDEX": "1", "CLARITY_DATA": filepath.Join(t.TempDir(), "none")})
			maps.Copy(p.env, tt.env)
			code, message := p.worker(line("shard", tt.args)...)
			report, err := termination.ParseReport(message)
			if err != nil {
				t.Fatalf("%q: %v", message, err)
			}
			if want := map[string]int64{tt.reason: 1}; code != tt.code || report.Subjects != 0 || !cmp.Equal(report.Reasons, want) {
				t.Errorf("exit %d, want %d; %s, want %s", code, tt.code, message, tt.reason)
			}
		})
	}
}

// The worker has no --data: its sentences name the variable, and what another
// pod would meet, too, is told as the configuration's fault.
func TestAShardNamesItsOwnVariable(t *testing.T) {
	for want, tt := range map[string]struct {
		err    error
		code   int
		reason string
	}{
		"the data directory d is in use by another process: stop that one, or choose another CLARITY_DATA": {&dirlock.InUseError{Dir: "d"}, worker.ExitRetry, reasonBusy},
		"the disk of the data directory d is full: make room, or choose another CLARITY_DATA":              {syscall.ENOSPC, worker.ExitRetry, reasonBackend},
		"the data directory d is on a read-only disk: choose another CLARITY_DATA":                         {syscall.EROFS, worker.ExitConfiguration, reasonConfiguration},
		"the data directory d is not a directory: choose another CLARITY_DATA":                             {syscall.ENOTDIR, worker.ExitConfiguration, reasonConfiguration},
		"this user may not use the data directory d: run as its owner, or choose another CLARITY_DATA":     {fs.ErrPermission, worker.ExitConfiguration, reasonConfiguration},
	} {
		reason, err := shardReason(datadir.Sentence("d", tt.err))
		if err.Error() != want || exitCode(err) != tt.code || reason != tt.reason {
			t.Errorf("exit %d, %s, %q; want %d, %s, %q", exitCode(err), reason, err, tt.code, tt.reason, want)
		}
	}
}

// What the worker may say is what the operator can read: every word is one.
func TestEveryReasonIsAWordOfTheOperators(t *testing.T) {
	for _, reason := range reasons() {
		raw, err := json.Marshal(termination.Report{Reasons: map[string]int64{reason: 1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := termination.ParseReport(string(raw)); err != nil {
			t.Errorf("%q: %v", reason, err)
		}
	}
}
