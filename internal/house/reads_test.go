package house_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
)

// A change of a file runs the tests that read it, where they lie in another folder, too.
func TestEveryTestThatReadsElsewhereIsListed(t *testing.T) {
	listed, told, err := script(t, nil, "hack/packages.sh", "reads")
	if err != nil {
		t.Fatalf("who reads what: %v\n%s", err, told)
	}
	for place, packages := range readings(t, repository()) {
		var known []string
		for row := range strings.Lines(listed) {
			if words := strings.Fields(row); within(place, words[0]) {
				known = append(known, words[1:]...)
			}
		}
		for _, p := range packages {
			if !slices.Contains(known, p) {
				t.Errorf("a test of %s reads %s: say so in reads of hack/packages.sh", p, place)
			}
		}
	}
}

func TestTheReadersOfAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("lists every package")
	}
	for file, want := range map[string]string{
		"Dockerfile":            module + "charts\n" + module + "hack/images\n",
		"docs/analysis/page.md": module + "services/metric/catalog\n",
		"Dockerfile.other":      "",
	} {
		out, told, err := script(t, []string{"FILES=" + file}, "hack/packages.sh", "readers")
		if err != nil || out != want {
			t.Errorf("%s is read by %q, want %q (%v)\n%s", file, out, want, err, told)
		}
	}
}

func TestWhatATestReadsElsewhereIsFound(t *testing.T) {
	test := func(body string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package p\n\nconst root = \"../..\"\n\n" + body)}
	}
	got := readings(t, fstest.MapFS{
		"docs/page.md": {}, "docs/api/a.json": {}, "config/crd/x_one.yaml": {}, "a/own/data.txt": {}, "a/data.txt": {},
		"a/own/literal_test.go": test("var _ = read(\"../../docs/page.md\")"),
		"a/own/joined_test.go":  test("var _ = filepath.Join(\"..\", \"..\", \"config\", name)"),
		"a/own/added_test.go":   test("var _ = read(root + \"/docs/api/\" + name)"),
		"a/own/begun_test.go":   test("var _ = read(\"../../config/crd/x_\" + name)"),
		"a/own/near_test.go":    test("var _ = read(\"../data.txt\")"),
		"a/own/others_test.go":  test("var _ = []string{\"../../etc/passwd\", \"../x\", \"own/data.txt\", \"../own/data.txt\"}"),
		"a/own/shipped.go":      test("var _ = read(\"../../docs\")"),
	})
	want := map[string][]string{"docs/page.md": {"a/own"}, "config": {"a/own"}, "docs/api": {"a/own"}, "config/crd/x_one.yaml": {"a/own"}, "a/data.txt": {"a/own"}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
}

// readings are the files and folders that tests name by a way out of their own
// package, and the packages. A folder above the package says nothing: what is
// read of it is not written there. Packages that read the whole are not asked.
func readings(t *testing.T, root fs.FS) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	walk(t, root, func(file string) {
		dir := path.Dir(file)
		if !strings.HasSuffix(file, "_test.go") || dir == "internal/house" || dir == "services" {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, read(t, root, file), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range waysOut(parsed) {
			place := resolve(root, path.Join(dir, way))
			if place == "" || within(dir, place) || within(place, dir) {
				continue
			}
			if !slices.Contains(found[place], dir) {
				found[place] = append(found[place], dir)
			}
		}
	})
	return found
}

// resolve is the file that the path is, or the first that begins so; "" if there is none.
func resolve(root fs.FS, place string) string {
	if _, err := fs.Stat(root, place); err == nil {
		return place
	}
	begun, _ := fs.Glob(root, place+"*") // a pattern that is none matches nothing
	return cmp.Or(append(begun, "")...)
}

func within(place, folder string) bool {
	return folder == "." || place == folder || strings.HasPrefix(place, folder+"/")
}

// waysOut are the strings of the file that begin with "..", as far as they are constant.
func waysOut(file *ast.File) []string {
	constants, ways := map[string]string{}, map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
			for i, name := range spec.Names {
				constants[name.Name], _ = beginning(spec.Values[i], constants)
			}
		}
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		way, _ := beginning(e, constants)
		if strings.HasPrefix(way, "..") {
			ways[way] = true
		}
		return way == "" // the parts of one that is known say less
	})
	return slices.Sorted(maps.Keys(ways))
}

// beginning is how the string begins that the expression makes, and whether it is the whole.
func beginning(e ast.Expr, constants map[string]string) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, whole = constants[e.Name]
		return text, whole
	case *ast.BinaryExpr:
		left, all := beginning(e.X, constants)
		if !all || e.Op != token.ADD {
			return left, false
		}
		right, all := beginning(e.Y, constants)
		return left + right, all
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Join" {
			return "", false
		}
		for _, arg := range e.Args {
			part, all := beginning(arg, constants)
			if text = path.Join(text, part); !all {
				return text, false
			}
		}
		return text, true
	}
	return "", false
}
