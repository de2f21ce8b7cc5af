package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A level is a share of what happens that may go wrong in thirty days.
type level struct {
	record, alert, summary string
	// bad is the share that goes wrong, as PromQL over WINDOW.
	bad    string
	budget string
	of     string // "requests failed", as a description says it behind the share
	// series are those of the tests.
	series []counter
	labels string // that the alert has besides
	beside []string
}

// A counter is a series that counts everything, or what goes well, or what does not.
type counter struct {
	series string
	counts counted
}

type counted int

const (
	all counted = iota
	good
	wrong
)

// levels are the promises. Each number that stands here stands nowhere else.
func levels() []level {
	return []level{
		{record: "http_errors", alert: "ClarityAvailabilityBurn", summary: "Requests fail", budget: "0.001", of: "requests failed",
			bad:    "sum (rate(clarity_http_requests_total{class=\"5xx\"}[WINDOW]))\n  / sum (rate(clarity_http_requests_total[WINDOW]))",
			series: []counter{{`clarity_http_requests_total{class="2xx", route="/v1/uploads/{id}"}`, good}, {`clarity_http_requests_total{class="5xx", route="/v1/uploads/{id}"}`, wrong}}},
		late("slow_acks", "ClarityAckBurn", "Uploads are acked slowly", "uploads were acked after more than 250 ms", "clarity_upload_ack_seconds", "", "0.25"),
		late("late_merges", "ClarityMergeBurn", "Uploads are merged late", "uploads were merged more than a minute after their ack", "clarity_stage_done_seconds", `topic="uploads",consumer="intake"`, "60"),
		late("late_results", "ClarityFreshnessBurn", "Results come late", "windows of these days had their result more than five minutes after the merge", "clarity_result_wait_seconds", "", "300"),
		late("late_insights", "ClarityInsightBurn", "Insights come late", "results were put into words more than a minute after they were there", "clarity_stage_done_seconds", `topic="results",consumer="insights"`, "60"),
		{record: "model_errors", alert: "ClarityModelErrorsBurn", summary: "A model's replies fail", budget: "0.001", of: "replies of {{ $labels.model }} failed",
			bad:    "sum by (model) (rate(clarity_model_requests_total{role=\"live\",outcome=\"error\"}[WINDOW]))\n  / sum by (model) (rate(clarity_model_requests_total{role=\"live\"}[WINDOW]))",
			series: []counter{{`clarity_model_requests_total{model="pat", version="v1", role="live", outcome="ok"}`, good}, {`clarity_model_requests_total{model="pat", version="v1", role="live", outcome="error"}`, wrong}},
			labels: "model: pat",
			beside: []string{`clarity_model_requests_total{model="pat", version="v2", role="shadow", outcome="error"}`, `clarity_model_requests_total{model="hrv", version="v1", role="live", outcome="ok"}`}},
	}
}

// late is one in a hundred that may take longer than a bound of the histogram.
func late(record, alert, summary, of, histogram, labels, bound string) level {
	among, counted := `le="`+bound+`"`, ""
	if labels != "" {
		among, counted = labels+","+among, "{"+labels+"}"
	}
	return level{record: record, alert: alert, summary: summary, budget: "0.01", of: of,
		bad:    fmt.Sprintf("1 - sum (rate(%s_bucket{%s}[WINDOW]))\n  / sum (rate(%s_count%s[WINDOW]))", histogram, among, histogram, counted),
		series: []counter{{fmt.Sprintf("%s_bucket{%s}", histogram, among), good}, {histogram + "_count" + counted, all}}}
}

// A burn is how fast the budget of a month may go, over a long window and a short one that
// says whether it still does.
type burn struct{ severity, times, long, short, wait string }

// burns are those of the SRE workbook, chapter 5.
func burns() []burn {
	return []burn{{"page", "14.4", "1h", "5m", "2m"}, {"page", "6", "6h", "30m", "15m"}, {"ticket", "3", "1d", "2h", "1h"}, {"ticket", "1", "3d", "6h", "3h"}}
}

// windows are what is recorded.
func windows() []string { return []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} }

const playbooks = "https://github.com/clarity-loop/clarity/blob/main/docs/operations/playbooks/"

// rules are the recorded shares, and an alert for each burn.
func rules(all []level) []byte {
	var b bytes.Buffer
	b.WriteString("# Service levels of 30 days, each with its budget; an alert for each speed at which the budget goes.\n" +
		"# Written by `go run ./hack/signals`, from levels.go. Unit tests: tests/service-levels.yaml. Every alert has a page in docs/operations/playbooks.\n" +
		"groups:\n  - name: clarity-service-levels-recorded\n    rules:\n")
	for _, l := range all {
		for _, w := range windows() {
			fmt.Fprintf(&b, "      - record: %s\n        expr: |\n%s", l.recorded(w), indent(strings.ReplaceAll(l.bad, "WINDOW", w), "          "))
		}
	}
	b.WriteString("  - name: clarity-service-levels\n    rules:\n")
	for _, l := range all {
		for _, s := range burns() {
			fmt.Fprintf(&b, "      - alert: %s\n        expr: |\n          %s > %s * %s and %s > %s * %s\n        for: %s\n        labels: {severity: %s, burn: %q}\n        annotations:\n",
				l.alert, l.recorded(s.long), s.times, l.budget, l.recorded(s.short), s.times, l.budget, s.wait, s.severity, s.times)
			b.WriteString(indent(l.annotations(s, "{{ $value | humanizePercentage }}", l.of), "          "))
		}
	}
	return b.Bytes()
}

func (l level) recorded(window string) string { return "clarity:" + l.record + ":ratio_rate" + window }

func (l level) annotations(s burn, share, of string) string {
	return fmt.Sprintf("summary: %s\ndescription: '%s of the %s over %s: the month''s budget of %s goes %s times too fast.'\nrunbook_url: %s%s.md",
		l.summary, share, of, s.long, l.budget, s.times, playbooks, l.alert)
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(text, "\n", "\n"+by) + "\n"
}

// perStep is how much happens between two samples of a test.
const perStep = 10_000

// A stretch is a share that goes wrong for some samples.
type stretch struct {
	samples int
	share   float64
}

// values are a counter's, in promtool's words.
func (c counter) values(course []stretch) string {
	var parts []string
	at, samples := 0, -1 // the first sample is 0
	for _, s := range course {
		bad := int(s.share*perStep + 0.5)
		step := map[counted]int{all: perStep, good: perStep - bad, wrong: bad}[c.counts]
		if samples < 0 {
			parts = append(parts, fmt.Sprintf("0+%dx%d", step, s.samples))
		} else {
			parts = append(parts, fmt.Sprintf("%d+%dx%d", at+step, step, s.samples-1))
		}
		at += step * s.samples
		samples = s.samples
	}
	return strings.Join(parts, " ")
}

// A course is what goes wrong over time, of each level as much as of the others, and what
// fires then.
type course struct {
	name, interval string
	of             func(l level) []stretch
	looks          []look
}

// A look is what fires at a minute of a course: the first so many of the burns.
type look struct {
	at    string
	fires int
}

// courses are what the levels are held against.
func courses() []course {
	return []course{
		{"half of the budget goes, for two days", "5m", func(l level) []stretch { return []stretch{{600, l.share() / 2}} }, []look{{"45h", 0}}},
		{"two days are well, then twenty times the budget goes for an hour and a half", "5m",
			func(l level) []stretch { return []stretch{{576, 0}, {18, 20 * l.share()}, {60, 0}} },
			[]look{{"2900m", 0}, {"2965m", 1}, {"3020m", 0}}},
		{"twenty times the budget goes from the start, so that each window burns, and is told after its own time", "5m",
			func(l level) []stretch { return []stretch{{200, 20 * l.share()}} }, []look{{"40m", 2}, {"300m", 4}}},
	}
}

// blips are courses of a minute in which half goes wrong, or all where the budget is larger.
// They are looked at each minute, so that nothing that fires is passed over.
func blips() []course {
	return []course{{"ten hours are well, then much goes wrong for a minute", "1m",
		func(l level) []stretch { return []stretch{{600, 0}, {1, min(1, 500*l.share())}, {60, 0}} },
		[]look{{"601m", 0}, {"603m", 0}, {"605m", 0}, {"610m", 0}, {"640m", 0}, {"660m", 0}}}}
}

// tests hold the levels against the courses.
func tests(levels []level, courses []course) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by `go run ./hack/signals`, from levels.go.\nrule_files: [../service-levels.yaml]\nevaluation_interval: %s\ntests:\n", courses[0].interval)
	for _, c := range courses {
		fmt.Fprintf(&b, "  - name: %s\n    interval: %s\n    input_series:\n", c.name, c.interval)
		for _, l := range levels {
			l.input(&b, c.of(l))
		}
		b.WriteString("    alert_rule_test:\n")
		for _, l := range levels {
			for _, k := range c.looks {
				l.expect(&b, k, c.of(l))
			}
		}
	}
	return b.Bytes()
}

// share is the budget.
func (l level) share() float64 {
	budget, err := strconv.ParseFloat(l.budget, 64)
	if err != nil {
		panic(err) // the list above is wrong
	}
	return budget
}

// input is the level's series.
func (l level) input(b *bytes.Buffer, course []stretch) {
	samples := 0
	for _, s := range course {
		samples += s.samples
	}
	for _, c := range l.series {
		fmt.Fprintf(b, "      - {series: '%s', values: '%s'}\n", c.series, c.values(course))
	}
	for _, series := range l.beside {
		fmt.Fprintf(b, "      - {series: '%s', values: '0+%dx%d'}\n", series, perStep, samples)
	}
}

// expect is what fires of the level.
func (l level) expect(b *bytes.Buffer, k look, course []stretch) {
	if k.fires == 0 {
		fmt.Fprintf(b, "      - {eval_time: %s, alertname: %s, exp_alerts: []}\n", k.at, l.alert)
		return
	}
	worst := 0.0
	for _, s := range course {
		worst = max(worst, s.share)
	}
	fmt.Fprintf(b, "      - eval_time: %s\n        alertname: %s\n        exp_alerts:\n", k.at, l.alert)
	for _, s := range burns()[:k.fires] {
		labels := fmt.Sprintf("severity: %s, burn: %q", s.severity, s.times)
		if l.labels != "" {
			labels += ", " + l.labels
		}
		fmt.Fprintf(b, "          - exp_labels: {%s}\n            exp_annotations:\n", labels)
		b.WriteString(indent(l.annotations(s, fmt.Sprintf("%.4g%%", 100*worst), strings.ReplaceAll(l.of, "{{ $labels.model }}", "pat")), "              "))
	}
}
