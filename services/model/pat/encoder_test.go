package pat_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/pat/pattest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func encoder(t testing.TB, c pat.Config, k *kernel.Kernel, workers int) *pat.Encoder {
	t.Helper()
	e, err := pat.NewEncoder(c, pattest.Weights(c, seedOf(c)), k, workers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func seedOf(c pat.Config) uint64 { return map[string]uint64{"S": 1001, "M": 1002, "L": 1003}[c.Size] }

func forward(t testing.TB, e *pat.Encoder, c pat.Config, weeks ...[]float64) (tokens, attention []float32) {
	t.Helper()
	var z []float32
	for _, w := range weeks {
		z = append(z, pattest.Float32(w)...)
	}
	tokens, attention = make([]float32, len(weeks)*c.Tokens()*pat.Width), make([]float32, len(weeks)*c.Tokens())
	if err := e.Forward(context.Background(), z, tokens, attention); err != nil {
		t.Fatal(err)
	}
	return tokens, attention
}

// distance is the largest difference, relative to the largest value wanted.
func distance[G, W float32 | float64](got []G, want []W) float64 {
	worst, size := 0.0, 0.0
	for i := range want {
		worst, size = max(worst, math.Abs(float64(got[i])-float64(want[i]))), max(size, math.Abs(float64(want[i])))
	}
	if len(got) != len(want) || math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst / size
}

func pooled(tokens []float32) []float64 {
	wide := make([]float64, len(tokens))
	for i, v := range tokens {
		wide[i] = float64(v)
	}
	return pat.Pooled(wide)
}

// Each kernel agrees with the plain float64 forward pass; TestGolden has all sizes.
func TestEncoderAgreesWithReference(t *testing.T) {
	for _, c := range pat.Sizes()[:1] {
		r, err := pat.NewReference(c, pattest.Weights(c, seedOf(c)))
		if err != nil {
			t.Fatal(err)
		}
		tokens, attention, rows := r.Tokens(pattest.Week())
		if rows > 1e-12 {
			t.Errorf("PAT-%s: an attention row sums to 1±%g", c.Size, rows)
		}
		for _, k := range kernel.All() {
			t.Run(c.Size+"/"+k.Name(), func(t *testing.T) {
				e := encoder(t, c, k, 2)
				got, received := forward(t, e, c, pattest.Week())
				dt, dp, da := distance(got, tokens), distance(pooled(got), pat.Pooled(tokens)), distance(received, attention)
				t.Logf("tokens %.1e, pooled %.1e, attention %.1e, rows %.1e", dt, dp, da, e.RowError())
				if dt > 1e-4 || dp > 1e-4 || da > 1e-4 || e.RowError() > 1e-5 {
					t.Errorf("tokens %g, pooled %g, attention %g relative to the reference; rows sum to 1±%g", dt, dp, da, e.RowError())
				}
			})
		}
	}
}

// A window's tokens are the same alone, in any place of a batch, on any number
// of workers; and every kernel agrees with the scalar one.
func TestBatchAndKernelsAgree(t *testing.T) {
	c, _ := pat.SizeOf("S")
	weeks := [][]float64{pattest.Week(), pattest.Noise(7), pattest.Week(), pattest.Noise(8), pattest.Noise(9), pattest.Week()}
	n := c.Tokens() * pat.Width
	scalar, _ := forward(t, encoder(t, c, kernel.All()[len(kernel.All())-1], 2), c, weeks[:2]...)
	for _, k := range kernel.All() {
		alone, paid := forward(t, encoder(t, c, k, 1), c, weeks[1])
		if d := distance(alone, scalar[n:]); d > 1e-5 {
			t.Errorf("%s: %g from scalar", k.Name(), d)
		}
		for _, workers := range []int{1, 3} {
			if k.Name() == "scalar" && workers == 1 {
				continue // slow, and alone has run on one
			}
			e := encoder(t, c, k, workers)
			batch, attention := forward(t, e, c, weeks...)
			if d := distance(batch[n:2*n], alone); d > 0 {
				t.Errorf("%s, %d workers: batch differs from alone by %g", k.Name(), workers, d)
			}
			if d := distance(attention[c.Tokens():2*c.Tokens()], paid); d > 0 {
				t.Errorf("%s, %d workers: attention of a batch differs by %g", k.Name(), workers, d)
			}
			for _, i := range []int{2, 5} {
				if d := distance(batch[i*n:(i+1)*n], batch[:n]); d > 0 {
					t.Errorf("%s, %d workers: week %d is week 0, and differs by %g", k.Name(), workers, i, d)
				}
			}
		}
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, size := range []string{"S", "M"} {
		c, _ := pat.SizeOf(size)
		e := encoder(t, c, kernel.All()[0], 2)
		z, tokens := pattest.Float32(pattest.Week()), make([]float32, c.Tokens()*pat.Width)
		if n := testing.AllocsPerRun(5, func() {
			if err := e.Forward(context.Background(), z, tokens, nil); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("PAT-%s: %v allocations a call", size, n)
		}
	}
}

// PAT-L at batch 1 works in far less than the 40 MB that it may take beyond its weights.
func TestMemoryBeyondWeights(t *testing.T) {
	c, _ := pat.SizeOf("L")
	w := pattest.Weights(c, 1)
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	e, err := pat.NewEncoder(c, w, kernel.All()[0], 2)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	z, tokens := pattest.Float32(pattest.Week()), make([]float32, c.Tokens()*pat.Width)
	before := live()
	if err := e.Forward(context.Background(), z, tokens, nil); err != nil {
		t.Fatal(err)
	}
	grown := int64(live()) - int64(before)
	t.Logf("working memory of a week: %d bytes", grown)
	if grown > 40<<20 {
		t.Errorf("a forward pass holds %d bytes beyond the weights", grown)
	}
	runtime.KeepAlive(w)
	runtime.KeepAlive(e)
}

func TestForwardIsSafeForConcurrentUse(t *testing.T) {
	c, _ := pat.SizeOf("S")
	e := encoder(t, c, kernel.All()[0], 2)
	want := map[uint64][]float32{}
	for i := range uint64(3) {
		want[i], _ = forward(t, e, c, pattest.Noise(i))
	}
	var all sync.WaitGroup
	for i := range uint64(3) {
		all.Go(func() {
			z, tokens := pattest.Float32(pattest.Noise(i)), make([]float32, c.Tokens()*pat.Width)
			if err := e.Forward(context.Background(), z, tokens, nil); err != nil {
				t.Error(err)
			}
			if d := distance(tokens, want[i]); d > 0 {
				t.Errorf("week %d differs by %g when others run", i, d)
			}
		})
	}
	all.Wait()
}

func TestForwardRefuses(t *testing.T) {
	c, _ := pat.SizeOf("S")
	e, err := pat.NewEncoder(c, pattest.Weights(c, 1), kernel.All()[0], 2)
	if err != nil {
		t.Fatal(err)
	}
	z, tokens := make([]float32, model.Minutes), make([]float32, c.Tokens()*pat.Width)
	if err := e.Forward(context.Background(), z[1:], tokens, nil); err == nil {
		t.Error("a week one minute short was encoded")
	}
	if err := e.Forward(context.Background(), z, tokens[1:], nil); err == nil {
		t.Error("encoded into too little room")
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Forward(ended, z, tokens, nil); err == nil {
		t.Error("encoded after the context's end")
	}
	e.Close()
	e.Close()
	if err := e.Forward(context.Background(), z, tokens, nil); err == nil {
		t.Error("encoded after Close")
	}
}

func BenchmarkForward(b *testing.B) {
	for _, c := range pat.Sizes() {
		for _, k := range kernel.All() {
			for _, workers := range []int{1, 2} {
				if k.Name() == "scalar" && (workers > 1 || c.Size == "L") {
					continue
				}
				b.Run(fmt.Sprintf("%s/%s/workers%d", c.Size, k.Name(), workers), func(b *testing.B) {
					e := encoder(b, c, k, workers)
					z, tokens := pattest.Float32(pattest.Week()), make([]float32, c.Tokens()*pat.Width)
					for b.Loop() {
						if err := e.Forward(context.Background(), z, tokens, nil); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(c.FLOPs())*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}
