package house_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

func repository() fs.FS { return os.DirFS("../..") }

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	for _, fault := range deadLinks(t, repository()) {
		t.Error(fault)
	}
}

func TestEveryPageIsLinked(t *testing.T) {
	for _, page := range orphans(t, repository()) {
		t.Errorf("%s: no page links it; docs/README.md lists them", page)
	}
}

// The index of decisions has each, by number, title and state.
func TestEveryDecisionIsInTheIndex(t *testing.T) {
	index := read(t, repository(), "docs/adr/README.md")
	pages, err := fs.Glob(repository(), "docs/adr/[0-9]*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d decisions, %v", len(pages), err)
	}
	for _, page := range pages {
		m := regexp.MustCompile(`^# (\d+)\. (.+)\n\n\*(.+)\*\n`).FindStringSubmatch(read(t, repository(), page))
		if m == nil {
			t.Errorf("%s does not begin with number, title and state", page)
			continue
		}
		if row := fmt.Sprintf("| %s | [%s](%s) | %s |\n", m[1], m[2], path.Base(page), m[3]); !strings.Contains(index, row) {
			t.Errorf("docs/adr/README.md lacks the row\n%s", row)
		}
	}
}

// What is cited must be in the repository: a reader has nothing else.
func TestNothingCitesAPageThatIsNotHere(t *testing.T) {
	for _, fault := range citations(t, repository()) {
		t.Error(fault)
	}
}

func TestPlantedFaultsOfPagesAreFound(t *testing.T) {
	root := fstest.MapFS{
		"README.md":                {Data: []byte("[a](docs/a.md) [b](docs/b.md#two) [c](https://example.org/x.md) [d](docs/list) `[e](gone.md)`\n```\n[f](gone.md)\n```\n")},
		"docs/a.md":                {Data: []byte("# A\n\n[up](../README.md), [gone](gone.md), [here](#a), [nowhere](#b)\n`make nothing`\n")},
		"docs/b.md":                {Data: []byte("# B\n\n## One, and `two`\n\nAs DESI" + "GN says.\n")},
		"Makefile":                 {Data: []byte(".PHONY: all\nall: ## Do all\n\ttrue\n.PHONY: hidden\nhidden:\n\ttrue\n")},
		".ci/run":                  {Data: []byte("step make all\nstep timeout 9 make none\n")},
		"docs/list/one.md":         {Data: []byte("# One\n")},
		"docs/alone.md":            {Data: []byte("# Alone\n")},
		"services/x/x.go":          {Data: []byte("package x\n\n// See " + "§5 and OPER" + "ATOR.md.\n")},
		"services/x/rfc.go":        {Data: []byte("package x\n\n// RFC 9112 (" + "§6.3, §11.2) says so, RFC 7515,\n// " + "§4, too.\n")},
		"services/x/testdata/t.go": {Data: []byte("// OPER" + "ATOR.md\n")},
	}
	want := []string{
		"README.md: docs/b.md#two: docs/b.md has no such heading",
		"docs/a.md: #b: docs/a.md has no such heading",
		"docs/a.md: gone.md: there is no docs/gone.md",
	}
	if diff := gocmp.Diff(want, deadLinks(t, root)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{"docs/alone.md"}, orphans(t, root)); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{
		".ci/run: names `make none`, which the Makefile has not",
		"Makefile: `make help` does not show hidden",
		"docs/a.md: names `make nothing`, which the Makefile has not",
	}, strangers(t, root)); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	want = []string{"docs/b.md:5: cites DESI" + "GN", "services/x/x.go:3: cites OPER" + "ATOR.md", "services/x/x.go:3: cites " + "§5"}
	if diff := gocmp.Diff(want, citations(t, root)); diff != "" {
		t.Errorf("citations (-want +got):\n%s", diff)
	}
}

// A link is a page's link to another file or heading of the repository.
type link struct{ from, to, file, heading string }

var (
	linkText = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fenced   = regexp.MustCompile("(?ms)^```.*?^```")
	quoted   = regexp.MustCompile("`[^`\n]*`")
	outside  = regexp.MustCompile(`^[a-z]+:`)
)

// links are those of all pages, what code shows left out.
func links(t *testing.T, root fs.FS) (all []link) {
	t.Helper()
	for _, from := range pages(t, root) {
		text := quoted.ReplaceAllString(fenced.ReplaceAllString(read(t, root, from), ""), "")
		for _, m := range linkText.FindAllStringSubmatch(text, -1) {
			if outside.MatchString(m[1]) {
				continue
			}
			file, heading, _ := strings.Cut(m[1], "#")
			l := link{from: from, to: m[1], file: from, heading: heading}
			if file != "" {
				l.file = path.Join(path.Dir(from), file)
			}
			all = append(all, l)
		}
	}
	return all
}

// pages are the Markdown files that people read here.
func pages(t *testing.T, root fs.FS) (all []string) {
	t.Helper()
	walk(t, root, func(file string) {
		if strings.HasSuffix(file, ".md") {
			all = append(all, file)
		}
	})
	return all
}

// walk visits the files of the repository that are written by hand.
func walk(t *testing.T, root fs.FS, visit func(file string)) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"testdata", "bin", "node_modules", ".git", ".cache", "clarity-data"}, d.Name())):
			return fs.SkipDir
		case !d.IsDir():
			visit(file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func deadLinks(t *testing.T, root fs.FS) (faults []string) {
	t.Helper()
	for _, l := range links(t, root) {
		_, err := fs.Stat(root, l.file)
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("%s: %s: there is no %s", l.from, l.to, l.file))
		case l.heading != "" && !slices.Contains(anchors(read(t, root, l.file)), l.heading):
			faults = append(faults, fmt.Sprintf("%s: %s: %s has no such heading", l.from, l.to, l.file))
		}
	}
	slices.Sort(faults)
	return faults
}

var (
	headings   = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	unanchored = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the names under which a page's headings are linked.
func anchors(text string) (all []string) {
	for _, m := range headings.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(unanchored.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// orphans are pages in docs that no page links, nor the folder they are in.
func orphans(t *testing.T, root fs.FS) (alone []string) {
	t.Helper()
	linked := map[string]bool{}
	for _, l := range links(t, root) {
		linked[l.file] = linked[l.file] || l.file != l.from
	}
	for _, page := range pages(t, root) {
		if strings.HasPrefix(page, "docs/") && !linked[page] && !linked[path.Dir(page)] {
			alone = append(alone, page)
		}
	}
	return alone
}

// elsewhere are names of pages that are not in the repository. A section's sign
// is a citation of one, but behind the name of a standard or a paper.
var (
	elsewhere = regexp.MustCompile(`\bDESIGN\b|\bOPERATOR\.md|\bhouse\.md|\bCLOUD\.md|\bSTYLE\.md|§ ?[0-9.]*[0-9]|§`)
	standard  = regexp.MustCompile(`\b(RFC|ISO|IEEE)\b`)
)

func citations(t *testing.T, root fs.FS) (faults []string) {
	t.Helper()
	walk(t, root, func(file string) {
		if !slices.Contains([]string{".go", ".md", ".sh", ".yaml", ".yml"}, path.Ext(file)) || strings.HasPrefix(file, "internal/house/") {
			return
		}
		text, before := read(t, root, file), ""
		if !elsewhere.MatchString(text) {
			return
		}
		for i, line := range strings.Split(text, "\n") {
			for _, cited := range elsewhere.FindAllString(line, -1) {
				if strings.HasPrefix(cited, "§") && standard.MatchString(before+line) {
					continue
				}
				faults = append(faults, fmt.Sprintf("%s:%d: cites %s", file, i+1, cited))
			}
			before = line
		}
	})
	slices.Sort(faults)
	return faults
}

// The page of codes has a row for each reason that the code knows, and no other.
func TestThePageOfCodesIsTheCode(t *testing.T) {
	page := read(t, repository(), "docs/api/codes.md")
	entries, files, found := strings.Cut(page, "\n## Why a record of a file was not taken")
	if !found {
		t.Fatal("the page has no part about files")
	}
	entries, warnings, found := strings.Cut(entries, "\n## What was not understood of an entry that was taken")
	if !found {
		t.Fatal("the page has no part about warnings")
	}
	files, others, found := strings.Cut(files, "\n## Why an export failed")
	if !found {
		t.Fatal("the page has no part about exports")
	}
	checkStated(t, others)
	warnings, refused, _ := strings.Cut(warnings, "\n## Why a day of an upload was refused")
	_, failed, found := strings.Cut(refused, "\n## Why an upload failed")
	if !found {
		t.Fatal("the page has no part about failed uploads")
	}
	for text, of := range map[string]struct{ source, kind string }{
		entries: {"services/health/reject", "Code"}, warnings: {"services/health/reject", "Warning"}, files: {"services/health/formats/record", "Code"},
		failed: {"services/worker/intake", "reason"},
	} {
		if diff := gocmp.Diff(constants(t, repository(), of.source, of.kind), codeRows(text)); diff != "" {
			t.Errorf("docs/api/codes.md and the %ss of %s differ (-code +page):\n%s", of.kind, of.source, diff)
		}
	}
}

// codeRows are the codes that the tables of a text have rows for.
func codeRows(text string) (rows []string) {
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(text, -1) {
		rows = append(rows, m[1])
	}
	slices.Sort(rows)
	return rows
}

// checkStated holds the tables of codes that are no constants of a type against where each is stated.
func checkStated(t *testing.T, text string) {
	t.Helper()
	exports, text, _ := strings.Cut(text, "\n## Why the template wrote")
	texts, hooks, _ := strings.Cut(text, "\n## Why a webhook was not taken")
	code := regexp.MustCompile(`[a-z]+(?:_[a-z]+)*`)
	for part, of := range map[string]map[string]*regexp.Regexp{
		exports: {"services/exports/exports.go": regexp.MustCompile(`(?s)The reasons of a failure.*?\n\)`), "services/ingress/internal/account/exports.go": regexp.MustCompile(`const askAgain = "[a-z_]+"`)},
		texts:   {"services/grounded/grounded.go": regexp.MustCompile(`(?s)Why the template wrote.*?\n\)`)},
		hooks:   {"services/ingress/internal/webhooks/webhooks.go": regexp.MustCompile(`doc:"stable code: [a-z_, ]+"`)},
	} {
		var stated []string
		for file, where := range of {
			found := where.FindString(read(t, repository(), file))
			if listed, is := strings.CutPrefix(found, `doc:"stable code: `); is {
				stated = append(stated, code.FindAllString(listed, -1)...)
			}
			for _, m := range regexp.MustCompile(`= "([a-z_]+)"`).FindAllStringSubmatch(found, -1) {
				stated = append(stated, m[1])
			}
		}
		slices.Sort(stated)
		if diff := gocmp.Diff(stated, codeRows(part)); diff != "" || len(stated) == 0 {
			t.Errorf("docs/api/codes.md (-code +page):\n%s", diff)
		}
	}
}

// The table of failures has a row for each code that the API can answer with, and no other.
func TestTheTableOfFailuresIsTheCode(t *testing.T) {
	var document strings.Builder
	document.WriteString(read(t, repository(), "docs/api/openapi.json"))
	enum := regexp.MustCompile(`(?s)"code": \{[^}]*?"examples": \[([^\]]*"internal_error"[^\]]*)\]`).FindStringSubmatch(document.String())
	if enum == nil {
		t.Fatal("openapi.json lists no codes of problems")
	}
	var codes, rows []string
	for _, m := range regexp.MustCompile(`"([a-z_]+)"`).FindAllStringSubmatch(enum[1], -1) {
		codes = append(codes, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| \\d{3} \\| `([a-z_]+)` \\|").FindAllStringSubmatch(read(t, repository(), "docs/api/README.md"), -1) {
		rows = append(rows, m[1])
	}
	slices.Sort(codes)
	slices.Sort(rows)
	if diff := gocmp.Diff(codes, rows); diff != "" {
		t.Errorf("the codes of docs/api/README.md are not those of openapi.json (-openapi +page):\n%s", diff)
	}
}

// constants are the values of a package's string constants of one type, sorted.
func constants(t *testing.T, root fs.FS, folder, of string) (values []string) {
	t.Helper()
	entries, err := fs.ReadDir(root, folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), e.Name(), read(t, root, path.Join(folder, e.Name())), 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !named(spec.Type, of) {
				return true
			}
			for _, v := range spec.Values {
				if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					value, _ := strconv.Unquote(literal.Value)
					values = append(values, value)
				}
			}
			return true
		})
	}
	slices.Sort(values)
	return values
}

// named says whether the type is called so, here or in another package.
func named(e ast.Expr, name string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == name
	case *ast.SelectorExpr:
		return e.Sel.Name == name
	default:
		return false
	}
}

// The page about backups says how an erasure survives a restore. It does.
func TestARestoreByThePageKeepsAnErasure(t *testing.T) {
	_, rest, found := strings.Cut(read(t, repository(), "docs/operations/data.md"), "```sh restore\n")
	script, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the page does not say how")
	}
	old, copied := filepath.Join(t.TempDir(), "data"), t.TempDir()
	sealed := map[string][]byte{}
	keys := open(t, old+".keys") // beside it
	for _, uid := range []string{"anna", "ben"} {
		var err error
		if sealed[uid], err = keys.Seal(t.Context(), uid, "note", []byte("slept")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(copied, "keys"), os.DirFS(old+".keys")); err != nil {
		t.Fatal(err)
	}
	if err := keys.Destroy(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, filepath.Join(copied, "keys")).Open(t.Context(), "anna", "note", sealed["anna"]); err != nil {
		t.Fatalf("the copy does not open what the test is about: %v", err)
	}
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	command.Env = append(os.Environ(), "OLD="+old, "RESTORED="+copied)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the page's commands fail: %v\n%s", err, out)
	}
	if _, err := open(t, filepath.Join(copied, "keys")).Open(t.Context(), "anna", "note", sealed["anna"]); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("after the restore: %v, want the key destroyed", err)
	}
	if _, err := open(t, filepath.Join(copied, "keys")).Open(t.Context(), "ben", "note", sealed["ben"]); err != nil {
		t.Errorf("another person's data: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(copied, "keys", "people", "*", "*.key")); len(left) != 1 {
		t.Errorf("%d keys are left, want ben's alone", len(left))
	}
}

func open(t *testing.T, dir string) *tink.Keyring {
	t.Helper()
	keys, err := tink.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func read(t *testing.T, root fs.FS, file string) string {
	t.Helper()
	content, err := fs.ReadFile(root, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
