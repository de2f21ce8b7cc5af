package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

func (w *rewriter) expressions(list ...ast.Expr) {
	for _, x := range list {
		w.expression(x)
	}
}

// condition mutates an expression that decides: it turns, where nothing within
// it turns it already.
func (w *rewriter) condition(x ast.Expr) {
	switch inner := ast.Unparen(x).(type) {
	case *ast.BinaryExpr:
		w.expression(x)
		return
	case *ast.UnaryExpr:
		if inner.Op == token.NOT {
			w.expression(x)
			return
		}
	}
	if v := w.room.info.Types[x]; v.Value != nil || !isBool(v.Type) {
		w.expression(x)
		return
	}
	w.turn(x, func() { w.expression(x) })
}

// turn makes the mutant in which a boolean is its opposite.
func (w *rewriter) turn(x ast.Expr, within func()) {
	id, ok := w.mutant(x.Pos(), "the opposite of %s", w.source(x))
	if ok {
		w.open(w.offset(x.Pos()), "mutantNot("+id+", ")
	}
	within()
	if ok {
		w.close(w.offset(x.End()), ")")
	}
}

// expression mutates x and what is within it.
func (w *rewriter) expression(x ast.Expr) {
	v := w.room.info.Types[x]
	switch {
	case v.IsType(), v.IsBuiltin():
		return
	case v.Value != nil:
		w.constant(x, v)
		return
	}
	switch x := x.(type) {
	case *ast.ParenExpr:
		w.expression(x.X)
	case *ast.UnaryExpr:
		w.unary(x)
	case *ast.BinaryExpr:
		w.binary(x, v)
	case *ast.CallExpr:
		w.expression(x.Fun)
		w.expressions(x.Args...)
	case *ast.FuncLit:
		w.function(v.Type, x.Body)
	case *ast.CompositeLit:
		w.composite(x, v)
	case *ast.IndexExpr:
		w.expressions(x.X, x.Index)
	case *ast.SliceExpr:
		for _, part := range []ast.Expr{x.X, x.Low, x.High, x.Max} {
			if part != nil {
				w.expression(part)
			}
		}
	case *ast.SelectorExpr:
		w.expression(x.X)
	case *ast.StarExpr:
		w.expression(x.X)
	case *ast.TypeAssertExpr:
		w.expression(x.X)
	}
}

func (w *rewriter) composite(x *ast.CompositeLit, v types.TypeAndValue) {
	_, isMap := v.Type.Underlying().(*types.Map)
	for _, e := range x.Elts {
		pair, ok := e.(*ast.KeyValueExpr)
		if !ok {
			w.expression(e)
			continue
		}
		if isMap { // elsewhere a key is the name of a field or a constant index
			w.expression(pair.Key)
		}
		w.expression(pair.Value)
	}
}

// constant makes a number one larger and a boolean its opposite.
func (w *rewriter) constant(x ast.Expr, v types.TypeAndValue) {
	b, ok := v.Type.Underlying().(*types.Basic)
	if !ok {
		return
	}
	if isBool(v.Type) {
		w.turn(x, func() {})
		return
	}
	if b.Info()&(types.IsInteger|types.IsFloat) == 0 || b.Info()&types.IsUntyped != 0 {
		return
	}
	name := w.typeName(v.Type)
	if name == "" {
		return
	}
	if id, ok := w.mutant(x.Pos(), "%s + 1", w.source(x)); ok {
		w.wrap(x, "mutantMore("+id+", "+name+"(", "))")
	}
}

func (w *rewriter) unary(x *ast.UnaryExpr) {
	switch x.Op {
	case token.NOT:
		w.turn(x, func() { w.expression(x.X) })
	case token.SUB:
		id, ok := w.mutant(x.Pos(), "%s without its sign", w.source(x))
		if ok {
			w.open(w.offset(x.Pos()), "mutantMinus("+id+", ")
		}
		w.expression(x.X)
		if ok {
			w.close(w.offset(x.End()), ")")
		}
	default:
		w.expression(x.X)
	}
}

// calls are the functions that stand for an operator, and what a mutant makes of it.
var calls = map[token.Token]struct{ function, becomes string }{
	token.LSS: {"mutantLess", "<="}, token.LEQ: {"mutantLessEqual", "<"},
	token.GTR: {"mutantGreater", ">="}, token.GEQ: {"mutantGreaterEqual", ">"},
	token.ADD: {"mutantAdd", "-"}, token.SUB: {"mutantSub", "+"}, token.MUL: {"mutantMul", "/"},
	token.QUO: {"mutantQuo", "*"}, token.REM: {"mutantRem", "*"}, token.AND: {"mutantAnd", "|"},
	token.OR: {"mutantOr", "&"}, token.XOR: {"mutantXor", "&"}, token.AND_NOT: {"mutantAndNot", "&"},
	token.SHL: {"mutantShl", ">>"}, token.SHR: {"mutantShr", "<<"},
}

func (w *rewriter) binary(x *ast.BinaryExpr, v types.TypeAndValue) {
	switch x.Op {
	case token.LAND, token.LOR:
		w.logical(x)
	case token.EQL, token.NEQ:
		w.turn(x, func() { w.expressions(x.X, x.Y) })
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		w.operator(x, w.source(x)+": "+x.Op.String()+" becomes "+calls[x.Op].becomes, "the opposite of "+w.source(x))
	default:
		b, ok := v.Type.Underlying().(*types.Basic)
		if ok && b.Info()&types.IsString != 0 {
			w.expressions(x.X, x.Y)
			return
		}
		w.operator(x, w.source(x)+": "+x.Op.String()+" becomes "+calls[x.Op].becomes)
	}
}

// operator writes X op Y as a call that knows its mutants.
func (w *rewriter) operator(x *ast.BinaryExpr, mutants ...string) {
	call, any := calls[x.Op].function+"(", false
	for _, what := range mutants {
		id, ok := w.mutant(x.OpPos, "%s", what)
		call, any = call+id+", ", ok
	}
	if any {
		w.open(w.offset(x.Pos()), call)
	}
	w.expression(x.X)
	if any {
		w.replaceOperator(x.OpPos, x.Op, ",")
	}
	w.expression(x.Y)
	if any {
		w.close(w.offset(x.End()), ")")
	}
}

// logical turns && into || and back, by De Morgan: both sides and the whole
// are turned, and what need not be evaluated is not.
func (w *rewriter) logical(x *ast.BinaryExpr) {
	becomes := "||"
	if x.Op == token.LOR {
		becomes = "&&"
	}
	id, ok := "", isBool(w.room.info.Types[x].Type)
	if ok {
		id, ok = w.mutant(x.OpPos, "%s: %s becomes %s", w.source(x), x.Op, becomes)
	}
	turned := ") != mutantOn(" + id + ")"
	if ok {
		w.open(w.offset(x.Pos()), "(((")
	}
	w.condition(x.X)
	if ok {
		w.close(w.offset(x.X.End()), turned)
		w.open(w.offset(x.Y.Pos()), "(")
	}
	w.condition(x.Y)
	if ok {
		w.close(w.offset(x.End()), turned+turned+")")
	}
}
