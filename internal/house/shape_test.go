package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
)

// tops hold what is shipped, and what it is tested on.
var tops = []string{"api", "cmd", "controllers", "internal", "services"}

// shape is what the code looks like from outside.
type shape struct {
	functions, files []piece
	packages         map[string]*pkg
	tests            []piece
	testLines        int
}

// piece is a function or a file and its lines.
type piece struct {
	file, name string
	lines      int
}

// pkg is a package and its top-level names that others can use.
type pkg struct {
	path                   string
	exported, undocumented []string
	generated              bool // a file of it is
}

// measure parses every Go file below the tops. Tests are counted, generated
// files left out, testdata is data. The suites that a room's drivers share keep
// to the rules of the code, and are lines of tests.
func measure(t *testing.T, root fs.FS) shape {
	t.Helper()
	s := shape{packages: map[string]*pkg{}}
	for _, top := range tops {
		err := fs.WalkDir(root, top, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil && file == top:
				return fs.SkipDir
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(file, ".go"):
				return nil
			}
			return s.add(root, file)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.testLines = sum(lengths(s.tests))
	for _, p := range s.packages {
		slices.Sort(p.exported)
		slices.Sort(p.undocumented)
	}
	return s
}

// add measures one file.
func (s *shape) add(root fs.FS, file string) error {
	source, err := fs.ReadFile(root, file)
	if err != nil {
		return err
	}
	whole := piece{file: file, lines: bytes.Count(source, []byte("\n"))}
	if strings.HasSuffix(file, "_test.go") {
		s.tests = append(s.tests, whole)
		return nil
	}
	suite := strings.HasSuffix(path.Dir(file), "test")
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := s.packages[path.Dir(file)]
	if p == nil {
		p = &pkg{path: path.Dir(file)}
		s.packages[p.path] = p
	}
	if ast.IsGenerated(parsed) {
		p.generated = true
		return nil
	}
	if suite {
		s.tests = append(s.tests, whole)
	} else {
		s.files = append(s.files, whole)
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			lines := positions.Position(f.End()).Line - positions.Position(f.Pos()).Line + 1
			s.functions = append(s.functions, piece{file: file, name: f.Name.Name, lines: lines})
		}
		p.declare(d)
	}
	return nil
}

// declare notes the exported names of a declaration. A method of an exported
// type says what it does, too, but is no name of the package.
func (p *pkg) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			p.note(d.Name, d.Doc)
		} else if of := receiver(d.Recv.List[0].Type); d.Name.IsExported() && ast.IsExported(of) && d.Doc == nil && !slices.Contains(known, d.Name.Name) {
			p.undocumented = append(p.undocumented, of+"."+d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				p.note(s.Name, s.Doc, s.Comment, d.Doc)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					p.note(name, s.Doc, s.Comment, d.Doc)
				}
			}
		}
	}
}

// known are methods that say the same of every type.
var known = []string{"Error", "String", "Unwrap"}

func (p *pkg) note(name *ast.Ident, docs ...*ast.CommentGroup) {
	if !name.IsExported() {
		return
	}
	p.exported = append(p.exported, name.Name)
	if !slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d != nil }) {
		p.undocumented = append(p.undocumented, name.Name)
	}
}

// receiver is the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	default:
		return ""
	}
}

// below is the part of the shape that lies in one folder.
func (s shape) below(top string) shape {
	part := shape{packages: map[string]*pkg{}}
	inside := func(pieces []piece) (in []piece) {
		for _, p := range pieces {
			if strings.HasPrefix(p.file, top+"/") {
				in = append(in, p)
			}
		}
		return in
	}
	part.functions, part.files, part.tests = inside(s.functions), inside(s.files), inside(s.tests)
	part.testLines = sum(lengths(part.tests))
	for path, p := range s.packages {
		if strings.HasPrefix(path+"/", top+"/") {
			part.packages[path] = p
		}
	}
	return part
}

func lengths(pieces []piece) []int {
	all := make([]int, 0, len(pieces))
	for _, p := range pieces {
		all = append(all, p.lines)
	}
	return all
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}

func median(numbers []int) int { return percentile(numbers, 50) }

// percentile is the smallest number that at least percent of all do not exceed.
func percentile(numbers []int, percent int) int {
	if len(numbers) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[(len(sorted)*percent+99)/100-1]
}
