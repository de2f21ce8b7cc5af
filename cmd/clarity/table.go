package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
)

// printResult writes a Result as tables a person can read.
func printResult(w io.Writer, r *analysis.Result) {
	say(w, "%s to %s (%d days, %s)\n", r.Window.Start, r.Window.End, r.Window.Days, r.Window.TimeZone)
	say(w, "%s\n", restsOn(r.Input))
	printNights(w, r.Nights)
	printDays(w, r.Days)
	reasons := map[string]analysis.Insufficient{}
	for _, i := range r.Insufficient {
		reasons[i.Metric] = i
	}
	for _, f := range []struct {
		name   string
		family analysis.Family
	}{{"wear", r.Wear}, {"sleep", r.Sleep}, {"circadian", r.Circadian}, {"activity", r.Activity}, {"cardio", r.Cardio}} {
		printFamily(w, f.name, f.family, reasons)
	}
	if m := r.Model; m != nil {
		distance := "no distance: no earlier week of the same kind"
		if m.Distance != nil {
			distance = fmt.Sprintf("%.4f from the person's own %d weeks before (0 is alike)", *m.Distance, len(m.Weeks))
		}
		say(w, "\nmodel %s on %s: %s [%s]\n", m.Name, m.InputKind, distance, m.Label)
	}
	say(w, "\npipeline %s, model %s, input %s\n", r.Lineage.Pipeline, r.Lineage.Model, short(r.Lineage.InputDigest))
}

// restsOn says in one sentence what the numbers are made of.
func restsOn(in analysis.Input) string {
	var parts []string
	switch {
	case in.Kind == "none" || in.Kind == "":
		parts = append(parts, "no movement data")
	case in.Proxy:
		parts = append(parts, string(in.Kind)+", a proxy for counts")
	default:
		parts = append(parts, string(in.Kind))
	}
	if in.Epochs > 0 {
		parts = append(parts, group(in.Epochs)+" epochs of "+strconv.Itoa(in.EpochSeconds)+" s, "+group(in.MissingEpochs)+" of them missing")
	}
	switch {
	case in.SleepSource == "stages":
		parts = append(parts, "sleep from HealthKit's stages")
	case in.SleepAlgorithm != "":
		parts = append(parts, "sleep from "+in.SleepAlgorithm)
	default:
		parts = append(parts, "no sleep data")
	}
	if in.SampleCount > 0 {
		parts = append(parts, group(in.SampleCount)+" samples")
	}
	return "Rests on " + strings.Join(parts, "; ") + "."
}

func printNights(w io.Writer, nights []analysis.Night) {
	if len(nights) == 0 {
		return
	}
	tw := table(w)
	say(tw, "\nnight to\tonset\toffset\tin bed\tasleep\tSOL\tWASO\tSE %%\tawakenings\tdeep\tREM\t\n")
	for _, n := range nights {
		say(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.1f\t%d\t%s\t%s\t\n", n.Day, clock(n.Onset), clock(n.Offset), hours(n.TimeInBedMin), hours(n.TotalSleepMin),
			number(n.OnsetLatencyMin, 0), n.WakeAfterOnsetMin, n.EfficiencyPercent, n.Awakenings, number(n.DeepMin, 0), number(n.RemMin, 0))
	}
	_ = tw.Flush()
}

func printDays(w io.Writer, days []analysis.DaySummary) {
	if len(days) == 0 {
		return
	}
	tw := table(w)
	say(tw, "\nday\tworn\tvalid\tsteps\tkcal\tactivity\tresting bpm\t\n")
	for _, d := range days {
		valid := "no"
		if d.Valid {
			valid = "yes"
		}
		say(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", d.Day, hours(float64(d.WornMinutes)), valid, number(d.Steps, 0), number(d.ActiveEnergyKcal, 0), number(d.TotalActivity, 0), number(d.RestingHeartRate, 0))
	}
	_ = tw.Flush()
}

// printFamily writes the numbers, then the metrics without one, those with the
// same reason together.
func printFamily(w io.Writer, name string, f analysis.Family, reasons map[string]analysis.Insufficient) {
	if len(f) == 0 {
		return
	}
	say(w, "\n%s\n", name)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	lacking := map[string][]string{}
	for _, metric := range slices.Sorted(maps.Keys(f)) {
		if v := f[metric]; v != nil {
			say(tw, "  %s\t%s\n", metric, significant(*v))
			continue
		}
		why := reasons[name+"."+metric]
		text := strings.TrimSuffix(why.Reason+": "+why.Detail, ": ")
		lacking[text] = append(lacking[text], metric)
	}
	_ = tw.Flush()
	for _, why := range slices.Sorted(maps.Keys(lacking)) {
		say(w, "  insufficient (%s)\n    %s\n", why, strings.Join(lacking[why], ", "))
	}
}

func table(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// clock is the local time of an RFC 3339 text.
func clock(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return t.Format("15:04")
}

// hours is minutes as h:mm.
func hours(minutes float64) string {
	m := int(math.Round(minutes))
	return strconv.Itoa(m/60) + ":" + strconv.Itoa(m%60/10) + strconv.Itoa(m%10)
}

func number(v *float64, digits int) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}

// significant is a value in at most six significant digits, without exponent
// where it can be.
func significant(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := max(0, 5-int(math.Floor(math.Log10(math.Abs(v)))))
	if digits > 12 {
		return strconv.FormatFloat(v, 'g', 6, 64)
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// group writes thousands apart.
func group(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func short(digest string) string { return digest[:min(12, len(digest))] }
