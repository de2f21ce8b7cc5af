package sim_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A bite is a fault of the platform: one line of it as it must not be. The line is
// there in the source that is compiled, by an overlay, and nowhere else.
type bite struct {
	what     string
	file     string
	from, to string
}

func bites() []bite {
	return []bite{
		{what: "an upload is recorded whatever the person decides meanwhile", file: "services/ingress/internal/uploads/put.go",
			from: ".At(stored.Next(a.received)), demand)", to: ".At(stored.Next(a.received)))\n\t\t_ = demand"},
		{what: "an upload is acknowledged that could not be written", file: "services/ingress/internal/uploads/put.go",
			from: "case err != nil:\n\t\treturn nil, \"failed\", fmt.Errorf(\"record upload", to: "case err != nil && false:\n\t\treturn nil, \"failed\", fmt.Errorf(\"record upload"},
		{what: "an upload is held whatever the person decides meanwhile", file: "services/worker/intake/stage.go",
			from: "u.State, u.HeldAt = record.UploadHeld, now }, s.Store.Under(standing))", to: "u.State, u.HeldAt = record.UploadHeld, now })"},
		{what: "a day is written over what another has written", file: "services/worker/intake/merge.go",
			from: "w.day.String(), w.record.Version, day)", to: "w.day.String(), store.Any, day)"},
		{what: "a deletion that came meanwhile is not looked for again", file: "services/worker/intake/finish.go",
			from: "if j.held.Value.Held.Tombstones != m.tombstones.object {", to: "if j.held.Value.Held.Tombstones != m.tombstones.object && false {"},
		{what: "the digest keeps a day that another has written since", file: "services/worker/intake/finish.go",
			from: "w.record.Version == w.wrote.Version && slices.Contains(w.replaced, there.Version):", to: "len(w.replaced) > 0:"},
		{what: "a merge that was cut off believes the digest", file: "services/worker/intake/finish.go",
			from: "if j.doubted || len(j.record.Value.Days) > 0 {", to: "if j.doubted {"},
		{what: "an upload is merged, and its windows are not asked for with it", file: "services/worker/intake/finish.go",
			from: "with, ask = append(with, asking), now", to: "_, ask = asking, now"},
		{what: "an upload is merged at once, whatever was deleted meanwhile", file: "services/worker/intake/finish.go",
			from: "ToPut(j.held.Key, j.held.Version, after)", to: "ToPut(j.held.Key, store.Any, after)"},
		{what: "a Result is written over a newer one", file: "services/worker/analyse/stage.go",
			from: "req.End.String(), f.before.Version, record.Result{", to: "req.End.String(), store.Any, record.Result{"},
		{what: "windows that were asked for again meanwhile are taken off", file: "services/due/windows.go",
			from: "there && rest.errand.Life == of.errand.Life && gen <= of.errand.Gen {", to: "there && gen >= 0 {"},
		{what: "an outage is taken for an end", file: "services/stage/stage.go",
			from: "return queue.Retry(patience.Backoff(attempt), why)", to: "return queue.Ack()"},
		{what: "a change of the profile asks for nothing", file: "services/ingress/internal/account/profile.go",
			from: "if p.Steers(before.Value) {", to: "if p.Steers(before.Value) && false {"},
		{what: "events are written over what another has told", file: "services/news/news.go",
			from: "ToPut(key(known.last+1), 0, *page)", to: "ToPut(key(known.last+1), store.Any, *page)"},
		{what: "an erasure leaves the documents", file: "services/erasure/erasure.go",
			from: "if err := s.Store.EraseUser(ctx, uid); err != nil {", to: "if err := error(nil); err != nil {"},
	}
}

// TestWhatIsPlantedHasItsPlace keeps the plants true to the source as it changes.
func TestWhatIsPlantedHasItsPlace(t *testing.T) {
	for _, b := range bites() {
		source, err := os.ReadFile(filepath.Join("../..", b.file))
		if err != nil || strings.Count(string(source), b.from) != 1 {
			t.Errorf("%s: %s has %q not once: say what the line is now (%v)", b.what, b.file, b.from, err)
		}
	}
}

// TestBites shows that the simulator finds faults: each of them within a thousand
// seeds. It takes minutes, and runs where BITES says so: "all", or a part of a name.
func TestBites(t *testing.T) {
	which := os.Getenv("BITES")
	if which == "" {
		t.Skip("BITES names none")
	}
	for _, b := range bites() {
		if which != "all" && !strings.Contains(b.what, which) {
			continue
		}
		t.Run(b.what, func(t *testing.T) { b.plant(t) })
	}
}

// plant compiles the fault in and has the simulator look for it.
func (b bite) plant(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, b.file)
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	planted, overlay, program := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {file: planted}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{planted: strings.Replace(string(source), b.from, b.to, 1), overlay: string(text)} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile it: %v\n%s", err, out)
	}
	began := time.Now()
	look := exec.CommandContext(t.Context(), program, "-test.run", "^TestSeeds$", "-test.v")
	look.Env = append(os.Environ(), "SEEDS=1000", "FROM=1", "FAILURES=1", "BITES=")
	out, err := look.CombinedOutput()
	found := regexp.MustCompile(`seed (\d+) fails.*\n.*step \d+: (.*)`).FindSubmatch(out)
	if err == nil || found == nil {
		t.Fatalf("no seed of 1000 fails: %v\n%.2000s", err, out)
	}
	t.Logf("found by seed %s in %v: %.160s", found[1], time.Since(began).Round(time.Second), found[2])
}
