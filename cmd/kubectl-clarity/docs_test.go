package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/why"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs/operations")

const (
	pages   = "../../docs/operations/"
	samples = "../../config/samples/"
)

// The pages' commands are what --help says, their reasons are the table that
// why reads, their fields are the definitions', and their examples the samples.
func TestThePagesSayWhatIs(t *testing.T) {
	tests := map[string]map[string]string{
		"kubectl-clarity.md": {
			"exit": "```text\n" + exitStatus(t) + "```\n", "reasons": reasonsPage(why.ClusterRows()), "commands": commandsPage(t),
		},
		"modelversion.md": {
			"example": example(t, "modelversion.yaml"), "fields": fieldsPage[v1alpha1.ModelVersionSpec](t, "modelversions"),
			"reasons": reasonsPage(why.VersionRows()),
		},
		"analysisjob.md": {
			"example": example(t, "analysisjob.yaml"), "fields": fieldsPage[v1alpha1.AnalysisJobSpec](t, "analysisjobs"),
			"reasons": reasonsPage(why.JobRows()),
		},
	}
	for page, parts := range tests {
		t.Run(page, func(t *testing.T) {
			content := readPage(t, page)
			want := content
			for name, text := range parts {
				begin, end := fmt.Sprintf("<!-- generated: %s -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
				before, rest, found := strings.Cut(want, begin)
				_, after, closed := strings.Cut(rest, end)
				if !found || !closed {
					t.Fatalf("the page has no part %q", name)
				}
				want = before + begin + text + end + after
			}
			if *update {
				if err := os.WriteFile(pages+page, []byte(want), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, content); diff != "" {
				t.Errorf("the page is behind (-want +got); go test ./cmd/kubectl-clarity -run ThePagesSay -update:\n%s", diff)
			}
		})
	}
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	content, err := os.ReadFile(pages + page)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Each stage, state and condition has a row of its own in its page.
func TestThePagesTellEveryStageAndCondition(t *testing.T) {
	tests := map[string][]string{
		"modelversion.md": {
			"Pending", "Verifying", "Starting", "Validating", "Shadow", "Canary", "Active", "Standby", "Retired", "Rejected", "RolledBack",
			v1alpha1.ConditionArtifactVerified, v1alpha1.ConditionAvailable, v1alpha1.ConditionValidated, v1alpha1.ConditionPromoted,
			v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
		},
		"analysisjob.md": {
			"Pending", "Queued", "Running", "Suspended", "Succeeded", "Failed", "Cancelled",
			v1alpha1.ConditionAccepted, v1alpha1.ConditionModelResolved, v1alpha1.ConditionQueued, v1alpha1.ConditionStarted,
			v1alpha1.ConditionSuspended, v1alpha1.ConditionSucceeded, v1alpha1.ConditionFailed, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
		},
	}
	for page, words := range tests {
		content := readPage(t, page)
		for _, word := range words {
			if !strings.Contains(content, "\n| "+word+" |") {
				t.Errorf("%s has no row %q", page, word)
			}
		}
	}
	// The words above are all that the definitions allow.
	for kind, field := range map[string]string{"modelversions": "stage", "analysisjobs": "state"} {
		page := strings.TrimSuffix(kind, "s") + ".md"
		for _, v := range schemaOf(t, kind).Properties["status"].Properties[field].Enum {
			if word := strings.Trim(string(v.Raw), `"`); !strings.Contains(readPage(t, page), "\n| "+word+" |") {
				t.Errorf("%s has no row %q", page, word)
			}
		}
	}
}

// Every object in the pages is one that the API server takes.
func TestThePagesExamplesAreTaken(t *testing.T) {
	w := newWorld(t)
	for _, page := range []string{"modelversion.md", "analysisjob.md", "kubectl-clarity.md"} {
		blocks := strings.Split(readPage(t, page), "```yaml\n")[1:]
		for i, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			var v v1alpha1.ModelVersion
			var j v1alpha1.AnalysisJob
			switch {
			case strings.Contains(block, "kind: ModelVersion"):
				w.must(yaml.UnmarshalStrict([]byte(block), &v))
				v.Namespace = w.namespace
				w.must(w.client.Create(t.Context(), &v))
			case strings.Contains(block, "kind: AnalysisJob"):
				w.must(yaml.UnmarshalStrict([]byte(block), &j))
				w.in = block
				w.ok("job", "create", "-f", "-", "--dry-run=server")
			default:
				t.Errorf("block %d of %s is no object", i, page)
			}
		}
		if len(blocks) == 0 && page != "kubectl-clarity.md" {
			t.Errorf("%s has no example", page)
		}
	}
}

// Every `kubectl clarity` line of the pages is one that the plugin understands.
func TestThePagesCommandsAreUnderstood(t *testing.T) {
	w := &world{t: t, namespace: "clarity", kubeconfig: t.TempDir() + "/none"}
	known := 0
	for _, page := range []string{"modelversion.md", "analysisjob.md", "kubectl-clarity.md"} {
		for _, line := range strings.Split(readPage(t, page), "\n") {
			line, isPrompt := strings.CutPrefix(line, "$ kubectl clarity ")
			if !isPrompt {
				continue
			}
			known++
			line, _, _ = strings.Cut(line, "  #")
			if o := w.run(strings.Fields(line)...); o.code == fault.Usage {
				t.Errorf("%s: kubectl clarity %s: %s", page, line, o.err)
			}
		}
	}
	if known == 0 {
		t.Error("the pages show no command")
	}
}

func example(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(samples + file)
	if err != nil {
		t.Fatal(err)
	}
	return "```yaml\n" + string(content) + "```\n"
}

// commandsPage is the help of every command.
func commandsPage(t *testing.T) string {
	t.Helper()
	root := newRoot(&process{})
	var b strings.Builder
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, child := range c.Commands() {
			if child.HasAvailableSubCommands() {
				walk(child)
				continue
			}
			args := strings.Fields(strings.TrimPrefix(child.CommandPath(), "kubectl clarity "))
			help := offline(t, append(args, "--help")...)
			help, _, _ = strings.Cut(help, "\nkubectl's own flags")
			fmt.Fprintf(&b, "### %s\n\n```text\n%s\n```\n\n", strings.Join(args, " "), strings.TrimRight(help, "\n"))
		}
	}
	walk(root)
	return b.String()
}

func exitStatus(t *testing.T) string {
	t.Helper()
	_, exit, found := strings.Cut(rootHelp, "Exit status:\n")
	if !found {
		t.Fatal("the help does not tell the exit status")
	}
	return exit + "\n"
}

func reasonsPage(rows []why.Row) string {
	var b strings.Builder
	b.WriteString("| reason | means | who acts | what to do |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Reason, filled(r.Means), r.Who, filled(r.Do))
	}
	return b.String()
}

// filled names what a row's words in braces stand for.
func filled(s string) string {
	return strings.NewReplacer("{object}", "KIND/NAME", "{name}", "NAME", "{ns}", "NAMESPACE", "{model}", "MODEL",
		"{class}", "CLASS", "{queue}", "QUEUE", "{job}", "JOB", "|", "\\|").Replace(s)
}
