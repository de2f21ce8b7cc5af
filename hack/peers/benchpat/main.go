// Benchpat times PAT's forward pass in Go beside ONNX Runtime's, on the same
// weights and week, in one process, in turns. `make bench-pat` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/unix"

	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/pat/pattest"
)

// cpuTime is the flag of that name.
var cpuTime bool

// now is seconds of the clock, or of this thread's CPU time.
func now(cores int) float64 {
	var t unix.Timespec
	clock := int32(unix.CLOCK_MONOTONIC)
	if cpuTime && cores == 1 {
		clock = unix.CLOCK_THREAD_CPUTIME_ID
	}
	if err := unix.ClockGettime(clock, &t); err != nil {
		log.Fatal(err)
	}
	return float64(t.Nano()) / 1e9
}

func main() {
	library := flag.String("library", "", "ONNX Runtime's shared `FILE`")
	flag.BoolVar(&cpuTime, "cpu", false, "one core: count the thread's CPU time instead of the clock's, for a machine that others use too")
	seconds := flag.Float64("seconds", 2, "`SECONDS` of turns for each size and number of cores")
	name := flag.String("kernel", "", "our kernel: avx512, avx2, scalar; the fastest if empty")
	flag.Parse()
	ort.SetSharedLibraryPath(*library)
	if err := ort.InitializeEnvironment(); err != nil {
		log.Fatal(err)
	}
	k, err := kernel.Choose(*name)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %d cores, %s, kernel %s, ONNX Runtime %s\n", processor(), runtime.NumCPU(), runtime.Version(), k.Name(), ort.GetVersion())
	fmt.Println("one week, median of turns (fastest), ms; GFLOP/s by the architecture's definition")
	fmt.Printf("%-5s %5s  %18s  %18s  %6s  %8s  %9s  %s\n", "size", "cores", "ours", "ONNX Runtime", "ratio", "GFLOP/s", "theirs", "difference")
	for _, c := range pat.Sizes() {
		one, best := 0.0, 0.0
		for _, cores := range []int{1, 2} {
			ours, theirs, far, err := race(c, k, cores, time.Duration(*seconds*1e9))
			if err != nil {
				log.Fatal(err)
			}
			o, t := middle(ours), middle(theirs)
			fmt.Printf("PAT-%s %5d  %8.2f (%7.2f)  %8.2f (%7.2f)  %5.2f×  %8.1f  %9.1f  %.1e", c.Size, cores,
				o*1e3, slices.Min(ours)*1e3, t*1e3, slices.Min(theirs)*1e3, t/o, float64(c.FLOPs())/o/1e9, float64(c.FLOPs())/t/1e9, far)
			if cores == 1 {
				one, best = o, slices.Min(ours)
				fmt.Println()
			} else {
				fmt.Printf("  (two cores: %.2f×, of the fastest %.2f×)\n", one/o, best/slices.Min(ours))
			}
		}
	}
}

func processor() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func middle(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// race takes turns for the time given and returns seconds a turn, and how far
// the embeddings are apart. On more than one core the two run one after the
// other, since ONNX Runtime's threads keep a core busy while they wait.
func race(c pat.Config, k *kernel.Kernel, cores int, budget time.Duration) (ours, theirs []float64, far float64, err error) {
	if cores == 1 { // all work is done on the calling thread, whose CPU time can then be told
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	w := pattest.Weights(c, 1)
	z := pattest.Float32(pattest.Week())
	e, err := pat.NewEncoder(c, w, k, cores)
	if err != nil {
		return nil, nil, 0, err
	}
	defer e.Close()
	tokens := make([]float32, c.Tokens()*pat.Width)
	us := func() error { return e.Forward(context.Background(), z, tokens, nil) }
	if cores > 1 {
		if err := turns(cores, budget/2, []func() error{us}, &ours); err != nil {
			return nil, nil, 0, err
		}
	}
	p, err := newPeer(c, w, z, cores)
	if err != nil {
		return nil, nil, 0, err
	}
	defer p.close()
	if cores > 1 {
		err = turns(cores, budget/2, []func() error{p.session.Run}, &theirs)
	} else {
		err = turns(cores, budget, []func() error{us, p.session.Run}, &ours, &theirs)
	}
	return ours, theirs, distance(tokens, p.embedding.GetData()), err
}

// turns runs every function in turn until the budget is spent, three times at least.
func turns(cores int, budget time.Duration, run []func() error, out ...*[]float64) error {
	for _, f := range run { // warm up
		if err := f(); err != nil {
			return err
		}
	}
	for start, n := time.Now(), 0; n < 3 || time.Since(start) < budget; n++ {
		for i, f := range run {
			begin := now(cores)
			if err := f(); err != nil {
				return err
			}
			*out[i] = append(*out[i], now(cores)-begin)
		}
	}
	return nil
}

// A peer is an ONNX Runtime session with its tensors.
type peer struct {
	session   *ort.AdvancedSession
	in        *ort.Tensor[float32]
	embedding *ort.Tensor[float32]
}

func newPeer(c pat.Config, w pat.Weights, z []float32, cores int) (*peer, error) {
	onnx, err := pat.ExportONNX(w, c, "pat", nil)
	if err != nil {
		return nil, err
	}
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Destroy() }()
	if err := o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll); err != nil {
		return nil, err
	}
	if err := o.SetIntraOpNumThreads(cores); err != nil {
		return nil, err
	}
	if err := o.SetInterOpNumThreads(1); err != nil {
		return nil, err
	}
	p := &peer{}
	if p.in, err = ort.NewTensor(ort.NewShape(1, model.Minutes), z); err != nil {
		return nil, err
	}
	if p.embedding, err = ort.NewEmptyTensor[float32](ort.NewShape(1, pat.Width)); err != nil {
		return nil, err
	}
	p.session, err = ort.NewAdvancedSessionWithONNXData(onnx, []string{pat.InputName}, []string{pat.OutputEmbedding},
		[]ort.Value{p.in}, []ort.Value{p.embedding}, o)
	return p, err
}

func (p *peer) close() {
	_ = p.session.Destroy()
	_ = p.in.Destroy()
	_ = p.embedding.Destroy()
}

func distance(tokens, embedding []float32) float64 {
	wide := make([]float64, len(tokens))
	for i, v := range tokens {
		wide[i] = float64(v)
	}
	far, size := 0.0, 0.0
	for i, v := range pat.Pooled(wide) {
		far, size = max(far, math.Abs(v-float64(embedding[i]))), max(size, math.Abs(v))
	}
	return far / size
}
