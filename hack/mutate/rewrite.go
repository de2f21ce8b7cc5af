package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
)

// A rewriter makes the mutants of one file.
type rewriter struct {
	room    *room
	file    *source
	points  *points
	edits   []edit
	results []*types.Tuple // of the functions around, the innermost last
}

// rewrite returns the file's text with every mutant in it.
func rewrite(r *room, file *source, points *points) string {
	w := &rewriter{room: r, file: file, points: points}
	for _, d := range file.tree.Decls {
		// Variables of the package are tables, mostly: data has no mutants.
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			w.function(w.room.info.Defs[f.Name].Type(), f.Body)
		}
	}
	if len(w.edits) == 0 {
		return string(file.text)
	}
	return apply(file.text, w.edits)
}

func (w *rewriter) function(signature types.Type, body *ast.BlockStmt) {
	results, _ := signature.Underlying().(*types.Signature)
	if results == nil {
		return
	}
	w.results = append(w.results, results.Results())
	w.block(body.List)
	w.results = w.results[:len(w.results)-1]
}

func (w *rewriter) offset(p token.Pos) int { return w.room.fset.Position(p).Offset }

// mutant notes a mutant of node; ok is false where none is wanted there.
func (w *rewriter) mutant(node token.Pos, format string, args ...any) (id string, ok bool) {
	at := w.room.fset.Position(node)
	if w.points.drop[at.Filename+":"+strconv.Itoa(at.Line)] {
		return "", false
	}
	return strconv.Itoa(w.points.add(w.room, at, fmt.Sprintf(format, args...)).id), true
}

// wrap puts text around a node.
func (w *rewriter) wrap(n ast.Node, before, after string) {
	from, to := w.offset(n.Pos()), w.offset(n.End())
	w.open(from, before)
	w.close(to, after)
}

func (w *rewriter) open(at int, text string)  { w.edits = append(w.edits, edit{at, at, opening, text}) }
func (w *rewriter) close(at int, text string) { w.edits = append(w.edits, edit{at, at, closing, text}) }

func (w *rewriter) replaceOperator(at token.Pos, op token.Token, text string) {
	off := w.offset(at)
	w.edits = append(w.edits, edit{off, off + len(op.String()), operator, text})
}

// source is the text of a node, for a report.
func (w *rewriter) source(n ast.Node) string {
	text := []rune(string(w.file.text[w.offset(n.Pos()):w.offset(n.End())]))
	for i, c := range text {
		if c == '\n' || i == 60 {
			return string(text[:i]) + " …"
		}
	}
	return string(text)
}

// typeName writes a type as this file may write it, or "".
func (w *rewriter) typeName(t types.Type) string {
	known := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p == w.room.types {
			return ""
		}
		for _, spec := range w.file.tree.Imports {
			if path, _ := strconv.Unquote(spec.Path.Value); path == p.Path() {
				if spec.Name != nil {
					return spec.Name.Name
				}
				return p.Name()
			}
		}
		known = false
		return p.Name()
	})
	if !known {
		return ""
	}
	return name
}
