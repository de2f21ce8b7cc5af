package analyse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// Needs are what the stage works with. All but Models and Waited are required.
type Needs struct {
	Store *store.Store
	// Chunks reads a day's samples; a timeline.Reader does.
	Chunks interface {
		Chunk(ctx context.Context, uid, name string) (timeline.Chunk, error)
	}
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	// Windows are those that are to be analysed; an due.Windows has them.
	Windows interface {
		Asked(ctx context.Context, uid string) (due.Asked, error)
		Ask(ctx context.Context, uid string, ends ...health.Day) error
		Done(ctx context.Context, uid string, of due.Asked, ends []health.Day) (left bool, err error)
		Hold(ctx context.Context, uid string, standing store.Record[record.Account]) error
	}
	Audit interface {
		Append(ctx context.Context, e audit.Event) error
	}
	// Models say which version looks at a person's week. Nil is none.
	Models Models
	// Waited is told how many seconds a person waited for what they look at: the newest
	// window that was asked for, where it is of these days. Nil tells nobody.
	Waited interface{ Observe(seconds float64) }
	Now    func() time.Time
	Log    *slog.Logger
}

// A Stage handles the topic of analyses.
type Stage struct{ Needs }

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n} }

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "analyse", Retry: "analysis failed, will retry", Dead: "analysis is impossible",
		Settled:  []error{analysis.ErrErased, analysis.ErrNoConsent},
		First:    []error{store.ErrConflict},
		Passing:  []error{blob.ErrNotFound, keyring.ErrNoKey},
		Hopeless: []error{analysis.ErrUnreadable},
		Reasons: []stage.Reason{
			{Is: keyring.ErrNoKey, Text: "the person's key is missing"},
			{Is: keyring.ErrTampered, Text: "a chunk does not belong to its name"},
			{Is: blob.ErrCorrupt, Text: "a chunk is damaged"},
			{Is: analysis.ErrUnreadable, Text: "the input cannot be decoded"},
			{Is: blob.ErrNotFound, Text: "a chunk was replaced meanwhile"},
			{Is: store.ErrConflict, Text: "the result was replaced meanwhile"},
		},
	}
}

// found is what there is of a window before it is analysed.
type found struct {
	model   model.Model // that looks at the window, nil for none
	release func()      // of the model, once the window is done
	in      Input
	days    []held.Day // that it is made of
	beside  *held.Day  // the day behind it, of which nothing is in it
	reading *reading
	earlier map[health.Day]record.Embedding
	before  store.Record[record.Result]
	exists  bool // there is a Result
	current bool // it rests on all that would determine it now
}

// find looks at everything of a window but its samples. With anyModel a Result
// of any version counts as current where this stage has none to ask. Whoever
// found it releases it.
func (s *Stage) find(ctx context.Context, req analysis.Request, anyModel bool) (f found, err error) {
	if err := s.Store.Permitted(ctx, req.UID); err != nil {
		return f, erasedError(err)
	}
	d, err := s.read(ctx, req.UID, req.End, req.End, true)
	if err != nil {
		return f, err
	}
	return s.findIn(ctx, req, d, anyModel)
}

// findIn is find where the days were read already.
func (s *Stage) findIn(ctx context.Context, req analysis.Request, d *reading, anyModel bool) (f found, err error) {
	f.reading = d
	f.in, f.days, f.beside = d.input(req)
	if f.model, f.release, err = s.version(req); err != nil {
		return f, err
	}
	if err := s.stands(ctx, req, anyModel, &f); err != nil {
		f.release()
		return f, err
	}
	return f, nil
}

// stands enters what the window's Result would be compared with, and whether it is current.
func (s *Stage) stands(ctx context.Context, req analysis.Request, anyModel bool, f *found) (err error) {
	if f.model != nil {
		if f.earlier, err = s.earlier(ctx, f.model.Identity().Digest, req, &f.in); err != nil {
			return err
		}
	}
	f.before, f.exists = f.reading.results[req.End.String()]
	lineage := f.before.Value.Result.Lineage
	f.current = f.exists && f.rests(lineage, f.in)
	if anyModel && f.exists && f.model == nil && lineage.Model != analysis.NoModel {
		in := f.in
		if _, err := s.earlier(ctx, lineage.Model, req, &in); err != nil {
			return err
		}
		f.current = f.rests(lineage, in)
	}
	return nil
}

// rests says whether a Result of that lineage is of the input, but for samples that
// nothing is measured of. The releases before named the day behind a window whether or not anything of it was in the window.
func (f *found) rests(l analysis.Lineage, in Input) bool {
	in.Chunks = slices.Clone(in.Chunks)
	for i, c := range in.Chunks {
		n := slices.IndexFunc(l.Chunks, func(of analysis.ChunkOrigin) bool { return of.Day == c.Day })
		if n >= 0 && l.Chunks[n].Basis() == c.Basis() {
			in.Chunks[i] = l.Chunks[n]
		}
	}
	if current(l, in) || f.beside == nil {
		return current(l, in)
	}
	in.Chunks = append(in.Chunks, analysis.ChunkOrigin{Day: f.beside.Day, Digest: f.beside.Digest})
	return current(l, in)
}

// refresh does what the order says with what was found, and tells what is to be
// told; version is that of the Result's record afterwards.
func (s *Stage) refresh(ctx context.Context, req analysis.Request, f found, order Order, tell teller) (outcome Outcome, version int64, err error) {
	again := order.Again
	if f.current && !order.Replace {
		if again { // the process may have died after the result was stored
			err = errors.Join(s.stored(ctx, req, f.before.Value.Result, f.before.Version, tell), s.followUp(ctx, f.model, req, true))
		}
		return Kept, f.before.Version, err
	}
	if f.in.View, err = s.view(ctx, f.reading, f.days); err != nil {
		return Kept, 0, err
	}
	made, err := compute(f.in)
	if err != nil {
		return Kept, 0, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
	}
	if made.measured == 0 { // as nobody asks for a window for what is not measured, none may depend on it
		if err := s.forget(ctx, req, &f, f.exists || again); err != nil {
			return Kept, 0, err
		}
		if !f.exists && !again { // another may have deleted the Result, and died before it told
			if _, again, err = s.spoken(ctx, req); err != nil {
				return Kept, 0, err
			}
		}
		if !f.exists && !again {
			return NoData, 0, nil
		}
		return NoData, 0, s.withdraw(ctx, req, &f, tell)
	}
	result := made.result
	changed, err := s.embed(ctx, req, &f, made.epochs, &result)
	if err != nil {
		return Kept, 0, err
	}
	version, err = s.write(ctx, req, &f, s.Store.Results.ToPut(req.End.String(), f.before.Version, record.Result{Result: result, ComputedAt: s.Now().UTC()}))
	if err != nil {
		return Kept, 0, err
	}
	if err := s.stored(ctx, req, result, version, tell); err != nil {
		return Kept, 0, err
	}
	return Stored, version, s.followUp(ctx, f.model, req, changed || again)
}

// spoken says whether there is an Insight of the window, and of which Result it is.
func (s *Stage) spoken(ctx context.Context, req analysis.Request) (digest string, there bool, err error) {
	in, err := s.Store.Insights.Get(ctx, req.UID, req.End.String())
	if errors.Is(err, store.ErrNotFound) {
		return "", false, nil
	}
	return in.Value.Insight.InputDigest, err == nil, erasedError(err)
}

// untold says whether nobody may have been told of a Result that is there: who writes
// an Insight tells of its Result, too.
func (s *Stage) untold(ctx context.Context, req analysis.Request, r analysis.Result) (bool, error) {
	digest, _, err := s.spoken(ctx, req)
	return digest != r.Lineage.InputDigest, err
}

// withdraw deletes the Result of a window that has no data any more, and has who is
// behind know.
func (s *Stage) withdraw(ctx context.Context, req analysis.Request, f *found, tell teller) error {
	if f.before.Version > 0 {
		if _, err := s.write(ctx, req, f, s.Store.Results.ToDelete(req.End.String(), f.before.Version)); err != nil {
			return err
		}
	}
	return tell(ctx, flow.Changed{End: req.End, Change: f.before.Version})
}

// current says whether a Result still rests on all that determines it.
func current(l analysis.Lineage, in Input) bool {
	return l.InputDigest == Digest(in) && l.Pipeline == Pipeline && l.Model == cmp.Or(in.Model, analysis.NoModel)
}

// erasedError turns the sign of an erased person into ErrErased.
func erasedError(err error) error {
	if errors.Is(err, keyring.ErrDestroyed) {
		return analysis.ErrErased
	}
	if errors.Is(err, keyring.ErrTampered) {
		return fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
	}
	return err
}

// A teller has who is behind know of a Result: the insights, and the person's devices.
type teller func(ctx context.Context, c flow.Changed) error

// stored records the Result in the audit log and tells of it.
func (s *Stage) stored(ctx context.Context, req analysis.Request, r analysis.Result, version int64, tell teller) error {
	if err := s.Audit.Append(ctx, audit.Event{Action: audit.ResultStored, UID: req.UID, Own: req.End.String(), Outcome: "ok"}); err != nil {
		return fmt.Errorf("audit result: %w", err)
	}
	return tell(ctx, flow.Changed{End: req.End, Version: r.Lineage.InputDigest, Change: version})
}

// publish tells of Results.
func (s *Stage) publish(ctx context.Context, uid string, changed ...flow.Changed) error {
	if len(changed) == 0 {
		return nil
	}
	m, err := queue.JSON(flow.TopicResults, uid, flow.ResultsReady{UID: uid, Results: changed, WithWords: true})
	if err != nil {
		return err
	}
	if err := s.Queue.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish results: %w", err)
	}
	return nil
}
