// Package cmd_test runs what is built from cmd, as whoever comes new to it does.
package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preview"
)

// built is the folder of every command, once somebody asked for it.
var built struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binaries builds every command once, and returns the folder.
func binaries(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "clarity-commands-"); built.err == nil {
			built.err = build(built.dir)
		}
	})
	if built.err != nil {
		t.Fatalf("build the commands: %v", built.err)
	}
	return built.dir
}

// build builds every command into the folder.
func build(dir string) error {
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) < 4 {
		return fmt.Errorf("%d commands, %w", len(mains), err)
	}
	args := []string{"build", "-trimpath", "-ldflags", "-s -w -X main.version=v1.2.3-test", "-o", dir + "/"}
	for _, m := range mains {
		args = append(args, "./"+filepath.Dir(m))
	}
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// A place is a directory in which commands are run, and nothing else of this
// machine: no home, no cluster, no settings.
type place struct {
	bin, dir string
}

func newPlace(t *testing.T, bin string) *place {
	t.Helper()
	return &place{bin, t.TempDir()}
}

func (p *place) command(ctx context.Context, env []string, line ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, line[0]), line[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "KUBECONFIG=" + filepath.Join(p.dir, "no-cluster")}, env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs the command line; the exit code has to be one of codes. However a
// command ends, it does so by itself and with words.
func (p *place) run(t *testing.T, env []string, codes []int, line ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	cmd := p.command(ctx, env, line...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(line, " "), err)
	}
	code := cmd.ProcessState.ExitCode()
	if said := out.String(); !slices.Contains(codes, code) || said == "" || strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ") {
		t.Errorf("%s: exit %d, want one of %v with words:\n%s", strings.Join(line, " "), code, codes, said)
	}
	return out.String()
}

// up runs `clarity up` with the arguments until stop, which expects a clean end.
func (p *place) up(t *testing.T, env []string, args ...string) (stop func()) {
	t.Helper()
	_, stop = p.upAt(t, env, args...)
	return stop
}

// upAt is up, and where it answers.
func (p *place) upAt(t *testing.T, env []string, args ...string) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := p.command(ctx, env, append([]string{"clarity", "up"}, args...)...)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cancel)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready http://127.0.0.1:") {
		cancel()
		_ = cmd.Wait()
		t.Fatalf("clarity up %v says %q, %v; log:\n%s", args, line, err, log.String())
	}
	return strings.Fields(line)[1], func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("clarity up %v ends with %v; log:\n%s", args, err, log.String())
		}
	}
}

// write puts a file into the place.
func (p *place) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const export = `<?xml version="1.0" encoding="UTF-8"?>
<HealthData locale="en_DE">
 <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Watch" unit="count/min" startDate="2026-02-01 10:00:00 +0100" endDate="2026-02-01 10:00:00 +0100" value="61"/>
 <Record type="HKQuantityTypeIdentifierStepCount" sourceName="Phone" unit="count" startDate="2026-02-01 11:00:00 +0100" endDate="2026-02-01 11:05:00 +0100" value="400"/>
</HealthData>
`

// anyPort is the one default that a test cannot keep: the port may be taken.
var anyPort = []string{"CLARITY_LISTEN=127.0.0.1:0"}

// Every command of every binary is run with its defaults, and with paths as one
// types them, in an empty directory.
func TestEveryCommandWithItsDefaults(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs every binary")
	}
	bin := binaries(t)
	t.Run("clarity", func(t *testing.T) { testClarity(t, newPlace(t, bin)) })
	t.Run("clarity, from nothing", func(t *testing.T) { testClarityFromNothing(t, newPlace(t, bin)) })
	t.Run("worker", func(t *testing.T) { testWorker(t, newPlace(t, bin)) })
	t.Run("the three over a cloud", func(t *testing.T) { testServers(t, newPlace(t, bin)) })
	t.Run("manager", func(t *testing.T) { testManager(t, newPlace(t, bin)) })
	t.Run("kubectl-clarity", func(t *testing.T) { testPlugin(t, newPlace(t, bin)) })
}

// commandsOf reads the commands from a binary's help: lines that begin with two
// spaces and a word, behind the heading.
func commandsOf(help, heading string) []string {
	_, list, _ := strings.Cut(help, heading)
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+)[ \n]`).FindAllStringSubmatch(list, -1) {
		out = append(out, m[1])
	}
	return out
}

func testClarity(t *testing.T, p *place) {
	p.write(t, "export.xml", export)
	b, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "w.safetensors", string(b.Weights))
	p.write(t, "card.md", b.Card)
	p.write(t, "clarity.yaml", "data: elsewhere\nlog: {format: json}\n")
	ok := []int{0}
	stop := p.up(t, anyPort)
	ran := map[string]bool{"up": true}
	for _, line := range [][]string{
		{"token", "--user", "anna"},
		{"upload", "export.xml", "--wait"},
		{"subject", "--user", "me"},
		{"audit", "verify"},
		{"keys", "rotate", "kek"},
		{"keys", "list"},
		{"backup", "copy"},
	} {
		p.run(t, nil, ok, append([]string{"clarity"}, line...)...)
		ran[line[0]] = true
	}
	stop()
	if err := os.Rename(filepath.Join(p.dir, "clarity-data"), filepath.Join(p.dir, "lost")); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{
		{"restore", "copy"},
		{"fsck"},
		{"demo"},
		{"dead"},
		{"dead", "--data", "clarity-data"},
		{"audit", "verify", "--data", "./clarity-data"},
		{"analyze", "export.xml", "--svg", "drawn.svg"},
		{"model", "inspect"},
		{"model", "verify"},
		{"model", "golden", "golden.json"},
		{"model", "import", "w.safetensors", "--name", "mine", "--card", "card.md", "--label", "x", "--out", "mine.tar"},
		{"model", "inspect", "mine.tar"},
		{"model", "verify", "./mine.tar"},
		{"model", "golden", "mine.tar", "golden.json"},
		{"model", "push-dir", "mine.tar", "layout"},
		{"model", "export-onnx", "mine.tar", "triton"},
		{"demo", "--model", "mine.tar"},
		{"up", "--check"},
		{"up", "--check", "--config", "clarity.yaml"},
		{"version"}, {"--version"}, {"help"}, {"--help"},
	} {
		p.run(t, anyPort, ok, append([]string{"clarity"}, line...)...)
		ran[line[0]] = true
	}
	p.up(t, anyPort, "--data", "deep/er", "--model", "mine.tar")()
	p.up(t, anyPort, "--data", "../"+filepath.Base(p.dir)+"/up", "--store", "sqlite:a store", "--stages", "worker,ingress")()
	p.up(t, anyPort, "--config", "clarity.yaml")()
	for _, made := range []string{"clarity-data/store.db", "deep/er/store.db", "up/queue.db", "a store/store.db", "elsewhere/store.db", "drawn.svg", "layout/oci-layout", "triton/mine/config.pbtxt"} {
		if _, err := os.Stat(filepath.Join(p.dir, made)); err != nil {
			t.Errorf("what a command should have made is not there: %v", err)
		}
	}
	for _, c := range commandsOf(p.run(t, nil, ok, "clarity", "help"), "Usage:") {
		if !ran[c] {
			t.Errorf("clarity %s is run by no line of this test", c)
		}
		p.run(t, nil, ok, "clarity", c, "--help")
	}
}

// Without a platform and without arguments a command does its work, or says in
// words what it needs: 1 could not, 2 a usage error.
func testClarityFromNothing(t *testing.T, p *place) {
	codes := map[string][]int{"demo": {0}, "version": {0}}
	commands := commandsOf(p.run(t, nil, []int{0}, "clarity", "help"), "Usage:")
	if len(commands) < 10 {
		t.Fatalf("the help lists %v", commands)
	}
	for _, c := range commands {
		want, known := codes[c]
		if !known {
			want = []int{1, 2}
		}
		if c != "up" { // it would stay
			p.run(t, nil, want, "clarity", c)
		}
	}
	p.run(t, nil, []int{2}, "clarity")
	p.run(t, nil, []int{1}, "clarity", "dead", "--data", "not/there")
	p.run(t, nil, []int{2}, "clarity", "up", "--stages", "")
	p.run(t, nil, []int{2}, "clarity", "up", "--config", "not-there.yaml")
}

func testWorker(t *testing.T, p *place) {
	p.up(t, anyPort)() // leaves a data directory
	p.write(t, "model.tar", string(preview.Bundle()))
	if err := os.Mkdir(filepath.Join(p.dir, "repository"), 0o700); err != nil {
		t.Fatal(err)
	}
	ok, never := []int{0}, []int{65}
	for _, line := range [][]string{{"help"}, {"--help"}, {"version"}, {"--version"}} {
		p.run(t, nil, ok, append([]string{"worker"}, line...)...)
	}
	p.run(t, nil, never, "worker")
	for _, c := range commandsOf(p.run(t, nil, ok, "worker", "help"), "Commands:") {
		if c != "version" {
			want := never
			if c == "serve" { // it is told what is wrong with its configuration
				want = []int{2}
			}
			p.run(t, nil, want, "worker", c)
			p.run(t, nil, ok, "worker", c, "--help")
		}
	}
	p.run(t, nil, ok, "worker", "fetch", "--artifact-uri=file://"+filepath.Join(p.dir, "model.tar"), "--artifact-digest="+preview.Digest,
		"--model=mine", "--repository=repository", "--max-batch=4", "--gpu=false")
	p.run(t, []string{"CLARITY_DATA=clarity-data", "JOB_COMPLETION_INDEX=0", "CLARITY_SHARD_WAIT=1m"}, ok, "worker", "shard", "--run=r", "--shards=1",
		"--start=2026-02-01", "--end=2026-02-01", "--analyses=sleep", "--on-existing=Skip", "--all")
	if _, err := os.Stat(filepath.Join(p.dir, "repository", "mine", "config.pbtxt")); err != nil {
		t.Errorf("fetch into a relative repository: %v", err)
	}
}

// cloudFile is a configuration that all three binaries read: each takes what it needs.
const cloudFile = `
backends:
  store: firestore:demo-clarity/clarity
  queue: pubsub:demo-clarity/clarity-queue
  blobs: gcs:demo-clarity-objects
  keys: kms:projects/demo-clarity/locations/europe-west3/keyRings/clarity/cryptoKeys/kek?documents=demo-clarity/clarity-keys
  identity: firebase:demo-clarity
  audit: gcs:demo-clarity-audit
  model: preview
listen: {admin: "127.0.0.1:0"}
`

// testServers: each of the three says what it needs, takes the one file, and together
// they run every stage once.
func testServers(t *testing.T, p *place) {
	p.write(t, "cloud.yaml", cloudFile)
	ran := map[string]int{}
	for _, line := range [][]string{{"ingress"}, {"worker", "serve"}, {"insights"}} {
		at := func(rest ...string) []string { return append(slices.Clone(line), rest...) }
		said := p.run(t, nil, []int{2}, line...)
		for _, what := range []string{"store", "queue", "keys", "audit"} {
			if !strings.Contains(said, what+`: "" names no driver; this binary has `) {
				t.Errorf("%v does not ask for its %s: %s", line, what, said)
			}
		}
		said = p.run(t, nil, []int{0}, at("--config", "cloud.yaml", "--check")...)
		for _, m := range regexp.MustCompile(`(?m)^stage +(\w+) +needs `).FindAllStringSubmatch(said, -1) {
			ran[m[1]]++
		}
		if !strings.Contains(said, "firestore:demo-clarity/clarity\n") {
			t.Errorf("%v --check says:\n%s", line, said)
		}
		wrong := p.run(t, []string{"CLARITY_STORE=firestore:nowhere", "FIRESTORE_EMULATOR_HOST=127.0.0.1:1", "CLARITY_GRACE=soon"}, []int{2}, at("--config", "cloud.yaml", "--log", "xml")...)
		for _, what := range []string{"store: it names no PROJECT/DATABASE: write firestore:PROJECT/DATABASE", "FIRESTORE_EMULATOR_HOST leads to an emulator", `CLARITY_GRACE: "soon" is not a duration`, "text, json or google:PROJECT"} {
			if !strings.Contains(wrong, what) {
				t.Errorf("%v does not say %q: %s", line, what, wrong)
			}
		}
		for _, word := range []string{"help", "--help", "version", "--version"} {
			p.run(t, nil, []int{0}, at(word)...)
		}
	}
	for _, stage := range []string{"ingress", "worker", "insights", "delivery", "exports", "erasure"} {
		if ran[stage] != 1 {
			t.Errorf("the stage %s is run by %d of the three", stage, ran[stage])
		}
	}
}

func testManager(t *testing.T, p *place) {
	for _, line := range []string{"--help", "version", "--version"} {
		p.run(t, nil, []int{0}, "manager", line)
	}
	p.run(t, nil, []int{1}, "manager")
	p.run(t, nil, []int{1}, "manager", "--check", "--config", "not-there.yaml")
	p.run(t, nil, []int{2}, "manager", "--nope")
}

func testPlugin(t *testing.T, p *place) {
	for _, line := range [][]string{nil, {"help"}, {"--help"}, {"version"}, {"--version"}} {
		p.run(t, nil, []int{0}, append([]string{"kubectl-clarity"}, line...)...)
	}
	commands := commandsOf(p.run(t, nil, []int{0}, "kubectl-clarity", "help"), "Commands:")
	if len(commands) < 10 {
		t.Fatalf("the help lists %v", commands)
	}
	for _, c := range commands {
		p.run(t, nil, []int{0}, "kubectl-clarity", c, "--help")
		p.run(t, nil, []int{0, 1, 2}, "kubectl-clarity", c)
	}
}
