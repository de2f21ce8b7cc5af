package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed helper.go.txt
var helper string

// Mutants are rooms that are built with all of their mutants.
type mutants struct {
	rooms    []*room
	points   []*point
	binaries map[*room]string // the test binary of each room that has tests
	work     string
	unbuilt  int
	skip     *regexp.Regexp // tests that are left out
	patience time.Duration  // what a test gets beyond five times what it takes
}

// build compiles the rooms' tests with every mutant within. Lines whose mutants
// do not compile are left as they are.
func build(ctx context.Context, work string, rooms []*room, only *regexp.Regexp) (*mutants, error) {
	drop := map[string]bool{}
	before := 0
	for {
		p := &points{drop: drop, only: only}
		overlay, originals, err := write(work, rooms, p)
		if err != nil {
			return nil, err
		}
		m := &mutants{rooms: rooms, points: p.all, binaries: map[*room]string{}, work: work}
		if before == 0 {
			before = len(p.all)
		}
		m.unbuilt = before - len(p.all)
		bad, err := m.compile(ctx, overlay, originals)
		if err == nil {
			return m, nil
		}
		news := slices.DeleteFunc(bad, func(line string) bool { return drop[line] })
		if len(news) == 0 {
			return nil, err
		}
		for _, line := range news {
			drop[line] = true
		}
	}
}

// write puts the rewritten files into work. It returns the overlay's name, and
// of each rewritten file the one that it stands for.
func write(work string, rooms []*room, p *points) (overlay string, originals map[string]string, err error) {
	replace := map[string]string{}
	originals = map[string]string{}
	for i, r := range rooms {
		if r.types == nil {
			continue
		}
		for j, f := range r.files {
			if !p.only.MatchString(filepath.Base(f.name)) {
				continue
			}
			to := filepath.Join(work, fmt.Sprintf("%d-%d.go", i, j))
			if err := os.WriteFile(to, []byte(rewrite(r, f, p)), 0o600); err != nil {
				return "", nil, fmt.Errorf("write the mutants of %s: %w", f.name, err)
			}
			replace[f.name], originals[to] = to, f.name
		}
	}
	for i, r := range rooms {
		if r.types == nil {
			continue
		}
		to := filepath.Join(work, fmt.Sprintf("%d-helper.go", i))
		text := strings.NewReplacer("PACKAGE", r.types.Name(), "COUNT", strconv.Itoa(len(p.all))).Replace(helper)
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", nil, fmt.Errorf("write the mutants' helper: %w", err)
		}
		replace[filepath.Join(r.dir, "mutants_helper.go")] = to
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", nil, fmt.Errorf("write the overlay: %w", err)
	}
	overlay = filepath.Join(work, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", nil, fmt.Errorf("write the overlay: %w", err)
	}
	return overlay, originals, nil
}

// compilerLine is a place that the compiler speaks of.
var compilerLine = regexp.MustCompile(`(?m)^(\S+\.go):(\d+)(?::\d+)?: `)

// compile builds the test binaries; where that fails, bad are the lines of the
// tree that the compiler names: rewriting moves no line.
func (m *mutants) compile(ctx context.Context, overlay string, originals map[string]string) (bad []string, err error) {
	for i, r := range m.rooms {
		if !r.tested {
			continue
		}
		m.binaries[r] = filepath.Join(m.work, fmt.Sprintf("%d.test", i))
		command := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-overlay", overlay, "-o", m.binaries[r], r.path) //nolint:gosec // the packages that the caller named
		var said bytes.Buffer
		command.Stdout, command.Stderr = &said, &said
		if err := command.Run(); err != nil {
			for _, found := range compilerLine.FindAllStringSubmatch(said.String(), -1) {
				bad = append(bad, originals[found[1]]+":"+found[2])
			}
			return bad, errors.Join(fmt.Errorf("compile the tests of %s: %w", r.path, err), errors.New(said.String()))
		}
	}
	return nil, nil
}
