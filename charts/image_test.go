package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stage is one FROM of the Dockerfile and what follows it.
type stage struct {
	from, name string
	lines      []instruction
}

type instruction struct{ verb, rest string }

var (
	pinned = regexp.MustCompile(`^[a-z0-9./-]+(:[A-Za-z0-9._-]+)?@sha256:[0-9a-f]{64}$`)
	linked = regexp.MustCompile(`-X main\.version=\$\{VERSION\}`)
	known  = []string{"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT"}
)

// imaged are the programs that have an image.
var imaged = []string{"manager", "worker", "ingress", "insights"}

// dockerfile parses a Dockerfile into its stages, and tells what it does not understand.
func dockerfile(content string, tell func(string)) []stage {
	var stages []stage
	content = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(content, "")
	content = strings.ReplaceAll(content, "\\\n", " ")
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch fields := strings.Fields(rest); {
		case !slices.Contains(known, verb):
			tell("an instruction that is none: " + line)
		case verb == "FROM" && len(fields) == 3 && fields[1] == "AS":
			stages = append(stages, stage{from: fields[0], name: fields[2]})
		case verb == "FROM" || len(stages) == 0:
			tell("a stage without a name: " + line)
		default:
			last := &stages[len(stages)-1]
			last.lines = append(last.lines, instruction{verb, rest})
		}
	}
	return stages
}

// The image cannot be built where these tests run; what can be known of it without, is held.
func TestTheImagesAreWhatTheChartRuns(t *testing.T) {
	content, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	shipped, built := map[string]string{}, map[string]string{}
	for _, s := range dockerfile(string(content), func(what string) { t.Error(what) }) {
		if s.from != "scratch" && !names[s.from] && !pinned.MatchString(s.from) {
			t.Errorf("stage %s is from %s: want scratch, a stage or a digest", s.name, s.from)
		}
		names[s.name] = true
		for _, line := range s.lines {
			switch line.verb {
			case "RUN":
				for _, program := range regexp.MustCompile(`\./cmd/(\S+)`).FindAllStringSubmatch(line.rest, -1) {
					if _, err := os.Stat(filepath.Join("..", "cmd", program[1], "main.go")); err != nil {
						t.Errorf("it builds cmd/%s: %v", program[1], err)
					}
					built[program[1]] = linked.FindString(line.rest)
				}
			case "COPY":
				if from, ok := strings.CutPrefix(strings.Fields(line.rest)[0], "--from="); ok && !names[from] {
					t.Errorf("stage %s copies from %s, which is not there yet", s.name, from)
				}
			case "USER":
				if line.rest != "65532:65532" {
					t.Errorf("stage %s runs as %s", s.name, line.rest)
				}
			case "ENTRYPOINT":
				shipped[s.name] = line.rest
			}
		}
	}
	for _, program := range imaged {
		if shipped[program] != `["/`+program+`"]` {
			t.Errorf("target %s starts %q", program, shipped[program])
		}
		if built[program] == "" {
			t.Errorf("%s is built without -X main.version=${VERSION}: nobody could ask a pod what it is", program)
		}
	}
	if len(shipped) != len(imaged) {
		t.Errorf("the images are %v", shipped)
	}
}

// What a build is given holds no data and no history, and everything that is built.
func TestABuildIsGivenTheSourcesAlone(t *testing.T) {
	content, err := os.ReadFile("../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(string(content), ""))
	if lines[0] != "*" {
		t.Errorf("it begins with %q: everything must be left out first", lines[0])
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../cmd/manager", "../cmd/worker", "../cmd/ingress", "../cmd/insights").Output()
	if err != nil {
		t.Fatalf("list what the programs are made of: %v", err)
	}
	needed := []string{"go.mod", "go.sum"}
	for pkg := range strings.FieldsSeq(string(out)) {
		if inside, ours := strings.CutPrefix(pkg, "github.com/clarity-loop/clarity/"); ours {
			top, _, _ := strings.Cut(inside, "/")
			needed = append(needed, top)
		}
	}
	slices.Sort(needed)
	needed = slices.Compact(needed)
	if !slices.Contains(needed, "services") || !slices.Contains(needed, "controllers") {
		t.Fatalf("the programs are made of %v", needed)
	}
	for _, top := range needed {
		if !slices.Contains(lines, "!"+top) {
			t.Errorf("%s is left out", top)
		}
	}
}

// The linker sets what the Dockerfile says, and the program tells it.
func TestAProgramSaysTheVersionItWasBuiltWith(t *testing.T) {
	if testing.Short() {
		t.Skip("linking the programs takes its time")
	}
	for _, name := range shipped {
		for _, word := range []string{"version", "--version"} {
			out, err := exec.CommandContext(t.Context(), program(t, name), word).Output()
			if want := name + " " + version + " (commit "; err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%s %s: %v, %q; want %q…", name, word, err, out, want)
			}
		}
	}
}

func TestABadDockerfileIsFound(t *testing.T) {
	var told []string
	stages := dockerfile("FROM golang:1.26\nFROM scratch AS x\nHEALTHCHECK none\n", func(what string) { told = append(told, what) })
	if len(told) != 2 || len(stages) != 1 {
		t.Errorf("told %q, stages %v", told, stages)
	}
	if pinned.MatchString("golang:1.26") || !pinned.MatchString("golang:1.26@sha256:"+strings.Repeat("0", 64)) {
		t.Error("a tag is taken for a digest")
	}
}
