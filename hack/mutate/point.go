package main

import (
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// A point is one mutant: a place and what is done to it.
type point struct {
	id   int
	room *room
	at   token.Position
	what string // "< becomes <="

	reached bool // a test comes by
	verdict verdict
}

// A verdict is what became of a mutant.
type verdict int

// The verdicts. A mutant that no test reaches lives, too.
const (
	lives verdict = iota
	killed
	timedOut // killed, by a test that did not end
)

// points numbers the mutants of a run, through all of its rooms.
type points struct {
	all  []*point
	drop map[string]bool // lines, as "file:line", whose mutants do not compile
	only *regexp.Regexp
}

func (p *points) add(r *room, at token.Position, what string) *point {
	q := &point{id: len(p.all) + 1, room: r, at: at, what: what}
	p.all = append(p.all, q)
	return q
}

// An edit replaces the bytes from off to end by text. Of the edits at one
// offset those that close an expression come first, then operators, then those
// that open one; among themselves they keep the order they were made in.
type edit struct {
	off, end int
	kind     editKind
	text     string
}

type editKind int

const (
	closing editKind = iota
	operator
	opening
)

// apply makes the edits to text.
func apply(text []byte, edits []edit) string {
	slices.SortStableFunc(edits, func(a, b edit) int {
		if a.off != b.off {
			return a.off - b.off
		}
		return int(a.kind - b.kind)
	})
	var b strings.Builder
	at := 0
	for _, e := range edits {
		b.Write(text[at:e.off])
		b.WriteString(e.text)
		at = e.end
	}
	b.Write(text[at:])
	return b.String()
}
