package analyse

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/catalog"
)

const (
	noKind         = "none"
	sleepAlgorithm = "cole-kripke-1992/webster-1982"
)

// newResult computes the catalog over a window and lays it out as a document.
func newResult(m *metric.Input, w analysis.Window) (analysis.Result, error) {
	values, err := catalog.Compute(m)
	if err != nil {
		return analysis.Result{}, fmt.Errorf("analyse window ending %v: %w", w.End, err)
	}
	r := analysis.Result{
		Schema: analysis.Schema, Window: w, Input: describe(m),
		Wear: analysis.Family{}, Sleep: analysis.Family{}, Circadian: analysis.Family{}, Activity: analysis.Family{}, Cardio: analysis.Family{},
		Nights: nights(m), Days: days(m), Insufficient: []analysis.Insufficient{},
		Lineage: analysis.Lineage{Pipeline: Pipeline, Model: analysis.NoModel, Chunks: []analysis.ChunkOrigin{}},
	}
	families := map[string]analysis.Family{"wear": r.Wear, "sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio}
	for i := range values {
		v := &values[i]
		if v.Lacking == nil {
			families[v.Family][v.Name] = &v.Number
			continue
		}
		families[v.Family][v.Name] = nil
		r.Insufficient = append(r.Insufficient, analysis.Insufficient{Metric: v.ID(), Reason: string(v.Lacking.Reason), Detail: v.Lacking.Detail})
	}
	slices.SortFunc(r.Insufficient, func(a, b analysis.Insufficient) int { return cmp.Compare(a.Metric, b.Metric) })
	return r, nil
}

func describe(m *metric.Input) analysis.Input {
	in := analysis.Input{
		Kind:         m.Recording.Kind,
		Proxy:        m.Recording.Kind == actigraphy.Energy || m.Recording.Kind == actigraphy.Steps,
		EpochSeconds: int(m.Recording.Epoch / time.Second), Epochs: len(m.Recording.Values), MissingEpochs: m.Recording.MissingEpochs(),
		SleepSource: string(m.SleepSource),
	}
	if in.Kind == "" {
		in.Kind = noKind
	}
	if m.SleepSource == metric.SleepCounts {
		in.SleepAlgorithm = sleepAlgorithm
	}
	return in
}

func nights(m *metric.Input) []analysis.Night {
	loc := m.Recording.Start.Location()
	out := make([]analysis.Night, len(m.Nights))
	for i, n := range m.Nights {
		out[i] = analysis.Night{
			Day: n.Day, Onset: n.Onset.Time().In(loc).Format(time.RFC3339), Offset: n.Offset.Time().In(loc).Format(time.RFC3339),
			TimeInBedMin: n.InBed, TotalSleepMin: n.Asleep, OnsetLatencyMin: n.Latency, WakeAfterOnsetMin: n.Wake,
			EfficiencyPercent: n.Efficiency(), Awakenings: n.Awakenings, MidpointMin: n.Midpoint(loc),
			DeepMin: n.Deep, RemMin: n.REM, CoreMin: n.Core, Source: string(n.Source),
		}
	}
	return out
}

func days(m *metric.Input) []analysis.DaySummary {
	loc := m.Recording.Start.Location()
	out := make([]analysis.DaySummary, len(m.Days))
	for i, d := range m.Days {
		out[i] = analysis.DaySummary{Day: d.Day, Minutes: d.Minutes, WornMinutes: d.Worn, Valid: d.Valid, Steps: d.Steps, ActiveEnergyKcal: d.ActiveEnergy}
		if d.Worn > 0 {
			sum := 0.0
			for e := d.First; e < d.End; e++ {
				if m.Worn[e] {
					sum += m.Recording.Values[e]
				}
			}
			out[i].TotalActivity = &sum
		}
		start, end := d.Day.Bounds(loc)
		for _, p := range m.RestingHeartRate { // the last of the day: HealthKit refines it
			if p.At >= start && p.At < end {
				value := p.Value
				out[i].RestingHeartRate = &value
			}
		}
	}
	return out
}

// Digest is the InputDigest of a window: SHA-256 over its days and zone, the
// source priority, the pipeline, the model version, what the numbers rest on of its
// chunks, and the digests of the weeks it is compared with.
func Digest(in Input) string {
	h := sha256.New()
	write(h, "clarity.window/1", Pipeline, cmp.Or(in.Model, analysis.NoModel), in.Start.String(), in.End.String(), in.Zone.String(), strconv.Itoa(len(in.Preferred)))
	write(h, in.Preferred...)
	for _, c := range in.Chunks {
		write(h, c.Day.String(), c.Basis())
	}
	for _, w := range in.Weeks {
		write(h, "week", w.End.String(), w.Digest)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recordingDigest is the InputDigest of a recording: SHA-256 over what it holds.
func recordingDigest(rec actigraphy.Recording) string {
	h := sha256.New()
	write(h, "clarity.recording/1", Pipeline, rec.Start.Format(time.RFC3339Nano), rec.Start.Location().String(), rec.Epoch.String(),
		string(rec.Kind), rec.Device, rec.Channel)
	block := make([]byte, 0, 9*1024)
	for i, v := range rec.Values {
		block = binary.LittleEndian.AppendUint64(block, math.Float64bits(v))
		known := byte(0)
		if rec.Known(i) {
			known = 1
		}
		if block = append(block, known); len(block) == cap(block) {
			_, _ = h.Write(block)
			block = block[:0]
		}
	}
	_, _ = h.Write(block)
	return hex.EncodeToString(h.Sum(nil))
}

// write adds texts to a hash, each with its length, so that two lists never
// look the same.
func write(h hash.Hash, texts ...string) {
	var length [8]byte
	for _, s := range texts {
		binary.LittleEndian.PutUint64(length[:], uint64(len(s)))
		_, _ = h.Write(length[:])
		_, _ = h.Write([]byte(s))
	}
}
