package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A tally is the score of a package.
type tally struct{ mutants, killed, timedOut, unreached int }

func (t tally) score() float64 {
	if t.mutants == 0 {
		return 100
	}
	return 100 * float64(t.killed) / float64(t.mutants)
}

func (t *tally) add(p *point) {
	t.mutants++
	switch {
	case p.verdict == killed:
		t.killed++
	case p.verdict == timedOut:
		t.killed++
		t.timedOut++
	case !p.reached:
		t.unreached++
	}
}

// report prints the score of each package. It is an error if one is below least.
func report(out io.Writer, m *mutants, least float64) error {
	var all tally
	each := map[*room]*tally{}
	for _, p := range m.points {
		if each[p.room] == nil {
			each[p.room] = &tally{}
		}
		each[p.room].add(p)
		all.add(p)
	}
	var low []string
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "score\tmutants\tkilled\t(timed out)\tno test\tpackage\t")
	for _, r := range m.rooms {
		if t := each[r]; t != nil {
			row(table, r.path, *t)
			if t.score() < least {
				low = append(low, r.path)
			}
		}
	}
	row(table, "all", all)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the scores: %w", err)
	}
	if m.unbuilt > 0 {
		fmt.Fprintf(out, "%d more do not compile and are not counted\n", m.unbuilt)
	}
	if len(low) > 0 {
		return fmt.Errorf("below %v %%: %s", least, strings.Join(low, ", "))
	}
	return nil
}

func row(out io.Writer, name string, t tally) {
	fmt.Fprintf(out, "%.1f %%\t%d\t%d\t%d\t%d\t%s\t\n", t.score(), t.mutants, t.killed, t.timedOut, t.unreached, name)
}
