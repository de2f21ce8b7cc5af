package grounded_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/grounded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// words is a writer of one name that does what it is told.
type words struct {
	name  string
	write func(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error)
}

func (w words) Name() string { return w.name }
func (w words) Write(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	return w.write(ctx, facts)
}

func says(text string, cited ...string) func(context.Context, []analysis.Fact) ([]analysis.Claim, error) {
	return func(context.Context, []analysis.Fact) ([]analysis.Claim, error) {
		return []analysis.Claim{{Text: text, Facts: cited}}, nil
	}
}

const id = "sleep.total_sleep_time_minutes"

func facts() []analysis.Fact {
	return []analysis.Fact{{ID: id, Label: "time asleep", Value: 432, Unit: "min", Text: "7 h 12 min"}}
}

func TestWhoseWordsAreTold(t *testing.T) {
	let := make(chan struct{})
	defer close(let)
	tests := map[string]struct {
		write    func(ctx context.Context, facts []analysis.Fact) ([]analysis.Claim, error)
		fellBack string
	}{
		"grounded words": {says("You slept 7 h 12 min.", id), ""},
		"a wrong number": {says("You slept 8 h.", id), grounded.Ungrounded},
		"an error": {func(context.Context, []analysis.Fact) ([]analysis.Claim, error) {
			return nil, errors.New("quota")
		}, grounded.Failed},
		"a panic": {func(context.Context, []analysis.Fact) ([]analysis.Claim, error) { panic("7 h 12 min") }, grounded.Failed},
		"no end": {func(ctx context.Context, _ []analysis.Fact) ([]analysis.Claim, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, grounded.Timeout},
		"no end, and no ear for its context": {func(context.Context, []analysis.Fact) ([]analysis.Claim, error) {
			<-let
			return nil, nil
		}, grounded.Timeout},
		"what it does to the facts": {func(_ context.Context, f []analysis.Fact) ([]analysis.Claim, error) {
			f[0].Text, f[0].Value = "9 h", 540
			return []analysis.Claim{{Text: "You slept 9 h.", Facts: []string{id}}}, nil
		}, grounded.Ungrounded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			template := words{"template", says("Time asleep: 7 h 12 min.", id)}
			w := grounded.New(words{"model", tt.write}, template, 50*time.Millisecond)
			want := grounded.Text{Claims: []analysis.Claim{{Text: "Time asleep: 7 h 12 min.", Facts: []string{id}}}, Writer: "template", FellBack: tt.fellBack}
			if tt.fellBack == "" {
				want = grounded.Text{Claims: []analysis.Claim{{Text: "You slept 7 h 12 min.", Facts: []string{id}}}, Writer: "model"}
			}
			got, err := w.Write(t.Context(), facts())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheTemplateAlone(t *testing.T) {
	template := words{"template", says("Time asleep: 7 h 12 min.", id)}
	model := words{"model", func(context.Context, []analysis.Fact) ([]analysis.Claim, error) { panic("asked") }}
	if w := grounded.New(template, template, time.Second); w.NeedsConsent() {
		t.Error("the template needs consent")
	} else if got, err := w.Write(t.Context(), facts()); err != nil || got.Writer != "template" || got.FellBack != "" {
		t.Errorf("%+v, %v", got, err)
	}
	w := grounded.New(model, template, time.Second)
	if got, err := w.Template(t.Context(), facts(), grounded.NoConsent); err != nil || got.FellBack != grounded.NoConsent || !w.NeedsConsent() {
		t.Errorf("without consent: %+v, %v", got, err)
	}
	liar := words{"template", says("You slept 8 h.", id)}
	if _, err := grounded.New(model, liar, time.Second).Write(t.Context(), facts()); !errors.Is(err, grounded.ErrTemplate) {
		t.Errorf("a template that says more than its facts: %v, want ErrTemplate", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, w := range map[string]*grounded.Writer{"model": grounded.New(words{"model", says("x")}, template, time.Second), "template": grounded.New(template, template, time.Second)} {
		if _, err := w.Write(over, facts()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, after the context's end: %v", name, err)
		}
	}
}
