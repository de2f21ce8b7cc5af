package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/actogram"
	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

const analyzeHelp = `Analyses a file on this machine, without a server: a device's recording (Actiwatch
.AWD, Actiware csv, ActiGraph csv, UK Biobank csv) or a health export (Apple Health
export.xml or .zip, Health Auto Export JSON, FHIR Observations, clarity.upload/1).
Of a recording all of it is analysed unless --start or --days say less; of an
export the seven days that end with the last day of movement, heart rate or sleep.`

// localTime is how --start is written: a clock on the wall, no zone.
const localTime = "2006-01-02T15:04"

func analyze(ctx context.Context, c *call) error {
	fs := c.flags(analyzeHelp)
	a := &analyzer{call: c, now: time.Now}
	fs.StringVar(&a.start, "start", "", "first `TIME` of a recording, local: 2026-11-20T08:00 or 2026-11-20")
	fs.StringVar(&a.end, "end", "", "last `DAY` of an export's window: 2026-11-26")
	fs.IntVar(&a.days, "days", 0, "length in `DAYS`: of a recording the whole, of an export 7 if not given")
	fs.StringVar(&a.zone, "zone", "", "IANA `ZONE` whose midnights bound the days; else the file's own, else UTC")
	asJSON := fs.Bool("json", false, "the Result as JSON instead of tables")
	svg := fs.String("svg", "", "also draw an actogram into this `FILE`")
	files, err := c.parse(fs)
	if err != nil {
		return err
	}
	if err := a.check(files); err != nil {
		return err
	}
	study, err := a.study(ctx, files[0])
	if err != nil {
		return err
	}
	if *svg != "" {
		if err := drawActogram(*svg, filepath.Base(files[0]), study); err != nil {
			return err
		}
	}
	if !*asJSON {
		printResult(c.stdout, &study.result)
		return nil
	}
	encoder := json.NewEncoder(c.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(study.result)
}

// An analyzer is what the command line asks for.
type analyzer struct {
	*call
	start, end, zone string
	days             int
	now              func() time.Time
	loc              *time.Location // of zone; nil if not given
	from             time.Time      // of start; zero if not given
	last             health.Day     // of end
}

// A study is a Result and the epochs it rests on.
type study struct {
	result    analysis.Result
	recording actigraphy.Recording
}

func (a *analyzer) check(files []string) error {
	if len(files) != 1 {
		return usagef("analyze takes one FILE, got %d", len(files))
	}
	if a.days < 0 || a.days > analyse.MaxDays {
		return usagef("--days is 1 to %d, not %d", analyse.MaxDays, a.days)
	}
	var err error
	if a.zone != "" {
		if a.loc, err = health.LoadZone(a.zone); err != nil {
			return usagef("--zone is an IANA time zone such as Europe/Berlin, not %q", a.zone)
		}
	}
	if a.start != "" && a.end != "" {
		return usagef("--start is for recordings, --end for exports: say one of them")
	}
	if a.start != "" {
		if a.from, err = time.Parse(localTime, a.start); err != nil {
			if a.from, err = time.Parse(time.DateOnly, a.start); err != nil {
				return usagef("--start is a local time such as 2026-11-20T08:00, not %q", a.start)
			}
		}
	}
	if a.end != "" {
		if a.last, err = health.ParseDay(a.end); err != nil {
			return usagef("--end is a day such as 2026-11-26, not %q", a.end)
		}
	}
	return nil
}

// study reads the file as what it is: a recording, else an export.
func (a *analyzer) study(ctx context.Context, name string) (study, error) {
	f, err := openSource(name)
	if err != nil {
		return study{}, fmt.Errorf("analyze %s: %w", name, err)
	}
	defer f.Close() //nolint:errcheck // only read
	var s study
	if f.isExport() {
		s, err = a.export(ctx, f)
	} else {
		s, err = a.recording(f, name)
	}
	if err != nil {
		return s, fmt.Errorf("analyze %s: %w", name, err)
	}
	return s, nil
}

func (a *analyzer) recording(f *source, name string) (study, error) {
	rec, err := actigraphy.Read(io.NewSectionReader(f.file, 0, f.size), filepath.Base(name))
	if err != nil {
		return study{}, err
	}
	if a.end != "" {
		return study{}, usagef("--end is for health exports; a recording has --start and --days")
	}
	if a.loc != nil {
		rec.Start = onTheWall(rec.Start, a.loc)
	}
	from := rec.Start
	if !a.from.IsZero() {
		from = onTheWall(a.from, rec.Start.Location())
	}
	if !from.Equal(rec.Start) || a.days > 0 {
		if rec, err = rec.Slice(from, time.Duration(a.days)*24*time.Hour); err != nil {
			return study{}, err
		}
	}
	result, err := analyse.ComputeRecording(rec)
	return study{result, rec}, err
}

// onTheWall is the moment at which a clock in loc shows what t's clock shows.
func onTheWall(t time.Time, loc *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), loc)
}

func drawActogram(path, title string, s study) error {
	plot := actogram.Plot{Title: title, Unit: string(s.recording.Kind), Start: s.recording.Start, Epoch: s.recording.Epoch, Values: s.recording.Values, Missing: s.recording.Missing}
	if s.result.Input.Proxy {
		plot.Unit += " (a proxy for counts)"
	}
	for _, n := range s.result.Nights {
		onset, err := time.Parse(time.RFC3339, n.Onset)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		offset, err := time.Parse(time.RFC3339, n.Offset)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		plot.Sleep = append(plot.Sleep, actogram.Span{Start: onset, End: offset})
	}
	f, err := os.Create(path) //nolint:gosec // the file that --svg names
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, plainPathError(err))
	}
	if err := errors.Join(actogram.Draw(f, plot), f.Close()); err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return nil
}
