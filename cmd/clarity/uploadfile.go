package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/formats/clarityexport"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// inFlight is how many uploads of a file are on their way at a time.
const inFlight = 4

// A job is one file on its way: read by one goroutine, put by a few.
type job struct {
	*uploader
	mu     sync.Mutex
	report fileReport
	before map[string]bool // the uploads that were there already, with --wait
	group  *errgroup.Group
	ctx    context.Context
	batch  []verdict // records of the batch being gathered, without their verdict
	// samples is where the deletions of an envelope begin in batch, behind its samples or series.
	samples int
}

// file uploads one file and says what became of each of its records. The
// report is there beside an error, too, for what was done before it.
func (u *uploader) file(ctx context.Context, name string) (*fileReport, error) {
	f, err := openSource(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	j := &job{uploader: u, group: group, ctx: running}
	j.before = map[string]bool{}
	j.report = fileReport{File: name, Rejected: map[string]int{}, Skipped: map[string]int{}, Uploads: []string{}}
	progress := u.progress(filepath.Base(name), f.size)
	read := j.read(f, progress)
	err = errors.Join(read, group.Wait())
	j.report.Uploads = slices.DeleteFunc(j.report.Uploads, func(id string) bool { return id == "" })
	progress.done()
	if errors.Is(err, context.Canceled) {
		err = context.Cause(running) // the first failure, rather than what it cut short
	}
	if err == nil && f.isOwnExport() {
		err = j.anchors(ctx, f)
	}
	if err == nil && u.wait {
		j.report.Merged, err = u.waitUntilAnalysed(ctx, j.report.Uploads, j.before)
	}
	return &j.report, err
}

// read is the reading goroutine's part.
func (j *job) read(f *source, p progress) error {
	if f.isEnvelope() {
		return j.readEnvelope(f)
	}
	own := f.isOwnExport()
	if own {
		if err := j.profile(f); err != nil {
			return err
		}
	}
	batcher := phone.NewBatcher("clarity-upload", j.zone, j.put)
	err := f.records(j.zone, p.add, func(r formats.Record) error {
		j.count(r)
		add := batcher.Add
		switch {
		case r.Verdict == formats.Deleted:
			add = func(s *health.Sample) error { return batcher.Delete(s.UUID, s.Type) }
		case r.Verdict == formats.Points:
			add = batcher.AddSeries
		case r.Verdict != formats.Accepted:
			return j.ctx.Err()
		case own:
			add = batcher.AddAsSent
		}
		if err := add(&r.Sample); err != nil {
			return err
		}
		j.batch = append(j.batch, verdict{Place: place(r), Type: r.Sample.Type})
		return nil
	})
	if err != nil {
		return err
	}
	return batcher.Close()
}

// profile gives a person without a profile the one of the export: their results rest
// on it.
func (j *job) profile(f *source) error {
	text, there, err := clarityexport.Profile(io.NewSectionReader(f.file, 0, f.size))
	if err != nil || !there {
		return err
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return fmt.Errorf("read the export's profile: %w", err)
	}
	delete(members, "updatedAt") // it says when it was written there
	if text, err = json.Marshal(members); err != nil {
		return err
	}
	j.report.Profile, err = j.client.PutProfile(j.ctx, text)
	return err
}

// anchors gives a phone that has none of a type the one of the export, once all that
// lies before it is acknowledged. One that is there stays: it is of what the phone has
// read since.
func (j *job) anchors(ctx context.Context, f *source) error {
	had, err := clarityexport.Anchors(io.NewSectionReader(f.file, 0, f.size))
	if err != nil {
		return err
	}
	maps.DeleteFunc(had, func(_, anchor string) bool { return anchor == "" || strings.HasPrefix(anchor, formerAnchor) })
	if len(had) == 0 {
		return nil
	}
	var sync struct {
		Types []struct{ Type, Cursor string }
	}
	if err := j.client.Get(ctx, "/v1/sync?days=1", &sync); err != nil {
		return fmt.Errorf("look at how far the phone is: %w", err)
	}
	for _, t := range sync.Types {
		if t.Cursor != "" && !strings.HasPrefix(t.Cursor, formerAnchor) {
			delete(had, t.Type)
		}
	}
	if len(had) == 0 {
		return nil
	}
	up, err := phone.Anchors("clarity-upload", j.zone, had)
	if err != nil {
		return err
	}
	if _, err := j.client.Put(ctx, up); err != nil {
		return err
	}
	j.report.Uploads = append(j.report.Uploads, up.ID)
	return nil
}

// formerAnchor is how anchors begin that the releases before made up for a file: no
// phone knows them.
const formerAnchor = "import-"

// readEnvelope sends an upload as it is: it is one already.
func (j *job) readEnvelope(f *source) error {
	body, err := f.envelope()
	if err != nil {
		return err
	}
	var lists struct {
		Samples, Series, Deleted []struct{ Type any }
	}
	if err := json.Unmarshal(body, &lists); err != nil {
		return fmt.Errorf("read it as %s: %w", upload.Schema, err)
	}
	add := func(name string, list []struct{ Type any }) {
		for i, entry := range list {
			typ, _ := entry.Type.(string)
			j.batch = append(j.batch, verdict{Place: fmt.Sprintf("/%s/%d", name, i), Type: typ})
		}
	}
	add("samples", lists.Samples)
	add("series", lists.Series)
	j.samples = len(j.batch)
	add("deleted", lists.Deleted)
	j.report.Records, j.report.Deleted = len(j.batch), len(lists.Deleted)
	up, err := phone.Pack(body, j.samples, len(lists.Deleted))
	if err != nil {
		return err
	}
	return j.put(up)
}

// count takes the verdict of the reader.
func (j *job) count(r formats.Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report.Records++
	v := verdict{Place: place(r), Verdict: string(r.Verdict), Code: string(r.Code), Detail: r.Detail}
	switch r.Verdict {
	case formats.Rejected:
		j.report.Rejected[v.Code]++
	case formats.Skipped:
		j.report.Skipped[v.Code]++
	case formats.Deleted:
		j.report.Deleted++
		return
	default:
		return // the platform has the last word
	}
	j.tell(v)
}

// place says where in the file a record is.
func place(r formats.Record) string {
	if s := r.Place.String(); s != "" {
		return s
	}
	return "the whole file"
}

// put sends one batch, beside others, and takes the platform's verdicts.
func (j *job) put(up phone.Upload) error {
	records := j.batch
	j.batch = nil
	j.mu.Lock()
	at := len(j.report.Uploads)
	j.report.Uploads = append(j.report.Uploads, "") // not acked
	j.mu.Unlock()
	j.group.Go(func() error {
		before, err := j.isThere(up.ID)
		if err != nil {
			return err
		}
		receipt, err := j.client.Put(j.ctx, up)
		if err != nil {
			return err
		}
		j.mu.Lock()
		j.report.Uploads[at], j.before[up.ID] = up.ID, before
		j.mu.Unlock()
		return j.take(receipt, records)
	})
	return j.ctx.Err()
}

// isThere says whether an earlier run has put the upload, where somebody waits for what
// this one does.
func (j *job) isThere(id string) (bool, error) {
	if !j.wait {
		return false, nil
	}
	_, err := j.client.Status(j.ctx, id)
	var refused *phone.RefusalError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// take turns a receipt into verdicts.
func (j *job) take(r phone.Receipt, records []verdict) error {
	if r.Received != len(records) {
		return fmt.Errorf("the platform received %d records of upload %s, %d were sent", r.Received, r.UploadID, len(records))
	}
	rejected := map[int]verdict{}
	for _, x := range r.Rejected {
		at := x.Index
		if x.In == "deleted" {
			at += j.samples
		}
		if at < 0 || at >= len(records) {
			return fmt.Errorf("the platform rejects record %d of %d in upload %s", at, len(records), r.UploadID)
		}
		rejected[at] = verdict{Verdict: "rejected", Code: string(x.Code), Detail: x.Detail}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report.Accepted += len(records) - len(rejected)
	for _, w := range r.Warnings {
		if j.report.Warnings == nil {
			j.report.Warnings = map[string]int{}
		}
		j.report.Warnings[string(w.Code)] += w.Count
	}
	for i, v := range records {
		v.Verdict = "accepted"
		if x, ok := rejected[i]; ok {
			v.Verdict, v.Code, v.Detail = x.Verdict, x.Code, x.Detail
			j.report.Rejected[v.Code]++
		}
		j.tell(v)
	}
	return nil
}

// tell lists a verdict, if that was asked for. The caller holds the lock.
func (j *job) tell(v verdict) {
	switch {
	case !j.verdicts:
	case j.asJSON:
		j.report.Verdicts = append(j.report.Verdicts, v)
	default:
		say(j.stdout, "  %s\t%s\t%s\t%s\t%s\n", v.Place, v.Verdict, v.Code, v.Type, v.Detail)
	}
}

func printCounts(u *uploader, what string, counts map[string]int) {
	total := 0
	for _, n := range counts {
		total += n
	}
	say(u.stdout, ", %s %s", group(total), what)
	if total == 0 {
		return
	}
	sep := " ("
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		say(u.stdout, "%s%s %s", sep, group(counts[code]), code)
		sep = ", "
	}
	say(u.stdout, ")")
}

// progress tells how much of a file is read: a bar on a terminal, else a line
// now and then, and nothing for what is done at once.
type progress struct {
	add  func(n int)
	done func()
}

func (u *uploader) progress(name string, size int64) progress {
	if isTerminal(u.stderr) {
		bar := progressbar.NewOptions64(size, progressbar.OptionSetWriter(u.stderr), progressbar.OptionSetDescription(name),
			progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		return progress{func(n int) { _ = bar.Add(n) }, func() { _ = bar.Finish() }}
	}
	read, next := int64(0), u.now().Add(2*time.Second)
	return progress{func(n int) {
		if read += int64(n); u.now().After(next) && size > 0 {
			say(u.stderr, "%s: %d %% read\n", name, min(100, 100*read/size))
			next = u.now().Add(2 * time.Second)
		}
	}, func() {}}
}

// plainPathError is the reason without the path, which the caller names.
func plainPathError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
