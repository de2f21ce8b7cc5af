package exports

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/record/exported"
)

// kindUnreadable is of the lines that stand for what a section cannot read.
const kindUnreadable = "unreadable"

// A line is one record of an export, as it is written.
type line struct {
	Kind  string `json:"kind"`
	Key   string `json:"key,omitempty"`
	Value any    `json:"value,omitempty"`
	Lines int    `json:"lines,omitempty"`
	// Unreadable is how many of them, of an end, stand for what cannot be read.
	Unreadable int `json:"unreadable,omitempty"`
}

// errUnknownSection says that another release began the export.
var errUnknownSection = errors.New("its section is not known")

// A writer writes the lines of one export, behind what is recorded of it.
type writer struct {
	*Stage
	*job
	ctx     context.Context
	until   time.Time // the turn's end
	section string
	key     string // of the lines at hand; "" before the first of the section
	lines   bytes.Buffer
	encode  *json.Encoder
	digest  hash.Hash
	written bool // parts that are not recorded
}

// write writes the export for one turn. It is errMore where that was not all, and nil
// once the export is complete and its record says so.
func (s *Stage) write(ctx context.Context, j *job) error {
	w := &writer{Stage: s, job: j, ctx: ctx, until: s.Now().Add(s.turn), digest: sha256.New()}
	w.encode = json.NewEncoder(&w.lines)
	w.encode.SetEscapeHTML(false) // what a phone sent stays as it was sent
	if state := j.record.Value.Progress.Hash; len(state) > 0 {
		if err := w.digest.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
			return fmt.Errorf("go on with an export: %w", err)
		}
	}
	j.record.Value.Lines = maps.Clone(j.record.Value.Lines)
	if j.record.Value.Lines == nil {
		j.record.Value.Lines = map[string]int{}
	}
	from, after := 0, ""
	if at := j.record.Value.Progress; at.Section != "" {
		from, after = slices.IndexFunc(s.Held, func(held Section) bool { return held.Name == at.Section }), at.After
	}
	if from < 0 {
		return fmt.Errorf("go on with an export: %w", &fault.Error{Room: "exports", Op: "resume", Class: fault.Newer, Cause: errUnknownSection})
	}
	for _, held := range s.Held[from:] {
		w.section, w.key = held.Name, ""
		if err := held.Each(ctx, j.uid, after, w.line); err != nil {
			return err
		}
		if w.key != "" {
			if err := w.between(); err != nil {
				return err
			}
		}
		after = ""
	}
	return w.finish()
}

// line takes one record.
func (w *writer) line(kind, key string, value any) error {
	if w.key != "" && key != w.key {
		if err := w.between(); err != nil {
			return err
		}
	}
	w.key = key
	if err := w.encode.Encode(line{Kind: kind, Key: key, Value: value}); err != nil {
		return fmt.Errorf("encode a line of an export: %w", err)
	}
	w.record.Value.Lines[kind]++
	if w.lines.Len() < w.partBytes {
		return nil
	}
	return w.part()
}

// between is called where all lines of a key are written: only there an export is
// gone on with, since a record may be another by then.
func (w *writer) between() error {
	over := !w.Now().Before(w.until)
	if !over && !w.written {
		return nil
	}
	if err := w.part(); err != nil {
		return err
	}
	state, err := w.digest.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("keep the state of an export: %w", err)
	}
	w.record.Value.Progress = exported.Progress{Section: w.section, After: w.key, Hash: state}
	if err := w.save(w.ctx, w.job, w.Now().Add(again)); err != nil {
		return err
	}
	w.written = false
	if over {
		return errMore
	}
	return nil
}

// part puts the lines at hand as an object, which counts once it is recorded.
func (w *writer) part() error {
	if w.lines.Len() == 0 {
		return nil
	}
	packed, err := exported.Pack(w.lines.Bytes())
	if err != nil {
		return err
	}
	e := &w.record.Value
	sum := sha256.Sum256(packed)
	name, err := w.Objects.Replace(w.ctx, blob.KindExports, w.uid, fmt.Sprintf("%s/%06d-%s", w.record.Key, len(e.Parts), hex.EncodeToString(sum[:16])), packed)
	if err != nil {
		return fmt.Errorf("write a part of an export: %w", err)
	}
	_, _ = w.digest.Write(w.lines.Bytes()) // a hash never fails
	e.Parts = append(slices.Clip(e.Parts), exported.Part{Object: name, Bytes: w.lines.Len()})
	e.Bytes += w.lines.Len()
	w.lines.Reset()
	w.written = true
	return nil
}

// finish writes the last line and has the export be ready.
func (w *writer) finish() error {
	e, total := &w.record.Value, 0
	for _, n := range e.Lines {
		total += n
	}
	if err := w.encode.Encode(line{Kind: "end", Lines: total, Unreadable: e.Lines[kindUnreadable]}); err != nil {
		return fmt.Errorf("encode the end of an export: %w", err)
	}
	if err := w.part(); err != nil {
		return err
	}
	now := w.Now().UTC()
	e.State, e.ReadyAt, e.ExpiresAt = exported.Ready, now, now.Add(exported.Kept)
	e.Digest, e.Progress = hex.EncodeToString(w.digest.Sum(nil)), exported.Progress{}
	return w.save(w.ctx, w.job, now)
}
