package pat

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

// The outputs' names.
const (
	OutputEmbedding = "embedding"
	outputSleep     = "sleep"
	outputWeek      = "week"
)

// Options choose how a model runs; the zero value is right for a service.
type Options struct {
	// Kernel names the vector kernel; "" takes the fastest that the processor has.
	Kernel string
	// Workers is how many cores a call uses; 0 takes all that Go may use.
	Workers int
}

// A Model is a loaded version; it keeps the model contract.
type Model struct {
	identity model.Identity
	config   Config
	spec     preprocess.Spec
	encoder  *Encoder
	heads    *heads
	kernel   string

	mu        sync.Mutex
	scratch   *preprocess.Scratch
	z         []float32 // atOnce windows
	tokens    []float32
	attention []float32
	at        [atOnce]int // the windows' places in the batch
}

// Open loads a bundle and runs its golden vectors before anyone else's: weights
// that do not come to them are refused.
func Open(ctx context.Context, b *bundle.Bundle, o Options) (*Model, error) {
	w, c, err := weightsOf(b)
	if err != nil {
		return nil, err
	}
	if err := b.Preprocessing.Check(); err != nil {
		return nil, err
	}
	if !slices.EqualFunc(b.Contract.Outputs, outputs(c, w.HasHeads()), func(a, b model.Output) bool {
		return a.Name == b.Name && a.Length == b.Length
	}) {
		return nil, model.Refuse(model.Malformed, "the contract's outputs are not those of PAT-%s with these weights", c.Size)
	}
	k, err := kernel.Choose(o.Kernel)
	if err != nil {
		return nil, err
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	e, err := NewEncoder(c, w, k, o.Workers)
	if err != nil {
		return nil, err
	}
	m := &Model{
		identity: b.Identity(), config: c, spec: b.Preprocessing, encoder: e, heads: newHeads(w), kernel: k.Name(),
		scratch: preprocess.NewScratch(), z: make([]float32, atOnce*model.Minutes),
		tokens: make([]float32, atOnce*c.Tokens()*Width), attention: make([]float32, c.Tokens()),
	}
	if err := m.verify(ctx, b.Golden); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// outputs are what a size's encoder returns, and its heads if it has them.
func outputs(c Config, withHeads bool) []model.Output {
	out := []model.Output{{Name: OutputEmbedding, Length: Width, Unit: "1", Visibility: model.Internal,
		Doc: "mean of the tokens; for distances between a person's own weeks"}}
	if !withHeads {
		return out
	}
	return append(out,
		model.Output{Name: outputSleep, Length: c.Tokens(), Unit: "1", Visibility: model.Preview,
			Doc: fmt.Sprintf("estimated fraction of minutes asleep in each token of %d minutes; unknown where under half of them were worn", c.Patch)},
		model.Output{Name: outputWeek, Length: weekValues, Unit: "1,1,h/d,min/d,1", Visibility: model.Internal,
			Doc: "sine and cosine of the midpoint of sleep after the window's start, sleep a day, wake after onset a day, Sleep Regularity Index; only the midpoint is fit to be shown"})
}

func (m *Model) verify(ctx context.Context, g bundle.Golden) error {
	into := make([]model.Inference, 1)
	for _, c := range g.Cases {
		if err := m.Infer(ctx, []model.Window{c.Window()}, into); err != nil {
			return fmt.Errorf("run golden case %q: %w", c.Name, err)
		}
		if err := g.Compare(c, m.identity, &into[0]); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the workers; no call may follow.
func (m *Model) Close() { m.encoder.Close() }

// Identity says which version this is.
func (m *Model) Identity() model.Identity { return m.identity }

// Kernel is the name of the vector kernel in use.
func (m *Model) Kernel() string { return m.kernel }

// Infer keeps the contract. It allocates only what into lacks.
func (m *Model) Infer(ctx context.Context, windows []model.Window, into []model.Inference) error {
	if err := model.CheckBatch(ctx, windows, into); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for next := 0; next < len(windows); {
		n := 0
		for ; next < len(windows) && n < atOnce; next++ {
			if m.spec.Begin(&m.identity, windows[next], m.scratch, m.z[n*model.Minutes:][:model.Minutes], &into[next]) {
				m.at[n] = next
				n++
			}
		}
		size := m.config.Tokens() * Width
		if err := m.encoder.Forward(ctx, m.z[:n*model.Minutes], m.tokens[:n*size], nil); err != nil {
			return fmt.Errorf("infer %d windows: %w", len(windows), err)
		}
		for i, at := range m.at[:n] {
			m.finish(m.tokens[i*size:][:size], &into[at])
		}
	}
	return nil
}

func (m *Model) finish(tokens []float32, in *model.Inference) {
	m.outputs(tokens, in.Values)
	in.RefuseNonFinite(m.identity)
}

// outputs writes what the tokens of one window come to, an output a slice.
func (m *Model) outputs(tokens []float32, into [][]float32) {
	meanOf(tokens, into[0])
	if m.heads != nil {
		m.heads.sleepOf(tokens, into[1])
		m.heads.weekOf(into[0], into[2])
	}
}

// Forward is the model without its preprocessing, as a server computes it: z is
// one standardised window, into has a slice of its length for each output.
func (m *Model) Forward(ctx context.Context, z []float32, into [][]float32) error {
	if len(z) != model.Minutes || len(into) != len(m.identity.Outputs) {
		return fmt.Errorf("forward %d values into %d outputs: want %d into %d", len(z), len(into), model.Minutes, len(m.identity.Outputs))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.z, z)
	size := m.config.Tokens() * Width
	if err := m.encoder.Forward(ctx, m.z[:model.Minutes], m.tokens[:size], nil); err != nil {
		return fmt.Errorf("forward a window: %w", err)
	}
	m.outputs(m.tokens[:size], into)
	return nil
}

// Explain says how much attention each minute of a window got: what the last
// layer's heads pay to its patch, summed over all patches that pay and averaged
// over the heads, scaled to 0…1 within the week (section 4.2 of the paper). It
// shows where a model looked, not why it came to what it came to.
func (m *Model) Explain(ctx context.Context, w model.Window) ([]float32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.spec.Apply(w, m.scratch, m.z[:model.Minutes]); err != nil {
		return nil, err
	}
	size := m.config.Tokens() * Width
	if err := m.encoder.Forward(ctx, m.z[:model.Minutes], m.tokens[:size], m.attention); err != nil {
		return nil, fmt.Errorf("explain a window: %w", err)
	}
	return Minutes(Importance(m.attention)), nil
}
