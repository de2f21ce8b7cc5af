package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var powerPlants = flag.String("power.plants", "", "which plants TestPowerCutBites tries, a regular expression")

// TestPowerCutBites takes out, one at a time, what makes something durable: each
// is missed within a few cuts.
func TestPowerCutBites(t *testing.T) {
	if *powerPlants == "" {
		t.Skip("builds and records many platforms: -power.plants=. does")
	}
	needStrace(t)
	wanted := regexp.MustCompile(*powerPlants)
	for name, changes := range plants() {
		if !wanted.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bin := powerBinary(t, changes...)
			r := recordUnderLoad(t, bin)
			found := r.cuts(t, bin, *powerCuts, 1, powerSeeded(t))
			if len(found) == 0 {
				t.Fatalf("nothing is missed in %d cuts", *powerCuts)
			}
			t.Log(found[0])
		})
	}
}

// plants are the places that make something durable, each made to do nothing.
func plants() map[string][]plant {
	const litedb, audit, files, keyring, data = "services/internal/litedb/litedb.go", "services/audit/file/file.go", "services/blob/files/group.go", "services/keyring/tink/destroy.go", "cmd/internal/datadir/"
	return map[string][]plant{
		"commits of the databases":          {{litedb, `"synchronous(FULL)"`, `"synchronous(OFF)"`}, {litedb, `level := "FULL"`, `level := "OFF"`}},
		"lines of the audit log":            {{audit, "errors.Join(fdatasync(l.entries), <-before)", "<-before"}},
		"checkpoints of the audit log":      {{audit, "before <- fdatasync(l.checkpoints)", "before <- nil"}},
		"groups of blobs":                   {{files, "err := g.w.f.Sync(); err != nil", "err := error(nil); err != nil"}},
		"the entry of a segment of blobs":   {{files, "err := g.log.dir.SyncDir(); err != nil", "err := error(nil); err != nil"}},
		"small files":                       {{"internal/durable/durable.go", "		err = f.Sync()\n	}\n	if closed", "	}\n	if closed"}},
		"the entries of small files":        {{"internal/durable/durable.go", "	return SyncDir(dir)\n}\n\n// Copy", "	return nil\n}\n\n// Copy"}},
		"the folders of people's keys":      {{keyring, "return durable.SyncDir(filepath.Dir(parent))", "return nil"}},
		"the entry of the keys' directory":  {{keyring, "return durable.SyncEntry(dir)", "return nil"}, {data + "version.go", "[]string{dir, filepath.Dir(filepath.Clean(dir))}", "[]string{dir}"}},
		"the entries of the data directory": {{data + "datadir.go", "err := syncEntries(dir); err != nil", "err := error(nil); err != nil"}, {audit, "durable.SyncEntry(l.dir)", "nil"}, {data + "version.go", "return syncEntries(dir)", "return nil"}},
	}
}

// small has segments of the blobs and of the audit log so small that some are
// filled, and compacted.
func small() []plant {
	return []plant{
		{"services/blob/files/files.go", "segmentBytes = 8 << 20", "segmentBytes = 32 << 10"},
		{"services/audit/file/segments.go", "segmentBytes = 32 << 20", "segmentBytes = 32 << 10"},
	}
}

// powerBinary is the platform with the changes to its sources.
func powerBinary(t *testing.T, changes ...plant) string {
	t.Helper()
	dir := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	for i, c := range append(small(), changes...) {
		path, err := filepath.Abs(filepath.Join("../..", c.file))
		if err != nil {
			t.Fatal(err)
		}
		from := path
		if before, is := overlay["Replace"][path]; is {
			from = before
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(source), c.old) != 1 {
			t.Fatalf("%s has not once %q", c.file, c.old)
		}
		changed := filepath.Join(dir, fmt.Sprint(i, ".go"))
		if err := os.WriteFile(changed, []byte(strings.Replace(string(source), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay["Replace"][path] = changed
	}
	data, err := json.Marshal(overlay)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "clarity")
	if out, err := exec.Command("go", "build", "-trimpath", "-overlay", filepath.Join(dir, "overlay.json"), "-ldflags", "-s -w -X main.version=test", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build with %v: %v\n%s", changes, err, out)
	}
	return bin
}

// A plant is a change of a source file.
type plant struct{ file, old, new string }
