package opmetrics

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/internal/kubelab/prometheustest"
)

const (
	alertsFolder    = root + "/config/alerts"
	playbooksFolder = root + "/docs/operations/playbooks"
	playbooksURL    = "https://github.com/clarity-loop/clarity/blob/main/docs/operations/playbooks/"
)

type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

// rules are all rules of config/alerts.
func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, path := range glob(t, alertsFolder+"/*.yaml") {
		var file struct{ Groups []struct{ Rules []rule } }
		read(t, path, &file)
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func alertNames(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			names[r.Alert] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file is %s: %v", pattern, err)
	}
	return paths
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	command := exec.CommandContext(context.Background(), prometheustest.Program(t, "promtool"), args...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args[:2], " "), err, output)
	}
}

func TestRulesAreRules(t *testing.T) {
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, glob(t, alertsFolder+"/*.yaml")...)...)
}

func TestRulesFireWhenTheyShould(t *testing.T) {
	for _, path := range glob(t, alertsFolder+"/tests/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			promtool(t, "test", "rules", path)
		})
	}
}

func TestEveryAlertIsTestedBothWays(t *testing.T) {
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, path := range glob(t, alertsFolder+"/tests/*.yaml") {
		var file struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string `json:"alertname"`
					ExpAlerts []any  `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			}
		}
		read(t, path, &file)
		for _, test := range file.Tests {
			for _, a := range test.AlertRuleTest {
				if len(a.ExpAlerts) > 0 {
					fires[a.Alertname] = true
				} else {
					quiet[a.Alertname] = true
				}
			}
		}
	}
	for _, name := range alertNames(t) {
		if !fires[name] || !quiet[name] {
			t.Errorf("%s: no test says when it fires, or none when it does not", name)
		}
	}
}

func TestEveryAlertHasAPlaybookAndTheReverse(t *testing.T) {
	var pages []string
	for _, path := range glob(t, playbooksFolder+"/*.md") {
		pages = append(pages, strings.TrimSuffix(filepath.Base(path), ".md"))
	}
	if diff := gocmp.Diff(alertNames(t), pages); diff != "" {
		t.Errorf("alerts and playbooks differ (-alerts +pages):\n%s", diff)
	}
	severities := map[string][]string{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		severity := r.Labels["severity"]
		if severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity %q is none of page and ticket", r.Alert, severity)
		}
		severities[r.Alert] = append(severities[r.Alert], severity)
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] != playbooksURL+r.Alert+".md" {
			t.Errorf("%s: annotations are %v", r.Alert, r.Annotations)
		}
	}
	for _, page := range pages {
		content, err := os.ReadFile(filepath.Join(playbooksFolder, page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for _, part := range []string{"# " + page + "\n", "\n## What it means\n", "\n## How to see it\n", "\n## What to do\n", "kubectl"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s.md has no %q", page, part)
			}
		}
		line := strings.SplitN(text, "\n", 4)[2]
		if slices.Contains(severities[page], "page") && !strings.Contains(text, "\n## What not to do\n") {
			t.Errorf("%s.md does not tell whom it wakes what not to do", page)
		}
		for _, severity := range severities[page] {
			if !strings.Contains(line, severity) {
				t.Errorf("%s.md says %s, the alert is a %s", page, line, severity)
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([A-Za-z]+\.md)\)`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(pages, strings.TrimSuffix(link[1], ".md")) {
				t.Errorf("%s.md links to %s, which is not there", page, link[1])
			}
		}
	}
}

// A rule about a metric that nobody tells is an alert that never fires.
func TestRulesAndPlaybooksAskForMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, list := range [][]Metric{catalog(), libraryMetrics(t), modelMetrics(t), platformMetrics(t)} {
		for _, m := range list {
			for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
				known[m.Name+suffix] = true
			}
		}
	}
	name := regexp.MustCompile(`\b(?:clarity|controller_runtime|workqueue|leader_election|rest_client)_[a-z0-9_]+`)
	check := func(where, text string) {
		for _, metric := range name.FindAllString(text, -1) {
			if !known[metric] {
				t.Errorf("%s asks for %s, which nobody tells", where, metric)
			}
		}
	}
	for _, r := range rules(t) {
		check(r.Alert+r.Record, r.Expr)
	}
	for _, path := range glob(t, playbooksFolder+"/*.md") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(filepath.Base(path), string(content))
	}
}

// The values of labels that rules name are from the lists: a misspelt stage never matches.
func TestRulesNameLabelsThatExist(t *testing.T) {
	lists := map[string][]string{
		"stage": stages(), "reason": append(versionReasons(), jobReasons()...), "verdict": verdicts(),
		"state":  slices.Concat(states(), shardStates(), []string{"waiting", "leased", "dead"}), // of jobs, shards, messages
		"source": sources(), "role": {"live", "shadow"}, "outcome": {"ok", "error"},
	}
	matcher := regexp.MustCompile(`\b([a-z_]+)\s*(?:=|!=|=~|!~)\s*"([^"]*)"`)
	for _, r := range rules(t) {
		for _, m := range matcher.FindAllStringSubmatch(r.Expr, -1) {
			list, bounded := lists[m[1]]
			for _, value := range strings.Split(m[2], "|") {
				if bounded && !slices.Contains(list, value) {
					t.Errorf("%s%s: no %s is %q", r.Alert, r.Record, m[1], value)
				}
			}
		}
	}
}

// Playbooks are read at night: what they say to type is there.
func TestPlaybooksUseCommandsOfThePlugin(t *testing.T) {
	use := regexp.MustCompile(`Use:\s*"([a-z]+)`)
	commands := map[string]bool{}
	for file, source := range shipped(t, "cmd") {
		if strings.Contains(file, "kubectl-clarity") {
			for _, m := range use.FindAllStringSubmatch(source, -1) {
				commands[m[1]] = true
			}
		}
	}
	if len(commands) == 0 {
		t.Skip("kubectl-clarity is not in this tree")
	}
	said := regexp.MustCompile(`kubectl clarity ([a-z]+)`)
	for _, path := range glob(t, playbooksFolder+"/*.md") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range said.FindAllStringSubmatch(string(content), -1) {
			if !commands[m[1]] {
				t.Errorf("%s says `%s`, which the plugin has not", filepath.Base(path), m[0])
			}
		}
	}
}
