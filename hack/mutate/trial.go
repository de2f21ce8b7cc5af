package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A check is one test of a room: its function, and how long it takes.
type check struct {
	room    *room
	name    string
	took    time.Duration
	reaches []int
}

// memory bounds a test process, in KiB of address space: a mutant may allocate for ever.
const memory = 8 << 20

// try runs the tests on every mutant and notes what became of it.
func (m *mutants) try(ctx context.Context, out io.Writer) error {
	checks, err := m.checks(ctx, out)
	if err != nil {
		return err
	}
	reached := map[int][]*check{}
	for _, c := range checks {
		for _, id := range c.reaches {
			reached[id] = append(reached[id], c)
		}
	}
	for _, p := range m.points {
		p.reached = len(reached[p.id]) > 0
		for _, c := range reached[p.id] {
			if p.verdict, err = m.trial(ctx, c, p.id); err != nil {
				return err
			}
			if p.verdict != lives {
				break
			}
		}
		if p.verdict == lives {
			tell(out, p)
		}
	}
	return nil
}

// tell prints a mutant that lives, as soon as it is known.
func tell(out io.Writer, p *point) {
	name := p.at.Filename
	if here, err := os.Getwd(); err == nil {
		if within, err := filepath.Rel(here, name); err == nil {
			name = within
		}
	}
	how := "lives"
	if !p.reached {
		how = "no test comes by"
	}
	fmt.Fprintf(out, "%s:%d:%d: %s: %s\n", name, p.at.Line, p.at.Column, how, p.what)
}

// checks runs each test alone and without a mutant; they come quickest first.
// A test that fails is of no use and is told.
func (m *mutants) checks(ctx context.Context, out io.Writer) ([]*check, error) {
	var all []*check
	for _, r := range m.rooms {
		if !r.tested {
			continue
		}
		names, err := m.names(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if m.skip.MatchString(name) {
				continue
			}
			c, err := m.baseline(ctx, r, name)
			if err != nil {
				fmt.Fprintf(out, "%s: %s is left out: %v\n", r.path, name, err)
				continue
			}
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the packages have no test that passes on the code as it is")
	}
	slices.SortStableFunc(all, func(a, b *check) int { return int(a.took - b.took) })
	return all, nil
}

func (m *mutants) names(ctx context.Context, r *room) ([]string, error) {
	text, err := m.process(ctx, r, "-test.list", "^(Test|Fuzz|Example)").Output()
	if err != nil {
		return nil, fmt.Errorf("list the tests of %s: %w", r.path, err)
	}
	return strings.Fields(string(text)), nil
}

// baseline runs a test on the code as it is and learns which mutants it comes by.
func (m *mutants) baseline(ctx context.Context, r *room, name string) (*check, error) {
	notes := filepath.Join(m.work, "reached")
	if err := os.RemoveAll(notes); err != nil {
		return nil, err
	}
	c := &check{room: r, name: name}
	for _, env := range []string{"MUTANT_REACHED=" + notes, "MUTANT=0"} {
		command := m.process(ctx, r, "-test.run", "^"+name+"$", "-test.timeout", "10m")
		command.Env = append(command.Env, env)
		var said bytes.Buffer
		command.Stdout, command.Stderr = &said, &said
		start := time.Now()
		if err := command.Run(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, lastLine(said.String()))
		}
		c.took = time.Since(start) // of the second: the first is slow, it takes notes
	}
	f, err := os.Open(notes) //nolint:gosec // in our own folder
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		id, err := strconv.Atoi(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("read the mutants that %s reaches: %w", name, err)
		}
		c.reaches = append(c.reaches, id)
	}
	return c, nil
}

// trial runs one test on one mutant.
func (m *mutants) trial(ctx context.Context, c *check, id int) (verdict, error) {
	limit := 5*c.took + m.patience
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	command := m.process(bounded, c.room, "-test.run", "^"+c.name+"$", "-test.failfast", "-test.timeout", (2 * limit).String())
	command.Env = append(command.Env, "MUTANT="+strconv.Itoa(id))
	err := command.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return lives, ctx.Err()
	case bounded.Err() != nil:
		return timedOut, nil
	case err == nil:
		return lives, nil
	case errors.As(err, &exit):
		return killed, nil
	}
	return lives, fmt.Errorf("run %s: %w", c.name, err)
}

// process is a room's test binary in the room's folder, with bounded memory.
func (m *mutants) process(ctx context.Context, r *room, args ...string) *exec.Cmd {
	script := fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memory)
	command := exec.CommandContext(ctx, "sh", append([]string{"-c", script, m.binaries[r]}, args...)...) //nolint:gosec // the binary that we built
	command.Dir = r.dir
	command.Env = os.Environ()
	command.WaitDelay = time.Second
	return command
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
