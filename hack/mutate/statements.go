package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

// block mutates the statements of a list; each that may go is a mutant, too.
func (w *rewriter) block(list []ast.Stmt) {
	for _, s := range list {
		w.removable(s)
	}
}

// removable mutates a statement of a list.
func (w *rewriter) removable(s ast.Stmt) {
	if !w.mayGo(s) {
		w.statement(s)
		return
	}
	id, ok := w.mutant(s.Pos(), "removed: %s", w.source(s))
	if ok {
		w.open(w.offset(s.Pos()), "if !mutantOn("+id+") { ")
	}
	w.statement(s)
	if ok {
		w.close(w.offset(s.End()), " }")
	}
}

// mayGo says whether the function still compiles without the statement.
func (w *rewriter) mayGo(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		if !ok {
			return true
		}
		name, ok := call.Fun.(*ast.Ident)
		return !ok || name.Name != "panic"
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE {
			return false
		}
		for _, x := range s.Lhs {
			if name, ok := x.(*ast.Ident); !ok || name.Name != "_" {
				return true
			}
		}
	case *ast.BranchStmt:
		return s.Tok == token.CONTINUE || s.Tok == token.BREAK
	case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		return true
	}
	return false
}

// statement mutates what is within a statement.
func (w *rewriter) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		w.block(s.List)
	case *ast.LabeledStmt:
		w.statement(s.Stmt)
	case *ast.ExprStmt:
		w.expression(s.X)
	case *ast.SendStmt:
		w.expressions(s.Chan, s.Value)
	case *ast.IncDecStmt:
		w.expression(s.X)
	case *ast.AssignStmt:
		w.expressions(s.Lhs...)
		w.expressions(s.Rhs...)
	case *ast.GoStmt:
		w.expression(s.Call)
	case *ast.DeferStmt:
		w.expression(s.Call)
	case *ast.ReturnStmt:
		w.returned(s)
	case *ast.DeclStmt:
		w.declaration(s.Decl)
	default:
		w.control(s)
	}
}

// control mutates a statement that holds others.
func (w *rewriter) control(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.IfStmt:
		w.optional(s.Init)
		w.condition(s.Cond)
		w.block(s.Body.List)
		w.optional(s.Else)
	case *ast.ForStmt:
		w.optional(s.Init)
		if s.Cond != nil {
			w.condition(s.Cond)
		}
		w.optional(s.Post)
		w.block(s.Body.List)
	case *ast.RangeStmt:
		w.expression(s.X)
		w.block(s.Body.List)
	case *ast.SwitchStmt:
		w.optional(s.Init)
		if s.Tag != nil {
			w.expression(s.Tag)
		}
		w.clauses(s.Body, s.Tag == nil)
	case *ast.TypeSwitchStmt:
		w.optional(s.Init)
		for _, c := range s.Body.List {
			w.block(c.(*ast.CaseClause).Body)
		}
	case *ast.SelectStmt:
		for _, c := range s.Body.List {
			w.block(c.(*ast.CommClause).Body)
		}
	}
}

func (w *rewriter) clauses(body *ast.BlockStmt, conditions bool) {
	for _, s := range body.List {
		c := s.(*ast.CaseClause)
		for _, x := range c.List {
			if conditions {
				w.condition(x)
			} else {
				w.expression(x)
			}
		}
		w.block(c.Body)
	}
}

func (w *rewriter) optional(s ast.Stmt) {
	if s != nil {
		w.statement(s)
	}
}

// declaration mutates the values of variables; constants stay.
func (w *rewriter) declaration(d ast.Decl) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return
	}
	for _, spec := range g.Specs {
		w.expressions(spec.(*ast.ValueSpec).Values...)
	}
}

// returned mutates the results: an error may get lost, a boolean turn. Constants
// beside an error stay, since no caller looks at them.
func (w *rewriter) returned(s *ast.ReturnStmt) {
	results := w.results[len(w.results)-1]
	last := len(s.Results) - 1
	fails := last > 0 && last == results.Len()-1 && isError(results.At(last).Type()) && !w.isNil(s.Results[last])
	for i, x := range s.Results {
		switch {
		case fails && w.room.info.Types[x].Value != nil:
		case len(s.Results) != results.Len():
			w.expression(x)
		case isError(results.At(i).Type()) && !w.isNil(x):
			id, ok := w.mutant(x.Pos(), "the error is lost: %s", w.source(x))
			if ok {
				w.open(w.offset(x.Pos()), "mutantLost("+id+", ")
			}
			w.expression(x)
			if ok {
				w.close(w.offset(x.End()), ")")
			}
		case isBool(results.At(i).Type()):
			w.condition(x)
		default:
			w.expression(x)
		}
	}
}

func (w *rewriter) isNil(x ast.Expr) bool { return w.room.info.Types[x].IsNil() }

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

func isBool(t types.Type) bool {
	b, ok := t.(*types.Basic)
	return ok && (b.Kind() == types.Bool || b.Kind() == types.UntypedBool)
}
