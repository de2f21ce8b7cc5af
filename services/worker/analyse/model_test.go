package analyse_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/preview"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// newModelBench is a bench whose stage runs the preview model.
func newModelBench(t *testing.T) *bench {
	t.Helper()
	raw, err := bundle.Read(preview.Bundle(), preview.Digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := pat.Open(context.Background(), raw, pat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	b := newBench(t)
	b.stage.Models = analyse.One(m)
	return b
}

// keepDays stores days of March 2026, the last of them up to hour, and returns the last.
func (b *bench) keepDays(first, last int, odd bool) (end health.Day) {
	b.t.Helper()
	zone := aWeek(b.t).Zone
	for day := first; day <= last; day++ {
		d := &diary{zone: zone}
		d.day(day)
		for i := range d.samples {
			d.samples[i].UUID[3] = byte(day)
			if odd && i%3 == day%3 && d.samples[i].Value == 1 { // another way of moving
				d.samples[i].Value = 0.1
			}
		}
		end = health.DayOf(health.InstantOf(d.at(day, 12, 0)), zone)
		b.keep(end, d.samples)
	}
	return end
}

func (b *bench) embedding(end health.Day) *record.Embedding {
	b.t.Helper()
	r, err := b.store.Embeddings.Get(context.Background(), uid, end.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return &r.Value
}

// requested are the windows whose analysis was asked for since the last call.
func (b *bench) requested() (ends []string) {
	b.t.Helper()
	a, err := b.windows.Asked(context.Background(), uid)
	if err == nil && len(a.Ends()) > 0 {
		_, err = b.windows.Done(context.Background(), uid, a, a.Ends())
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for _, end := range slices.Backward(a.Ends()) {
		ends = append(ends, end.String())
	}
	b.published = nil
	return ends
}

func lacking(r *analysis.Result) string {
	i := slices.IndexFunc(r.Insufficient, func(i analysis.Insufficient) bool { return i.Metric == "model.distance_from_own_weeks" })
	if i < 0 {
		return ""
	}
	return r.Insufficient[i].Reason
}

func TestAWeekIsComparedWithThePersonsOwn(t *testing.T) {
	b := newModelBench(t)
	b.keepDays(15, 22, false)
	end := b.keepDays(23, 29, true)
	if v := b.handle(end, 1); v != "ack" {
		t.Fatalf("verdict %q: %s", v, b.log.String())
	}
	alone := b.result(end)
	want := &analysis.ModelSummary{Version: preview.Digest, Name: "pat-s-sim", Preprocessing: "simact-pre/1", Scaling: "record", InputKind: "energy",
		Label: "research preview; trained on simulated data", WornMinutes: alone.Model.WornMinutes, Weeks: []analysis.EarlierWeek{}}
	if diff := cmp.Diff(want, alone.Model); diff != "" || alone.Lineage.Model != preview.Digest || lacking(alone) != "no_earlier_weeks" {
		t.Errorf("model %s, lacking %q (-want +got):\n%s", alone.Lineage.Model, lacking(alone), diff)
	}
	if got := b.requested(); len(got) != 0 {
		t.Errorf("no later week has a result, yet %v are asked for", got)
	}

	// The week before comes later, as histories do: the later week looks again.
	if v := b.handle(end-7, 1); v != "ack" {
		t.Fatalf("verdict %q", v)
	}
	if diff := cmp.Diff([]string{end.String()}, b.requested()); diff != "" {
		t.Errorf("weeks asked for (-want +got):\n%s", diff)
	}
	if v := b.handle(end, 1); v != "ack" {
		t.Fatalf("verdict %q", v)
	}
	r := b.result(end)
	if r.Model.Distance == nil || *r.Model.Distance <= 0 || *r.Model.Distance > 2 || lacking(r) != "" {
		t.Fatalf("distance %v, lacking %q", r.Model.Distance, lacking(r))
	}
	if diff := cmp.Diff([]analysis.EarlierWeek{{End: end - 7, Digest: b.embedding(end - 7).Digest}}, r.Model.Weeks); diff != "" {
		t.Errorf("weeks (-want +got):\n%s", diff)
	}
	if r.Lineage.InputDigest == alone.Lineage.InputDigest {
		t.Error("the weeks compared with are not part of the input digest")
	}
	if got := b.requested(); len(got) != 0 {
		t.Errorf("an embedding that stays asks for %v", got)
	}
	if b.handle(end, 1); len(b.published) != 0 {
		t.Error("the same request was done twice")
	}
}

func TestTheEmbeddingStaysInside(t *testing.T) {
	b := newModelBench(t)
	b.keepDays(15, 22, false)
	end := b.keepDays(23, 29, true)
	b.handle(end, 1)
	if e := b.embedding(end); e == nil || len(e.Values) != 96 || e.Kind != "energy" || e.Model != preview.Digest {
		t.Fatalf("embedding %+v", e)
	}
	text, err := json.Marshal(b.result(end))
	if err != nil {
		t.Fatal(err)
	}
	value, err := json.Marshal(b.embedding(end).Values[0])
	if err != nil {
		t.Fatal(err)
	}
	for where, s := range map[string]string{"result": string(text), "log": b.log.String()} {
		if strings.Contains(s, string(value)) || strings.Contains(s, "embedding\"") {
			t.Errorf("the embedding is in the %s", where)
		}
	}
}

func TestAWeekWithoutEnoughDataHasNoEmbedding(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(23, 29, false)
	b.handle(end, 1)
	if b.embedding(end) == nil {
		t.Fatal("no embedding of a full week")
	}
	for d := end - 6; d < end; d++ { // all but one day are deleted
		if err := b.store.Days.Delete(context.Background(), uid, d.String(), store.Any); err != nil {
			t.Fatal(err)
		}
	}
	if v := b.handle(end, 1); v != "ack" {
		t.Fatalf("verdict %q", v)
	}
	if r := b.result(end); r.Model.Distance != nil || lacking(r) != "too_little_data" || b.embedding(end) != nil {
		t.Errorf("distance %v, lacking %q, embedding %v", r.Model.Distance, lacking(r), b.embedding(end))
	}
	if err := b.store.Days.Delete(context.Background(), uid, end.String(), store.Any); err != nil {
		t.Fatal(err)
	}
	if v := b.handle(end, 1); v != "ack" || b.result(end) != nil || b.embedding(end) != nil {
		t.Errorf("verdict %q of a week without data; result %v", v, b.result(end))
	}
}

// broken is a model whose backend is away.
type broken struct{ model.Model }

func (broken) Infer(context.Context, []model.Window, []model.Inference) error {
	return errors.New("the backend is away")
}

func TestAModelThatFailsIsTriedAgain(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(23, 29, false)
	m, _, _ := b.stage.Models.For(uid)
	b.stage.Models = analyse.One(broken{m})
	if v := b.handle(end, 1); v != "retry: a backend is unavailable" || b.result(end) != nil {
		t.Errorf("verdict %q, result %v", v, b.result(end))
	}
}

func TestAnotherVersionAnalysesAgain(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(23, 29, false)
	m := b.stage.Models
	b.stage.Models = nil
	b.handle(end, 1)
	if r := b.result(end); r.Model != nil || r.Lineage.Model != analysis.NoModel {
		t.Fatalf("without a model: %+v", r.Model)
	}
	b.stage.Models = m
	b.handle(end, 1)
	if r := b.result(end); r.Model == nil || r.Lineage.Model != preview.Digest {
		t.Errorf("with a model: %+v", r.Model)
	}
}

// versions are models behind a plan: whose week goes to which of them changes.
type versions struct {
	m               model.Model
	err             error
	asked           []string
	given, returned int
}

func (v *versions) For(subject string) (model.Model, func(), error) {
	if v.asked = append(v.asked, subject); v.err != nil {
		return nil, nil, v.err
	}
	v.given++
	return v.m, func() { v.returned++ }, nil
}

// liar says that another version answered than the one that was chosen.
type liar struct{ model.Model }

func (l liar) Infer(ctx context.Context, windows []model.Window, into []model.Inference) error {
	err := l.Model.Infer(ctx, windows, into)
	for i := range into {
		into[i].Version = "sha256:another"
	}
	return err
}

func TestAResultNamesTheVersionThatAnswered(t *testing.T) {
	b := newModelBench(t)
	end := b.keepDays(23, 29, false)
	m, _, _ := b.stage.Models.For(uid)
	v := &versions{err: errors.New("no plan")}
	b.stage.Models = v
	if verdict := b.handle(end, 1); verdict != "retry: a backend is unavailable" || b.result(end) != nil {
		t.Errorf("without a version: verdict %q, result %v", verdict, b.result(end))
	}
	v.err, v.m = nil, liar{m}
	if verdict := b.handle(end, 1); verdict != "retry: a backend is unavailable" || b.result(end) != nil {
		t.Errorf("where another version answers: verdict %q, result %v", verdict, b.result(end))
	}
	v.m = m
	if verdict := b.handle(end, 1); verdict != "ack" {
		t.Fatalf("verdict %q", verdict)
	}
	if r := b.result(end); r.Lineage.Model != m.Identity().Digest || r.Model.Version != m.Identity().Digest {
		t.Errorf("lineage %s, model %s", r.Lineage.Model, r.Model.Version)
	}
	if diff := cmp.Diff([]string{uid, uid, uid}, v.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if v.given != 2 || v.returned != v.given {
		t.Errorf("%d versions given, %d returned", v.given, v.returned)
	}
	if strings.Contains(b.log.String(), uid) {
		t.Error("the log names the person")
	}
}
