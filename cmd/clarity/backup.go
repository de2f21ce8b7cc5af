package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/backup"
	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

const backupHelp = `Copies the data directory to a new directory, of one moment, whether or not a
platform runs on it, and looks whether all of the copy is whole. The keys are not
in it: who is erased later is noise in it from that moment on. A copy that is not whole
is removed, unless --damaged keeps it: backup.json lists what is not whole, and the exit
status is 3.`

func makeBackup(ctx context.Context, c *call) error {
	fs := c.flags(backupHelp)
	where := c.wholeFlags(fs)
	damaged := fs.Bool("damaged", false, "keep a copy that is not whole, with a list of what is not")
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("say `clarity backup DIR`, where DIR is to be made")
	}
	place, err := where.read(c)
	if err != nil {
		return err
	}
	report, err := backup.Make(ctx, place, drivers(), filepath.Clean(rest[0]), *damaged, time.Now)
	if err == nil || len(report.Bad) > 0 {
		printReport(c.stdout, report)
	}
	if err != nil {
		return datadir.Sentence(place.Dir, err)
	}
	if n := len(report.Bad); n > 0 {
		return &notWholeError{fmt.Sprintf("the backup is kept in %s, and %d things in it are not whole: its backup.json lists them", rest[0], n)}
	}
	say(c.stdout, "the backup is in %s; the keys at %s are not in it\n", rest[0], keysOf(place))
	return nil
}

const restoreHelp = `Puts a backup back as a new data directory, beside the keys as they are now, and
erases in it everyone who was erased since. It is refused without these keys, or
with older ones. The platform goes on from there.`

func restore(ctx context.Context, c *call) error {
	fs := c.flags(restoreHelp)
	where := c.wholeFlags(fs)
	rest, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("say `clarity restore DIR`, where DIR is a backup")
	}
	place, err := where.read(c)
	if err != nil {
		return err
	}
	erased, damaged, err := backup.Restore(ctx, filepath.Clean(rest[0]), place, time.Now)
	if err != nil {
		return datadir.Sentence(place.Dir, err)
	}
	say(c.stdout, "the data directory %s is as the backup was; %d people who were erased since are erased in it\n", place.Dir, erased)
	if damaged > 0 {
		say(c.stdout, "%d things were not whole in it when it was made: `clarity fsck` says which\n", damaged)
	}
	return nil
}

const fsckHelp = `Reads everything in a data directory, or in a backup, on which no platform runs:
each record and the object that it refers to is opened and decoded, each day held
against its digest, each result against its days, the audit log against its
checkpoints; so are the messages' database and the issuer. Each raw body that is kept is
read, those of the last 31 days. A data directory is opened as a start does, and one of a release before
is refused. A backup is held against its backup.json, and stays as it is: a copy in
$TMPDIR is looked at. Exit status 1 where something is not whole.`

func fsck(ctx context.Context, c *call) error {
	fs := c.flags(fsckHelp)
	where := c.wholeFlags(fs)
	if err := c.parseNone(fs); err != nil {
		return err
	}
	place, err := where.read(c)
	if err != nil {
		return err
	}
	report, err := backup.Check(ctx, place, drivers(), time.Now)
	if err == nil || len(report.Bad) > 0 {
		printReport(c.stdout, report)
	}
	if err != nil {
		return datadir.Sentence(place.Dir, err)
	}
	if n := len(report.Bad); n > 0 {
		return fmt.Errorf("%d things are not whole", n)
	}
	return nil
}

func printReport(w io.Writer, r backup.Report) {
	for _, bad := range r.Bad {
		say(w, "bad: %s\n", bad)
	}
	say(w, "%d people (%d erased), %d uploads (%d bodies opened), %d days, %d results (%d wait for their analysis), %d audit entries\n",
		r.People, r.Erased, r.Uploads, r.Bodies, r.Days, r.Results, r.Waiting, r.Entries)
}

// whole is the flags of a command about all of a data directory.
type whole struct {
	*upSettings
	fs   *flag.FlagSet
	file *string
}

func (c *call) wholeFlags(fs *flag.FlagSet) *whole {
	w := &whole{upSettings: defaults(), fs: fs}
	fs.StringVar(&w.Data, "data", w.Data, "data directory `DIR`; $CLARITY_DATA sets the default")
	for _, b := range serving.Backends(&w.Backends) {
		if b.Name != "writer" {
			fs.StringVar(b.Spec, b.Name, "", toldOf(b))
		}
	}
	c.data = &w.Data
	w.file = fs.String("config", c.getenv(settings.Variable("config")), "YAML `FILE` that `clarity up` was given")
	return w
}

func (w *whole) read(c *call) (datadir.Place, error) {
	if err := settings.Read(w.fs, w.upSettings, *w.file, c.getenv, "config"); err != nil {
		return datadir.Place{}, usagef("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if w.Data == "" {
		return datadir.Place{}, usagef("name the data directory")
	}
	place := datadir.Place{Dir: w.Data, Backends: w.Backends}
	b := embedded.In(place.Dir, place.Backends)
	var faults []error
	for _, known := range serving.Backends(&w.Backends) {
		faults = append(faults, drivers().Check(b, known.Of))
	}
	return place, asUsage(errors.Join(faults...))
}

// keysOf is where the keys of a place are.
func keysOf(p datadir.Place) string {
	_, at, _ := strings.Cut(embedded.In(p.Dir, p.Backends).Keys, ":")
	return at
}
