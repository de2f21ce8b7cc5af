package charts_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The values that the pages show are taken, and install what they say.
func TestTheValuesOfThePagesAreTaken(t *testing.T) {
	pages, err := filepath.Glob("../docs/operations/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(content), "```yaml\n# values\n")[1:] {
			values, _, closed := strings.Cut(block, "```")
			if !closed {
				t.Fatalf("%s: a block is not closed", page)
			}
			seen++
			file := filepath.Join(t.TempDir(), "mine.yaml")
			if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
				t.Fatal(err)
			}
			objects := render(t, "--values="+file)
			for _, name := range []string{"clarity-ingress", "clarity-worker", "clarity-insights"} {
				find(t, objects, "Deployment", name)
			}
			find(t, objects, "Gateway", "clarity")
			find(t, objects, "FirestoreDatabase", "clarity-documents")
		}
	}
	if seen == 0 {
		t.Error("no page shows values")
	}
}

// shells are the blocks of shell of the pages of operations, by page.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	blocks := map[string][]string{}
	for _, pattern := range []string{"../docs/operations/*.md", "../docs/operations/playbooks/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, page := range pages {
			content, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, block := range strings.Split(string(content), "```sh\n")[1:] {
				text, _, _ := strings.Cut(block, "```")
				blocks[page] = append(blocks[page], strings.ReplaceAll(text, "\\\n", " "))
			}
		}
	}
	return blocks
}

// addons are what a Standard cluster has of what the chart needs: who lists any turns off the
// others, those that a cluster has by itself too.
var addons = []string{"ConfigConnector", "HttpLoadBalancing", "HorizontalPodAutoscaling"}

// What the pages say to a shell is shell, and their clusters have what the chart needs of them.
func TestThePagesSpeakShell(t *testing.T) {
	listed := regexp.MustCompile(`--addons=(\S+)`)
	clusters := 0
	for page, blocks := range shells(t) {
		for _, block := range blocks {
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(block)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %s:\n%s", page, out, block)
			}
			for _, m := range listed.FindAllStringSubmatch(block, -1) {
				clusters++
				for _, addon := range addons {
					if !slices.Contains(strings.Split(m[1], ","), addon) {
						t.Errorf("%s: a cluster without %s, as it is not in --addons=%s", page, addon, m[1])
					}
				}
			}
		}
	}
	if clusters == 0 {
		t.Error("no page makes a cluster with addons")
	}
}

// The page's first upload takes the token out of the answer of who signs people up, however
// that sets its blanks.
func TestTheTokenIsTakenOutOfTheAnswer(t *testing.T) {
	script := regexp.MustCompile(`sed -n '([^']*idToken[^']*)'`)
	seen := 0
	for page, blocks := range shells(t) {
		for _, m := range script.FindAllStringSubmatch(strings.Join(blocks, ""), -1) {
			seen++
			for _, answer := range []string{`{"kind": "k", "idToken": "a.b-c", "email": "x"}`, `{"kind":"k","idToken":"a.b-c","email":"x"}`, "{\n  \"idToken\": \"a.b-c\",\n  \"email\": \"x\"\n}"} {
				cmd := exec.CommandContext(t.Context(), "sed", "-n", m[1]) //nolint:gosec // the page's own
				cmd.Stdin = strings.NewReader(answer)
				if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "a.b-c" {
					t.Errorf("%s: of %s it takes %q, %v", page, answer, out, err)
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no page takes a token")
	}
}

// What the pages have run in a pod is taken by the program there, with the configuration that
// the pod has: it opens nothing here, and says what it would.
func TestThePodsTakeWhatThePagesRunInThem(t *testing.T) {
	if testing.Short() {
		t.Skip("linking the programs takes its time")
	}
	line := regexp.MustCompile(`exec (?:-i )?deploy/clarity-(\w+) -- /(\w+) ([^|<#\n]+)`)
	objects, ran := render(t, "--values="+full), map[string]bool{}
	for page, blocks := range shells(t) {
		for _, block := range blocks {
			for _, m := range line.FindAllStringSubmatch(block, -1) {
				if said, err := inPod(t, objects, m[1], m[2], append([]string{"--check"}, strings.Fields(m[3])...)); err != nil {
					t.Errorf("%s: %s: %v: %s", page, m[0], err, said)
				}
				ran[m[2]+" "+strings.Fields(m[3])[0]] = true
			}
		}
	}
	for _, want := range []string{"insights audit", "insights dead", "insights subject", "insights keys"} {
		if !ran[want] {
			t.Errorf("no page says how %s is run", want)
		}
	}
}

// inPod runs a program with the environment and the files of a stage's pod, and no more.
func inPod(t *testing.T, objects []unstructured.Unstructured, stage, name string, args []string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	content := text(t, find(t, objects, "ConfigMap", "clarity-"+stage+"-config"), "data", "config.yaml")
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // the first start of a program that was just linked
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	cmd.Env = []string{}
	for _, e := range podOf(t, objects, stage).Containers[0].Env {
		cmd.Env = append(cmd.Env, e.Name+"="+strings.Replace(e.Value, "/etc/clarity/", dir+"/", 1))
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
