package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/why"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs/operations/kubectl-clarity.md")

const page = "../../docs/operations/kubectl-clarity.md"

// The page's commands are what --help says, and its table of reasons is the one that why reads.
func TestThePageIsTheHelp(t *testing.T) {
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(content)
	for name, text := range map[string]string{"commands": commandsPage(t), "exit": "```text\n" + exitStatus(t) + "```\n", "reasons": reasonsPage()} {
		begin, end := fmt.Sprintf("<!-- generated: %s -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
		before, rest, found := strings.Cut(got, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("the page has no part %q", name)
		}
		got = before + begin + text + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(got, string(content)); diff != "" {
		t.Errorf("the page is behind (-want +got); go test ./cmd/kubectl-clarity -run TestThePageIsTheHelp -update:\n%s", diff)
	}
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

func reasonsPage() string {
	var b strings.Builder
	for _, table := range []struct {
		title string
		rows  []why.Row
	}{
		{"Of a ModelVersion", why.VersionRows()},
		{"Of an AnalysisJob", why.JobRows()},
		{"Of pods, events and the plugin itself", why.ClusterRows()},
	} {
		fmt.Fprintf(&b, "### %s\n\n| reason | means | who acts | what to do |\n|---|---|---|---|\n", table.title)
		for _, r := range table.rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Reason, cell(r.Means), r.Who, cell(r.Do))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// cell names what a row fills in.
func cell(s string) string {
	return strings.NewReplacer("{object}", "KIND/NAME", "{name}", "NAME", "{ns}", "NAMESPACE", "{model}", "MODEL",
		"{class}", "CLASS", "{queue}", "QUEUE", "{job}", "JOB", "|", "\\|").Replace(s)
}
