package pat_test

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/model/pat"
	"github.com/clarity-loop/clarity/services/model/pat/kernel"
	"github.com/clarity-loop/clarity/services/model/pat/pattest"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.json with the float64 reference")

// A golden is what one forward pass comes to.
type golden struct {
	Model      string    `json:"model"`
	Seed       uint64    `json:"seed"`
	Input      string    `json:"input"`
	Macs       int       `json:"macs"`
	Pooled     []float64 `json:"pooled"`
	Token0     []float64 `json:"token0"`
	TokenLast  []float64 `json:"token_last"`
	AbsSum     float64   `json:"tokens_abs_sum"`
	Importance []float64 `json:"importance_first8"`
	Argmax     int       `json:"importance_argmax"`
}

func readGolden(t *testing.T, file string) (out struct{ Cases []golden }) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// compare holds every kernel to the golden case.
func compare(t *testing.T, g golden, z []float64) {
	t.Helper()
	c, err := pat.SizeOf(g.Model)
	if err != nil {
		t.Fatal(err)
	}
	if 2*g.Macs != c.FLOPs() {
		t.Errorf("%d operations, want %d", c.FLOPs(), 2*g.Macs)
	}
	weights := pattest.Weights(c, g.Seed)
	for i, k := range kernel.All() {
		if c.Size == "L" && (k.Name() == "scalar" && (testing.Short() || g.Input == "noise") || i > 0 && raceEnabled) {
			continue // seconds each; the race detector has seen it all at S and M
		}
		e, err := pat.NewEncoder(c, weights, k, 2)
		if err != nil {
			t.Fatal(err)
		}
		tokens, attention := forward(t, e, c, z)
		sum := 0.0
		for _, v := range tokens {
			sum += math.Abs(float64(v))
		}
		importance := pat.Importance(attention)
		for what, d := range map[string]float64{
			"pooled": distance(pooled(tokens), g.Pooled), "first token": distance(tokens[:pat.Width], g.Token0),
			"last token": distance(tokens[len(tokens)-pat.Width:], g.TokenLast), "sum": math.Abs(sum/g.AbsSum - 1),
			"importance": distance(importance[:8], g.Importance),
		} {
			if !(d <= 1e-4) {
				t.Errorf("PAT-%s on %s, %s: %s is %g from the golden", c.Size, g.Input, k.Name(), what, d)
			}
		}
		if importance[g.Argmax] != 1 {
			t.Errorf("PAT-%s on %s, %s: token %d has importance %v, want 1", c.Size, g.Input, k.Name(), g.Argmax, importance[g.Argmax])
		}
		e.Close()
	}
}

// The goldens of the repository come from Reference, which is itself held to
// an independent implementation below.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.json"
	if *update {
		writeGolden(t, file)
	}
	for _, g := range readGolden(t, file).Cases {
		compare(t, g, map[string][]float64{"synthetic": pattest.Week(), "noise": pattest.Noise(5)}[g.Input])
	}
}

func writeGolden(t *testing.T, file string) {
	var out struct {
		Source string   `json:"source"`
		Cases  []golden `json:"cases"`
	}
	out.Source = "services/model/pat/reference.go, weights and weeks of pattest"
	for _, c := range pat.Sizes() {
		r, err := pat.NewReference(c, pattest.Weights(c, seedOf(c)))
		if err != nil {
			t.Fatal(err)
		}
		for name, z := range map[string][]float64{"synthetic": pattest.Week(), "noise": pattest.Noise(5)} {
			tokens, attention, _ := r.Tokens(z)
			narrow := pattest.Float32(attention)
			importance := pat.Importance(narrow)
			g := golden{Model: c.Size, Seed: seedOf(c), Input: name, Macs: c.FLOPs() / 2, Pooled: pat.Pooled(tokens),
				Token0: tokens[:pat.Width], TokenLast: tokens[len(tokens)-pat.Width:]}
			for _, v := range tokens {
				g.AbsSum += math.Abs(v)
			}
			for i, v := range importance {
				if i < 8 {
					g.Importance = append(g.Importance, float64(v))
				}
				if v == 1 {
					g.Argmax = i
				}
			}
			out.Cases = append(out.Cases, g)
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Six cases of a NumPy float64 implementation that is not part of this repository.
func TestGoldenOfTheIndependentReference(t *testing.T) {
	dir := reference(t)
	real := arctools(t, filepath.Join(dir, "actigraphy/arctools/TAS1D47140221_2018-11-30_60sec.csv"))
	cases := readGolden(t, filepath.Join(dir, "pat/golden.json")).Cases
	if len(cases) != 6 {
		t.Fatalf("%d golden cases, want 6", len(cases))
	}
	for _, g := range cases {
		z := pattest.Week()
		if g.Input == "real" {
			z = real
		}
		compare(t, g, z)
		if g.Model != "S" {
			continue
		}
		c, _ := pat.SizeOf("S")
		r, err := pat.NewReference(c, pattest.Weights(c, g.Seed))
		if err != nil {
			t.Fatal(err)
		}
		tokens, _, rows := r.Tokens(z)
		if d := max(distance(pat.Pooled(tokens), g.Pooled), distance(tokens[:pat.Width], g.Token0)); d > 1e-12 || rows > 1e-12 {
			t.Errorf("Reference is %g from the golden, attention rows %g from 1", d, rows)
		}
	}
}

// reference is the folder of reference data beside the repository.
func reference(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("CLARITY_REFERENCE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared/reference/pat")); err == nil {
			return filepath.Join(dir, "shared/reference")
		}
	}
	t.Skip("no reference data beside the repository: set CLARITY_REFERENCE to compare with it")
	return ""
}

// arctools reads the vector magnitude of an ActiGraph minute file and
// standardises the first week within itself.
func arctools(t *testing.T, file string) []float64 {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "timestamp")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimLeft(table, "\"\r\n"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	z, mean, squares := make([]float64, 10080), 0.0, 0.0
	for i := range z {
		if z[i], err = strconv.ParseFloat(strings.TrimSpace(rows[i][3]), 64); err != nil {
			t.Fatal(err)
		}
		mean += z[i] / 10080
	}
	for _, v := range z {
		squares += (v - mean) * (v - mean) / 10080
	}
	for i := range z {
		z[i] = (z[i] - mean) / math.Sqrt(squares)
	}
	return z
}
