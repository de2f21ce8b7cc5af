package analyse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// ownWeeks is how many of a person's earlier weeks a week is compared with.
const ownWeeks = 4

// embedding is the output that weeks are compared by.
const embedding = "embedding"

// The names in Result.Insufficient.
const (
	distanceMetric = "model.distance_from_own_weeks"
	tooLittle      = "too_little_data"
	noEarlierWeek  = "no_earlier_weeks"
)

// Models say which version of a model looks at a person's week.
type Models interface {
	// For returns the version for the subject, which is the person's uid and
	// goes no further. It stays the same version until release is called.
	For(subject string) (m model.Model, release func(), err error)
}

// One is Models with one version for everyone.
func One(m model.Model) Models { return one{m} }

type one struct{ model model.Model }

func (o one) For(string) (model.Model, func(), error) { return o.model, func() {}, nil }

// version is the one that looks at the request's week, or nil for none.
func (s *Stage) version(req analysis.Request) (m model.Model, release func(), err error) {
	if s.Models == nil {
		return nil, func() {}, nil
	}
	if m, release, err = s.Models.For(req.UID); err != nil {
		return nil, nil, fmt.Errorf("choose the model's version: %w", err)
	}
	return m, release, nil
}

// earlier reads the embeddings of the weeks that end 7, 14, 21 and 28 days
// before the window does, as far as they are of the version with that digest,
// and enters the version and the weeks into in: they are part of what a Result depends on.
func (s *Stage) earlier(ctx context.Context, digest string, req analysis.Request, in *Input) (map[health.Day]record.Embedding, error) {
	in.Model = digest
	found := map[health.Day]record.Embedding{}
	for i := 1; i <= ownWeeks; i++ {
		end := req.Weeks(-i).End
		r, err := s.Store.Embeddings.Get(ctx, req.UID, end.String())
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, erasedError(err)
		}
		if r.Value.Model == in.Model {
			found[end] = r.Value
			in.Weeks = append(in.Weeks, analysis.EarlierWeek{End: end, Digest: r.Value.Digest})
		}
	}
	return found, nil
}

// embed runs the model on the window, enters what it says into the Result and
// keeps the embedding; changed says whether that is another one than before.
func (s *Stage) embed(ctx context.Context, req analysis.Request, f *found, m *metric.Input, r *analysis.Result) (changed bool, err error) {
	if f.model == nil {
		return false, nil
	}
	version, in := f.model, f.in
	id, inferred := version.Identity(), make([]model.Inference, 1)
	r.Lineage.Model = id.Digest
	r.Model = &analysis.ModelSummary{Version: id.Digest, Name: id.Name, Preprocessing: id.Preprocessing, Scaling: string(id.Scaling),
		InputKind: r.Input.Kind, Label: id.Label, Weeks: []analysis.EarlierWeek{}}
	w, err := model.WindowOf(m.Recording, m.Worn)
	if err != nil {
		return false, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
	}
	if err := version.Infer(ctx, []model.Window{w}, inferred); err != nil {
		return false, fmt.Errorf("run the model: %w", err)
	}
	if inferred[0].Version != id.Digest { // the Result must not name another version than the one that answered
		return false, fmt.Errorf("run the model: %w", model.Refuse(model.DigestMismatch, "%.80s answered, not %.80s", inferred[0].Version, id.Digest))
	}
	r.Model.WornMinutes = inferred[0].WornMinutes
	if refused := inferred[0].Refused; refused != nil {
		if !errors.Is(refused, model.TooLittleData) {
			return false, fmt.Errorf("run the model: %w", refused)
		}
		lack(r, tooLittle, refused.Error())
		return s.drop(ctx, req, f)
	}
	values := inferred[0].Value(id, embedding)
	in.Weeks = nil // an embedding is of its window alone
	own := record.Embedding{Model: id.Digest, Digest: Digest(in), Kind: string(r.Input.Kind), Values: values}
	compare(r, own, f.earlier)
	return s.keep(ctx, req, f, own)
}

// compare enters the distance from the earlier weeks of the same kind.
func compare(r *analysis.Result, own record.Embedding, earlier map[health.Day]record.Embedding) {
	mean := make([]float64, len(own.Values))
	window := analysis.Request{End: r.Window.End}
	for i := 1; i <= ownWeeks; i++ {
		end := window.Weeks(-i).End
		e, ok := earlier[end]
		if !ok || e.Kind != own.Kind || len(e.Values) != len(mean) {
			continue
		}
		r.Model.Weeks = append(r.Model.Weeks, analysis.EarlierWeek{End: end, Digest: e.Digest})
		for j, v := range e.Values {
			mean[j] += float64(v)
		}
	}
	var dot, a, b float64
	for i, v := range own.Values {
		dot += float64(v) * mean[i]
		a += float64(v) * float64(v)
		b += mean[i] * mean[i]
	}
	if a == 0 || b == 0 {
		lack(r, noEarlierWeek, fmt.Sprintf("none of the %d weeks before has an embedding of this version and input kind", ownWeeks))
		return
	}
	// Rounded, so that vector kernels which differ in the last bits agree.
	d := math.Round((1-dot/math.Sqrt(a*b))*1e4) / 1e4
	d = max(d, 0)
	r.Model.Distance = &d
}

// lack explains why there is no distance; the list stays in order.
func lack(r *analysis.Result, reason, detail string) {
	r.Insufficient = append(r.Insufficient, analysis.Insufficient{Metric: distanceMetric, Reason: reason, Detail: detail})
	slices.SortStableFunc(r.Insufficient, func(a, b analysis.Insufficient) int { return cmp.Compare(a.Metric, b.Metric) })
}

func (s *Stage) keep(ctx context.Context, req analysis.Request, f *found, e record.Embedding) (changed bool, err error) {
	before, err := s.Store.Embeddings.Get(ctx, req.UID, req.End.String())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, erasedError(err)
	}
	if err == nil && before.Value.Model == e.Model && before.Value.Digest == e.Digest {
		return false, nil
	}
	if _, err := s.write(ctx, req, f, s.Store.Embeddings.ToPut(req.End.String(), before.Version, e)); err != nil {
		return false, err
	}
	return true, nil
}

// drop deletes the window's embedding, if there is one.
func (s *Stage) drop(ctx context.Context, req analysis.Request, f *found) (changed bool, err error) {
	before, err := s.Store.Embeddings.Get(ctx, req.UID, req.End.String())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		_, err = s.write(ctx, req, f, s.Store.Embeddings.ToDelete(req.End.String(), before.Version))
	}
	return err == nil, erasedError(err)
}

// forget drops the embedding of a window without data and has later weeks look again.
func (s *Stage) forget(ctx context.Context, req analysis.Request, f *found, had bool) error {
	if !had || f.model == nil {
		return nil
	}
	if _, err := s.drop(ctx, req, f); err != nil {
		return err
	}
	return s.followUp(ctx, f.model, req, true)
}

// followUp asks for the later weeks that were compared with this one: their
// Results depend on it. A week whose own embedding stays ends the chain.
func (s *Stage) followUp(ctx context.Context, version model.Model, req analysis.Request, changed bool) error {
	if version == nil || !changed {
		return nil
	}
	var ends []health.Day
	for i := 1; i <= ownWeeks; i++ {
		later := req.Weeks(i)
		if _, err := s.Store.Results.Get(ctx, req.UID, later.End.String()); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return erasedError(err)
		}
		ends = append(ends, later.End)
	}
	if err := s.Windows.Ask(ctx, req.UID, ends...); err != nil {
		return fmt.Errorf("request later weeks: %w", err)
	}
	return nil
}
