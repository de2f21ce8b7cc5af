package pat

import (
	"math"

	"github.com/clarity-loop/clarity/services/model"
)

const (
	weekHidden = 128
	weekValues = 5
)

// heads are the trained heads of an artifact that has them.
type heads struct {
	sleep     []float32
	sleepBias float32
	// week1 is transposed: a row for each hidden value.
	week1, week1Bias, week2, week2Bias []float32
}

func newHeads(w Weights) *heads {
	if !w.HasHeads() {
		return nil
	}
	h := &heads{
		sleep: w["head_sleep/kernel"].Data, sleepBias: w["head_sleep/bias"].Data[0],
		week1: make([]float32, Width*weekHidden), week1Bias: w["head_week_1/bias"].Data,
		week2: w["head_week_2/kernel"].Data, week2Bias: w["head_week_2/bias"].Data,
	}
	for i, v := range w["head_week_1/kernel"].Data {
		h.week1[i%weekHidden*Width+i/weekHidden] = v
	}
	return h
}

// meanOf writes the mean of tokens into out.
func meanOf(tokens, out []float32) {
	var sum [Width]float64
	n := float64(len(tokens) / Width)
	for ; len(tokens) > 0; tokens = tokens[Width:] {
		for i, v := range tokens[:Width] {
			sum[i] += float64(v)
		}
	}
	for i := range out[:Width] {
		out[i] = float32(sum[i] / n)
	}
}

func dot(a, b []float32) float32 {
	sum := float32(0)
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// sleepOf writes each token's estimated fraction of sleep into out.
func (h *heads) sleepOf(tokens, out []float32) {
	for i := range out {
		x := dot(h.sleep, tokens[i*Width:][:Width]) + h.sleepBias
		out[i] = float32(1 / (1 + math.Exp(-float64(x))))
	}
}

// weekOf writes sine and cosine of the midpoint of sleep, hours of sleep a day,
// minutes awake after onset a day, and the Sleep Regularity Index into out.
func (h *heads) weekOf(embedding, out []float32) {
	copy(out, h.week2Bias)
	for i := range weekHidden {
		v := max(0, dot(h.week1[i*Width:][:Width], embedding)+h.week1Bias[i])
		for j := range out {
			out[j] += v * h.week2[i*weekValues+j]
		}
	}
}

// Importance scales what each token received (Encoder.Forward) to 0…1 within
// the week, as the paper's section 4.2 shows it. A week in which all tokens
// receive the same has importance 0 throughout.
func Importance(attention []float32) []float32 {
	least, most := float32(math.Inf(1)), float32(math.Inf(-1))
	for _, v := range attention {
		least, most = min(least, v), max(most, v)
	}
	out := make([]float32, len(attention))
	for i, v := range attention {
		if most > least {
			out[i] = (v - least) / (most - least)
		}
	}
	return out
}

// Minutes spreads a value a token over the token's minutes: minute i of the
// window has the value of its patch.
func Minutes(tokens []float32) []float32 {
	out := make([]float32, model.Minutes)
	patch := model.Minutes / max(1, len(tokens))
	for i := range out {
		out[i] = tokens[min(i/patch, len(tokens)-1)]
	}
	return out
}
