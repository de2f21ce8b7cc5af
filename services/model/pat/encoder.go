package pat

import (
	"context"
	"fmt"
	"sync"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
)

// The blocking: a task is strips·14 tokens of one window, which meet the keys
// keyBlock at a time.
const (
	strips    = 2
	blockRows = strips * kernel.Rows // divides 560 and 1,120
	keyBlock  = 224                  // divides 1,120; 560 leaves 112
	atOnce    = 4                    // windows in one pass over the layers
)

// An Encoder is the fast forward pass of one set of weights on one kernel.
// Calls of Forward wait for each other: each uses all workers.
type Encoder struct {
	config   Config
	kernel   *kernel.Kernel
	dense    []float32 // packed
	position []float32 // tokens × Width, the patch embedding's bias included
	layers   []*layer

	mu      sync.Mutex
	pool    *pool
	scratch []*scratch
	batch   [atOnce]*window
	z       []float32 // of the call
	tokens  []float32 // of the call
	explain bool
	phase   int // 0 embeds, i runs layer i−1
	closed  bool
}

// A window is the state of one window on its way through the layers.
type window struct {
	h []float32 // tokens × Width
	// keys are the tokens packed as the right side of scores, values as that of
	// sums; a layer reads one pair and writes the other.
	keys, values [2][]float32
	// received is the attention each token receives, a row a task.
	received []float32
	rowError []float32
}

// A scratch is one worker's.
type scratch struct {
	query, sum, out, y []float32 // blockRows × Width
	scores             []float32 // Rows × keyBlock
	inner              []float32 // Rows × hidden
	top, total         []float32 // blockRows
	corr, spareSum     []float32 // Rows
	rows               [kernel.Rows]float32
	gemm               kernel.Gemm
	softmax            kernel.Softmax
	norm               kernel.Norm
	divide             kernel.Divide
}

// NewEncoder folds and packs checked weights. It starts workers−1 goroutines,
// which Close ends.
func NewEncoder(c Config, w Weights, k *kernel.Kernel, workers int) (*Encoder, error) {
	if err := w.Check(c); err != nil {
		return nil, err
	}
	if workers < 1 {
		return nil, fmt.Errorf("make an encoder with %d workers: want at least 1", workers)
	}
	e := &Encoder{config: c, kernel: k, dense: pack(w["dense/kernel"].Data, c.Patch, Width)}
	bias := w["dense/bias"].Data
	for i, p := range positional(c.Tokens()) {
		e.position = append(e.position, float32(p+float64(bias[i%Width])))
	}
	for i := 1; i <= c.Layers; i++ {
		l, err := foldLayer(w, c, i)
		if err != nil {
			return nil, err
		}
		e.layers = append(e.layers, l)
	}
	for range workers {
		e.scratch = append(e.scratch, newScratch())
	}
	e.pool = newPool(workers, e.task)
	return e, nil
}

func newScratch() *scratch {
	f := func(n int) []float32 { return make([]float32, n) }
	return &scratch{
		query: f(blockRows * Width), sum: f(blockRows * Width), out: f(blockRows * Width), y: f(blockRows * Width),
		scores: f(kernel.Rows * keyBlock), inner: f(kernel.Rows * hidden),
		top: f(blockRows), total: f(blockRows), corr: f(kernel.Rows), spareSum: f(kernel.Rows),
	}
}

func newWindow(c Config) *window {
	n := c.Tokens()
	padded := (n + kernel.Panel - 1) / kernel.Panel * kernel.Panel
	w := &window{h: make([]float32, n*Width), received: make([]float32, n/blockRows*n), rowError: make([]float32, n/blockRows)}
	for i := range w.keys {
		w.keys[i], w.values[i] = make([]float32, padded*Width), make([]float32, n*Width)
	}
	return w
}

// Close ends the workers. Forward must not be called after it.
func (e *Encoder) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		e.pool.close()
	}
}

// Forward encodes len(z)/model.Minutes weeks of standardised minutes into
// tokens (Tokens·Width values a week). attention, if not nil, receives a value
// a token: how much attention the last layer pays to it, summed over the
// tokens that pay and averaged over the heads; the values of a week sum to the
// number of its tokens.
func (e *Encoder) Forward(ctx context.Context, z, tokens, attention []float32) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.config.Tokens()
	weeks := len(z) / model.Minutes
	switch {
	case e.closed:
		return fmt.Errorf("encode: the encoder is closed")
	case len(z) != weeks*model.Minutes || len(tokens) != weeks*n*Width || attention != nil && len(attention) != weeks*n:
		return fmt.Errorf("encode %d values into %d: want %d minutes and %d values a week", len(z), len(tokens), model.Minutes, n*Width)
	}
	for first := 0; first < weeks; first += atOnce {
		m := min(atOnce, weeks-first)
		e.z, e.tokens, e.explain = z[first*model.Minutes:], tokens[first*n*Width:], attention != nil
		for i := range m {
			if e.batch[i] == nil {
				e.batch[i] = newWindow(e.config)
			}
		}
		for e.phase = 0; e.phase <= len(e.layers); e.phase++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			e.pool.run(m * n / blockRows)
		}
		if attention != nil {
			for i := range m {
				e.batch[i].collect(attention[(first+i)*n:][:n])
			}
		}
	}
	return nil
}

// collect adds the tasks' shares up, in their order.
func (w *window) collect(attention []float32) {
	clear(attention)
	for i, v := range w.received {
		attention[i%len(attention)] += v
	}
}

// task is one block of rows of one window in the present phase.
func (e *Encoder) task(worker, task int) {
	s, blocks := e.scratch[worker], e.config.Tokens()/blockRows
	w, block := e.batch[task/blocks], task%blocks
	if e.phase == 0 {
		e.embed(s, w, e.z[task/blocks*model.Minutes:], block*blockRows)
		return
	}
	l := e.layers[e.phase-1]
	last := e.phase == len(e.layers)
	e.attend(s, w, l, block, last && e.explain)
	e.feedForward(s, w, l, block*blockRows)
	if !last {
		w.pack(block*blockRows, e.phase%2)
		return
	}
	n := e.config.Tokens() * Width
	copy(e.tokens[task/blocks*n+block*blockRows*Width:][:blockRows*Width], w.h[block*blockRows*Width:])
}

func (e *Encoder) embed(s *scratch, w *window, z []float32, row int) {
	rows := w.h[row*Width:][:blockRows*Width]
	copy(rows, e.position[row*Width:])
	for i := 0; i < blockRows; i += kernel.Rows {
		s.gemm = kernel.Gemm{C: rows[i*Width:], LDC: Width, A: z[(row+i)*e.config.Patch:], LDA: e.config.Patch, K: e.config.Patch,
			B: e.dense, BStride: e.config.Patch * kernel.Panel, Panels: Width / kernel.Panel, Mode: kernel.Accumulate}
		e.kernel.Gemm(&s.gemm)
	}
	w.pack(row, 0)
}

// pack lays the block of tokens from row on out for the layer that reads pair to.
func (w *window) pack(row, to int) {
	n := len(w.h) / Width
	keys, values := w.keys[to], w.values[to]
	for r := row; r < row+blockRows; r++ {
		token := w.h[r*Width:][:Width]
		column := keys[r/kernel.Panel*Width*kernel.Panel+r%kernel.Panel:]
		for i, v := range token {
			column[i*kernel.Panel] = v
		}
		for p := range Width / kernel.Panel {
			copy(values[(p*n+r)*kernel.Panel:][:kernel.Panel], token[p*kernel.Panel:])
		}
	}
}

// attend leaves the block's attention output, bias included, in s.out.
func (e *Encoder) attend(s *scratch, w *window, l *layer, block int, explain bool) {
	n, from := e.config.Tokens(), (e.phase-1)%2
	h := w.h[block*blockRows*Width:]
	if explain {
		clear(w.received[block*n:][:n])
		w.rowError[block] = 0
	}
	for head := range e.config.Heads {
		for i := range s.top {
			s.top[i], s.total[i] = kernel.NoMax, 0
		}
		for i := 0; i < blockRows; i += kernel.Rows {
			s.gemm = kernel.Gemm{C: s.query[i*Width:], LDC: Width, A: h[i*Width:], LDA: Width, K: Width,
				B: l.score[head], BStride: Width * kernel.Panel, Panels: Width / kernel.Panel, Mode: kernel.AddBias, Bias: l.scoreBias[head]}
			e.kernel.Gemm(&s.gemm)
		}
		for key := 0; key < n; key += keyBlock {
			for i := 0; i < blockRows; i += kernel.Rows {
				e.meet(s, w.keys[from], w.values[from], i, key, min(keyBlock, n-key))
			}
		}
		if explain {
			e.receive(s, w, block)
		}
		mode := kernel.Accumulate
		if head == 0 {
			mode = kernel.AddBias
		}
		for i := 0; i < blockRows; i += kernel.Rows {
			s.divide = kernel.Divide{X: s.sum[i*Width:], Sum: s.total[i:]}
			e.kernel.Divide(&s.divide)
			s.gemm = kernel.Gemm{C: s.out[i*Width:], LDC: Width, A: s.sum[i*Width:], LDA: Width, K: Width,
				B: l.value[head], BStride: Width * kernel.Panel, Panels: Width / kernel.Panel, Mode: mode, Bias: l.outBias}
			e.kernel.Gemm(&s.gemm)
		}
	}
}

// score computes a strip's scores for m keys from key on.
func (e *Encoder) score(s *scratch, keys []float32, row, key, m int) {
	s.gemm = kernel.Gemm{C: s.scores, LDC: keyBlock, A: s.query[row*Width:], LDA: Width, K: Width,
		B: keys[key*Width:], BStride: Width * kernel.Panel, Panels: m / kernel.Panel, Half: m % kernel.Panel / 16}
	e.kernel.Gemm(&s.gemm)
}

// meet lets a strip of queries meet m keys from key on.
func (e *Encoder) meet(s *scratch, keys, values []float32, row, key, m int) {
	e.score(s, keys, row, key, m)
	s.softmax = kernel.Softmax{S: s.scores, LDS: keyBlock, N: m, Max: s.top[row:], Sum: s.total[row:], Corr: s.corr}
	e.kernel.Softmax(&s.softmax)
	mode := kernel.Rescale
	if key == 0 {
		mode = kernel.Overwrite
	}
	s.gemm = kernel.Gemm{C: s.sum[row*Width:], LDC: Width, A: s.scores, LDA: keyBlock, K: m,
		B: values[key*kernel.Panel:], BStride: len(values) / (Width / kernel.Panel), Panels: Width / kernel.Panel,
		Mode: mode, Scale: s.corr}
	e.kernel.Gemm(&s.gemm)
}

// receive goes over the head's scores once more, now that each row's maximum
// and sum are known, and adds up what each key receives.
func (e *Encoder) receive(s *scratch, w *window, block int) {
	n, from := e.config.Tokens(), (e.phase-1)%2
	received := w.received[block*n:][:n]
	for row := 0; row < blockRows; row += kernel.Rows {
		s.rows = [kernel.Rows]float32{}
		for key := 0; key < n; key += keyBlock {
			m := min(keyBlock, n-key)
			e.score(s, w.keys[from], row, key, m)
			s.softmax = kernel.Softmax{S: s.scores, LDS: keyBlock, N: m, Max: s.top[row:], Sum: s.spareSum, Corr: s.corr}
			e.kernel.Softmax(&s.softmax)
			for r := range kernel.Rows {
				inverse, sum := 1/s.total[row+r], float32(0)
				for i, p := range s.scores[r*keyBlock:][:m] {
					p *= inverse
					sum += p
					received[key+i] += p / float32(e.config.Heads)
				}
				s.rows[r] += sum
			}
		}
		for _, sum := range s.rows {
			w.rowError[block] = max(w.rowError[block], sum-1, 1-sum)
		}
	}
}

// feedForward takes s.out to the layer's result in w.h.
func (e *Encoder) feedForward(s *scratch, w *window, l *layer, row int) {
	h := w.h[row*Width:][:blockRows*Width]
	for i := 0; i < blockRows; i += kernel.Rows {
		y, out := s.y[i*Width:], s.out[i*Width:]
		s.norm = kernel.Norm{Dst: y, X: out, R: h[i*Width:], Gamma: l.gamma1, Beta: l.beta1}
		e.kernel.Norm(&s.norm)
		s.gemm = kernel.Gemm{C: s.inner, LDC: hidden, A: y, LDA: Width, K: Width,
			B: l.ff1, BStride: Width * kernel.Panel, Panels: hidden / kernel.Panel, Mode: kernel.AddBias, Bias: l.ff1Bias, ReLU: 1}
		e.kernel.Gemm(&s.gemm)
		s.gemm = kernel.Gemm{C: out, LDC: Width, A: s.inner, LDA: hidden, K: hidden,
			B: l.ff2, BStride: hidden * kernel.Panel, Panels: Width / kernel.Panel, Mode: kernel.AddBias, Bias: l.ff2Bias}
		e.kernel.Gemm(&s.gemm)
		s.norm = kernel.Norm{Dst: h[i*Width:], X: out, R: y, Gamma: l.gamma2, Beta: l.beta2}
		e.kernel.Norm(&s.norm)
	}
}
