package shard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/blob"
)

const (
	schema = "clarity.shard/1"

	maxHolder     = 128
	maxBegun      = 4 * batch
	maxCheckpoint = 64 << 10
	maxSubjects   = int64(1) << 40
	// kept is how many checkpoints are left: the newest, and one to look at.
	kept = 2
)

// A state is what a checkpoint holds.
type state struct {
	Schema string `json:"schema"`
	// Number is the checkpoint's place in the row; 0 is none.
	Number int64 `json:"number"`
	// Attempt and Holder are of the attempt that wrote it, Task is the task's fingerprint.
	Attempt int64  `json:"token"`
	Holder  string `json:"holder"`
	Task    string `json:"task"`
	// Cursor is the last subject that is counted; subjects come in the order of their pseudonyms.
	Cursor string `json:"cursor"`
	// Begun are the subjects behind the cursor whose Results may have been
	// touched, with the mark that they had before.
	Begun     map[string]string `json:"begun"`
	Succeeded int64             `json:"succeeded"`
	Skipped   int64             `json:"skipped"`
	Failed    map[string]int64  `json:"failed"` // by reason
	Done      bool              `json:"done"`
}

func (s state) clone() state {
	s.Begun, s.Failed = maps.Clone(s.Begun), maps.Clone(s.Failed)
	return s
}

func (s state) report() termination.Report {
	r := termination.Report{Succeeded: s.Succeeded, Skipped: s.Skipped, Reasons: maps.Clone(s.Failed)}
	for _, n := range s.Failed {
		r.Failed += n
	}
	r.Subjects = r.Succeeded + r.Skipped + r.Failed
	return r
}

// decodeState reads a checkpoint and refuses what no shard wrote.
func decodeState(raw []byte) (state, error) {
	bad := func(why string) (state, error) { return state{}, fmt.Errorf("%w: %s", ErrCheckpoint, why) }
	var s state
	if len(raw) > maxCheckpoint {
		return bad("it is too large")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return bad("not the JSON of a checkpoint")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return bad("something stands behind it")
	}
	switch {
	case s.Schema != schema:
		return bad("another schema")
	case s.Number < 1 || s.Attempt < 0 || s.Holder == "" || len(s.Holder) > maxHolder:
		return bad("no attempt's")
	case s.Cursor != "" && !IsPseudonym(s.Cursor):
		return bad("the cursor is no pseudonym")
	case len(s.Begun) > maxBegun:
		return bad("too many subjects are begun")
	case s.Succeeded < 0 || s.Succeeded > maxSubjects || s.Skipped < 0 || s.Skipped > maxSubjects || len(s.Failed) > len(Reasons()):
		return bad("a count is out of range")
	}
	for pseudonym, mark := range s.Begun {
		if !IsPseudonym(pseudonym) || pseudonym <= s.Cursor || !markForm.MatchString(mark) {
			return bad("what is begun is no pseudonym behind the cursor with a mark")
		}
	}
	for reason, n := range s.Failed {
		if !slices.Contains(Reasons(), reason) || n < 1 || n > maxSubjects {
			return bad("a reason or its count is out of range")
		}
	}
	return s, nil
}

func (s state) encode() ([]byte, error) {
	s.Schema = schema
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}
	return raw, nil
}

// checkpoints are the row of a shard's checkpoints.
type checkpoints struct{ task Task }

func (c checkpoints) place() string {
	return fmt.Sprintf("%s%s/%05d/", blob.Checkpoints, c.task.Run, c.task.Shard)
}

// name sorts by number.
func (c checkpoints) name(number int64) string { return fmt.Sprintf("%s%016d", c.place(), number) }

// list returns the checkpoints after the number, oldest first.
func (c checkpoints) list(ctx context.Context, blobs Blobs, after int64) ([]int64, error) {
	var numbers []int64
	for from := c.name(after); ; {
		const page = 100
		infos, err := blobs.List(ctx, c.place(), from, page)
		if err != nil {
			return nil, fmt.Errorf("list checkpoints: %w", err)
		}
		for _, info := range infos {
			number, err := strconv.ParseInt(strings.TrimPrefix(info.Name, c.place()), 10, 64)
			if err != nil || c.name(number) != info.Name {
				return nil, fmt.Errorf("%w: something else is in its place", ErrCheckpoint)
			}
			numbers, from = append(numbers, number), info.Name
		}
		if len(infos) < page {
			return numbers, nil
		}
	}
}

// latest reads the newest checkpoint, or the zero state.
func (c checkpoints) latest(ctx context.Context, blobs Blobs) (state, error) {
	for {
		numbers, err := c.list(ctx, blobs, 0)
		if err != nil || len(numbers) == 0 {
			return state{}, err
		}
		number := numbers[len(numbers)-1]
		s, err := c.read(ctx, blobs, number)
		if errors.Is(err, blob.ErrNotFound) {
			continue // a newer one took its place meanwhile
		}
		return s, err
	}
}

func (c checkpoints) read(ctx context.Context, blobs Blobs, number int64) (state, error) {
	raw, err := blobs.Get(ctx, c.name(number))
	if errors.Is(err, blob.ErrCorrupt) {
		return state{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if err != nil {
		return state{}, fmt.Errorf("read checkpoint: %w", err)
	}
	s, err := decodeState(raw)
	if err == nil && s.Number != number {
		err = fmt.Errorf("%w: it is number %d in place of %d", ErrCheckpoint, s.Number, number)
	}
	return s, err
}

// still is nil where the checkpoint is the newest.
func (c checkpoints) still(ctx context.Context, blobs Blobs, s state) error {
	numbers, err := c.list(ctx, blobs, s.Number)
	if err == nil && len(numbers) > 0 {
		err = ErrSuperseded
	}
	return err
}

// put adds a checkpoint at its number. It returns ErrSuperseded where another
// attempt has that number or a later one. The second look is for the number
// that was taken once, and removed when later ones had come.
func (c checkpoints) put(ctx context.Context, blobs Blobs, s state) error {
	raw, err := s.encode()
	if err != nil {
		return err
	}
	_, err = blobs.Put(ctx, c.name(s.Number), raw)
	if errors.Is(err, blob.ErrExists) {
		there, err := blobs.Get(ctx, c.name(s.Number))
		if err == nil && !bytes.Equal(there, raw) || errors.Is(err, blob.ErrNotFound) {
			return ErrSuperseded
		}
		if err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := c.still(ctx, blobs, s); err != nil {
		return err
	}
	return c.prune(ctx, blobs, s.Number-kept)
}

// prune removes the checkpoints up to a number.
func (c checkpoints) prune(ctx context.Context, blobs Blobs, last int64) error {
	infos, err := blobs.List(ctx, c.place(), "", kept+1)
	if err != nil {
		return fmt.Errorf("list checkpoints: %w", err)
	}
	for _, info := range infos {
		if info.Name > c.name(last) {
			break
		}
		if err := blobs.Delete(ctx, info.Name, info.Generation); err != nil {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}
