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

func ask() grounded.Ask { return grounded.Ask{UID: "anna", Agreed: true, Facts: facts()} }

// purse is a budget of so many, or one that cannot be read.
type purse struct {
	left int
	err  error
	of   []string
}

func (p *purse) Take(_ context.Context, uid string) (time.Duration, error) {
	p.of = append(p.of, uid)
	if p.err != nil || p.left == 0 {
		return time.Hour, p.err
	}
	p.left--
	return 0, nil
}

// Who has not agreed, and whose budget is spent, is told the template's words, and no
// model is asked; nothing is taken from a budget where none may be.
func TestAModelIsAskedAsOftenAsItMayBe(t *testing.T) {
	away := errors.New("the store is away")
	tests := map[string]struct {
		budget grounded.Budget
		agreed bool
		want   string // FellBack
		err    error
		taken  int
	}{
		"within the budget":          {&purse{left: 1}, true, "", nil, 1},
		"a spent budget":             {&purse{}, true, grounded.Spent, nil, 1},
		"no consent":                 {&purse{left: 1}, false, grounded.NoConsent, nil, 0},
		"no budget":                  {nil, true, "", nil, 0},
		"a budget nobody can read":   {&purse{err: away}, true, "", away, 1},
		"no consent and no budget":   {nil, false, grounded.NoConsent, nil, 0},
		"no consent, a spent budget": {&purse{}, false, grounded.NoConsent, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asked := false
			model := words{"model", func(context.Context, []analysis.Fact) ([]analysis.Claim, error) {
				asked = true
				return []analysis.Claim{{Text: "You slept 7 h 12 min.", Facts: []string{id}}}, nil
			}}
			w := grounded.New(model, words{"template", says("Time asleep: 7 h 12 min.", id)}, tt.budget, time.Second)
			in := ask()
			in.Agreed = tt.agreed
			got, err := w.Write(t.Context(), in)
			if !errors.Is(err, tt.err) || got.FellBack != tt.want || asked != (tt.want == "" && tt.err == nil) {
				t.Errorf("%+v, %v; asked %v", got, err, asked)
			}
			if p, is := tt.budget.(*purse); is && (len(p.of) != tt.taken || tt.taken > 0 && p.of[0] != "anna") {
				t.Errorf("taken of %v, want %d times", p.of, tt.taken)
			}
		})
	}
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
			w := grounded.New(words{"model", tt.write}, template, nil, 50*time.Millisecond)
			want := grounded.Text{Claims: []analysis.Claim{{Text: "Time asleep: 7 h 12 min.", Facts: []string{id}}}, Writer: "template", FellBack: tt.fellBack}
			if tt.fellBack == "" {
				want = grounded.Text{Claims: []analysis.Claim{{Text: "You slept 7 h 12 min.", Facts: []string{id}}}, Writer: "model"}
			}
			got, err := w.Write(t.Context(), ask())
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
	if w := grounded.New(template, template, nil, time.Second); w.NeedsConsent() {
		t.Error("the template needs consent")
	} else if got, err := w.Write(t.Context(), ask()); err != nil || got.Writer != "template" || got.FellBack != "" {
		t.Errorf("%+v, %v", got, err)
	}
	w := grounded.New(model, template, nil, time.Second)
	if got, err := w.Write(t.Context(), grounded.Ask{UID: "anna", Facts: facts()}); err != nil || got.FellBack != grounded.NoConsent || !w.NeedsConsent() {
		t.Errorf("without consent: %+v, %v", got, err)
	}
	liar := words{"template", says("You slept 8 h.", id)}
	if _, err := grounded.New(model, liar, nil, time.Second).Write(t.Context(), ask()); !errors.Is(err, grounded.ErrTemplate) {
		t.Errorf("a template that says more than its facts: %v, want ErrTemplate", err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, w := range map[string]*grounded.Writer{"model": grounded.New(words{"model", says("x")}, template, nil, time.Second), "template": grounded.New(template, template, nil, time.Second)} {
		if _, err := w.Write(over, ask()); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, after the context's end: %v", name, err)
		}
	}
}
