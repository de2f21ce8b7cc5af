package shard

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/blob"
)

// pseudonymForm is what the AnalysisJob's schema takes.
var pseudonymForm = regexp.MustCompile(`^[A-Za-z0-9_-]{16,128}$`)

// IsPseudonym says whether s can be a subject's pseudonym.
func IsPseudonym(s string) bool { return pseudonymForm.MatchString(s) }

// MaxManifest is the most bytes a manifest has: more than four million subjects.
const MaxManifest = 192 << 20

// ErrManifest says that a manifest is not a list of pseudonyms.
var ErrManifest = errors.New("not a manifest of subjects")

// ReadManifest reads a file of pseudonyms, one a line, and returns those that fall
// to the task's shard, sorted, each once. Empty lines are passed over; anything
// else that is not a pseudonym is an error, which names the line and not what it says.
func ReadManifest(r io.Reader, t Task) ([]string, error) {
	mine := []string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), 4096)
	for n := 1; lines.Scan(); n++ {
		pseudonym := strings.TrimSuffix(lines.Text(), "\r")
		switch {
		case pseudonym == "":
		case !IsPseudonym(pseudonym):
			return nil, fmt.Errorf("%w: line %d is no pseudonym", ErrManifest, n)
		case t.mine(pseudonym):
			mine = append(mine, pseudonym)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: a line is longer than any pseudonym", ErrManifest)
	} else if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	slices.Sort(mine)
	return slices.Compact(mine), nil
}

// A person is a subject; the uid is "" where nothing is held of one with that pseudonym.
type person struct{ pseudonym, uid string }

// list finds the shard's subjects, in the order of their pseudonyms.
func list(ctx context.Context, data Data, t Task) ([]person, error) {
	var wanted map[string]bool
	if t.Subjects != nil {
		wanted = map[string]bool{}
		for _, s := range t.Subjects {
			if t.mine(s) {
				wanted[s] = true
			}
		}
		if len(wanted) == 0 {
			return nil, nil
		}
	}
	var people []person
	err := data.People.EachPerson(ctx, func(uid string) error {
		pseudonym, err := data.Keys.Pseudonym(ctx, uid)
		if err != nil {
			return fmt.Errorf("name a subject: %w", err)
		}
		if (t.Subjects != nil || !t.mine(pseudonym)) && !wanted[pseudonym] {
			return nil
		}
		held, err := holdsDays(ctx, data.Blobs, pseudonym, uid)
		if err != nil {
			return err
		}
		if held {
			people = append(people, person{pseudonym, uid})
			delete(wanted, pseudonym)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	for pseudonym := range wanted {
		people = append(people, person{pseudonym, ""})
	}
	slices.SortFunc(people, func(a, b person) int { return cmp.Compare(a.pseudonym, b.pseudonym) })
	return people, nil
}

// holdsDays says whether there is a day of the person: under their pseudonym, or
// under the uid, as the releases before named objects.
func holdsDays(ctx context.Context, blobs Blobs, names ...string) (bool, error) {
	for _, name := range names {
		infos, err := blobs.List(ctx, blob.PersonPrefix(blob.KindDays, name), "", 1)
		if err != nil {
			return false, fmt.Errorf("look for days: %w", err)
		}
		if len(infos) > 0 {
			return true, nil
		}
	}
	return false, nil
}
