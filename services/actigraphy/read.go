package actigraphy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// MaxFileBytes is the largest device file that Read takes.
const MaxFileBytes = 64 << 20

// ErrUnknownFormat is the error of a file that none of the readers knows.
var ErrUnknownFormat = errors.New("not a recording of a known device: want Actiwatch .AWD, Actiware csv, ActiGraph csv, UK Biobank csv or a csv with a timestamp column")

// A FormatError says where a device file cannot be read, and why. It never
// holds what a header says of the wearer.
type FormatError struct {
	Format string // "Actiwatch AWD"
	Line   int    // from 1; 0 for the file as a whole
	What   string
}

func (e *FormatError) Error() string {
	if e.Line == 0 {
		return e.Format + ": " + e.What
	}
	return fmt.Sprintf("%s, line %d: %s", e.Format, e.Line, e.What)
}

// Read reads a device's file. It tells the format by the content; name, the
// file's name, decides only where the content does not. Local times without a
// zone are read as UTC.
func Read(r io.Reader, name string) (Recording, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return Recording{}, fmt.Errorf("read recording: %w", err)
	}
	if len(data) > MaxFileBytes {
		return Recording{}, fmt.Errorf("read recording: larger than %d MiB", MaxFileBytes>>20)
	}
	read := sniff(data, name)
	if read == nil {
		return Recording{}, ErrUnknownFormat
	}
	rec, err := read(newLines(data))
	if err != nil {
		return Recording{}, err
	}
	if err := rec.Check(); err != nil {
		return Recording{}, &FormatError{Format: "recording", What: err.Error()}
	}
	return rec, nil
}

func sniff(data []byte, name string) func(*lines) (Recording, error) {
	l := newLines(data)
	first, _ := l.next()
	switch {
	case strings.HasPrefix(first, "acceleration (mg)"):
		return readBiobank
	case strings.Contains(first, "Data File Created By ActiGraph"):
		return readActiGraph
	case strings.Contains(first, "Actiware"):
		return readActiware
	}
	second, _ := l.next()
	if _, err := parseAWDDate(second); err == nil || strings.EqualFold(path.Ext(name), ".awd") {
		return readAWD
	}
	if t, ok := findTable(first, 0); ok && t.time >= 0 {
		return readTable
	}
	return nil
}

// lines walks a file's lines, without their ends and a byte order mark.
type lines struct {
	rest []byte
	n    int // the number of the line that next returned
}

func newLines(data []byte) *lines { return &lines{rest: bytes.TrimPrefix(data, []byte("\ufeff"))} }

func (l *lines) next() (string, bool) {
	if len(l.rest) == 0 {
		return "", false
	}
	line, rest, _ := bytes.Cut(l.rest, []byte("\n"))
	l.rest = rest
	l.n++
	return string(bytes.TrimRight(line, "\r")), true
}

// number reads a value of an epoch: ≥ 0, with a point or a comma.
func number(s string) (float64, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(s, "xXpP_") {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	if v < 0 {
		return 0, fmt.Errorf("%s is below 0", quote(s))
	}
	return v, nil
}

// quote shows a cell in an error, shortened.
func quote(s string) string {
	if len(s) > 24 {
		s = s[:24] + "…"
	}
	return strconv.QuoteToASCII(s)
}

// cells splits a csv line at sep, with double quotes.
func cells(line string, sep byte) []string {
	var out []string
	for {
		if strings.HasPrefix(line, `"`) {
			end := strings.Index(line[1:], `"`)
			if end >= 0 {
				out = append(out, line[1:1+end])
				line = line[2+end:]
				if cut := strings.IndexByte(line, sep); cut >= 0 {
					line = line[cut+1:]
					continue
				}
				return out
			}
		}
		cut := strings.IndexByte(line, sep)
		if cut < 0 {
			return append(out, line)
		}
		out = append(out, line[:cut])
		line = line[cut+1:]
	}
}

// separator guesses a table's: the more frequent of comma and semicolon.
func separator(line string) byte {
	if strings.Count(line, ";") > strings.Count(line, ",") {
		return ';'
	}
	return ','
}

// A grid collects epochs by their time stamps and marks those that are absent.
type grid struct {
	rec      Recording
	last     time.Time
	measured int // epochs that a line of the file holds
}

// A file may have holes of up to holesPerEpoch epochs for each that it holds,
// and holesAtLeast whatever it holds: a month of minutes. So a small file
// cannot claim a large memory.
const (
	holesPerEpoch = 20
	holesAtLeast  = 45_000
)

var errOutOfOrder = errors.New("the time stamp is not after the one before it")

// add appends one epoch; the first two tell the length of an epoch where it is not known.
func (g *grid) add(at time.Time, value float64, missing bool) error {
	n := len(g.rec.Values)
	if n == 0 {
		g.rec.Start = at
	} else {
		step := at.Sub(g.last)
		if step <= 0 {
			return errOutOfOrder
		}
		if g.rec.Epoch == 0 {
			g.rec.Epoch = step
		}
		if step%g.rec.Epoch != 0 {
			return fmt.Errorf("the time stamp is %v after the one before it, which is no multiple of the epoch of %v", step, g.rec.Epoch)
		}
		if skipped := int64(step/g.rec.Epoch) - 1; skipped > 0 {
			if int64(n)+skipped > int64(min(maxEpochs, holesAtLeast+(1+holesPerEpoch)*g.measured)) {
				return fmt.Errorf("a hole of %d epochs: the file holds too little to span it", skipped)
			}
			for range skipped {
				g.put(0, true)
			}
		}
	}
	g.last = at
	g.measured++
	g.put(value, missing)
	return nil
}

func (g *grid) put(value float64, missing bool) {
	if missing {
		value = 0
		if g.rec.Missing == nil {
			g.rec.Missing = make([]bool, len(g.rec.Values), max(cap(g.rec.Values), 1024))
		}
	}
	g.rec.Values = append(g.rec.Values, value)
	if g.rec.Missing != nil {
		g.rec.Missing = append(g.rec.Missing, missing)
	}
}
