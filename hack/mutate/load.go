package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A room is a package to mutate, with what its types say.
type room struct {
	dir, path string
	tested    bool // it has test files
	fset      *token.FileSet
	files     []*source
	types     *types.Package
	info      *types.Info
}

// A source is a file of a room.
type source struct {
	name string // absolute
	text []byte
	tree *ast.File
}

// listed is what `go list` says of a package.
type listed struct {
	Dir, ImportPath, Export, Name      string
	GoFiles, TestGoFiles, XTestGoFiles []string
	DepOnly                            bool
}

// load finds and type-checks the packages that patterns name. Suites, whose
// names end in "test", are tests themselves and are left out.
func load(ctx context.Context, patterns []string) ([]*room, error) {
	all, err := list(ctx, patterns)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	var rooms []*room
	for _, p := range all {
		if p.DepOnly || len(p.GoFiles) == 0 && len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue
		}
		r := &room{dir: p.Dir, path: p.ImportPath, tested: len(p.TestGoFiles)+len(p.XTestGoFiles) > 0, fset: token.NewFileSet()}
		if !strings.HasSuffix(p.Name, "test") {
			if err := r.check(p.GoFiles, exports); err != nil {
				return nil, err
			}
		}
		rooms = append(rooms, r)
	}
	if len(rooms) == 0 {
		return nil, fmt.Errorf("no packages match %s", strings.Join(patterns, " "))
	}
	return rooms, nil
}

func list(ctx context.Context, patterns []string) ([]listed, error) {
	args := append([]string{"list", "-deps", "-export", "-json=Dir,ImportPath,Export,Name,GoFiles,TestGoFiles,XTestGoFiles,DepOnly", "--"}, patterns...)
	command := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the packages that the caller named
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the list of packages: %w", err)
		}
		all = append(all, p)
	}
}

// check reads the room's files and finds the type of every expression.
func (r *room) check(files []string, exports map[string]string) error {
	var trees []*ast.File
	for _, name := range files {
		name = filepath.Join(r.dir, name)
		text, err := os.ReadFile(name) //nolint:gosec // a file of the packages that the caller named
		if err != nil {
			return fmt.Errorf("read a file of %s: %w", r.path, err)
		}
		tree, err := parser.ParseFile(r.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", r.path, err)
		}
		trees = append(trees, tree)
		if !ast.IsGenerated(tree) {
			r.files = append(r.files, &source{name, text, tree})
		}
	}
	r.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(r.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	var err error
	if r.types, err = config.Check(r.path, r.fset, trees, r.info); err != nil {
		return fmt.Errorf("find the types of %s: %w", r.path, err)
	}
	return nil
}
