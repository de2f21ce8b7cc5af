package gate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// The roles of a request, as the label role says them.
const (
	roleLive   = "live"
	roleShadow = "shadow"
)

// A query is what is asked of Prometheus for one gate.
type query struct {
	// what names the number in a sentence.
	what string
	// value is the number, whatever it rests on.
	value string
	// samples counts what the number rests on; empty for a query of the spec, which knows by itself.
	samples string
	// fresh has a value while the series are still scraped.
	fresh string
	// few says that the number can fail the version however few samples there are.
	few bool
}

// asked is the value where it rests on enough, nothing elsewhere.
func (s query) asked(least int64) string {
	if s.samples == "" {
		return s.value
	}
	return fmt.Sprintf("(%s) and (%s) >= %d and (%s)", s.value, s.samples, least, s.fresh)
}

// queryOf writes the gate's question down.
func queryOf(source v1alpha1.GateSource, q Question, window time.Duration, shadow bool) (query, error) {
	w := promDuration(window)
	role := is("role", roleOf(shadow))
	requests := selector(traffic.MetricRequests, q, role)
	answered := "sum(" + gained(requests, w) + ")"
	switch {
	case source.Prometheus != nil:
		filled, err := fill(source.Prometheus.Query, q, w)
		return query{what: "the query's result", value: filled}, err
	case source.Latency != nil:
		return query{
			what: "the 99th percentile of the time to a reply in seconds", value: quantile("0.99", q, role, w),
			samples: "sum(" + gained(selector(traffic.MetricDuration+"_count", q, role), w) + ")", fresh: "count(" + requests + ")",
		}, nil
	case source.ErrorRate != nil:
		failed := "sum(" + gained(selector(traffic.MetricRequests, q, role, is("outcome", "error")), w) + ")"
		return query{
			what: "the share of failed replies", value: "(" + failed + " or vector(0)) / " + answered,
			samples: answered, fresh: "count(" + requests + ")",
		}, nil
	case source.ShadowDrift != nil:
		output := is("output", source.ShadowDrift.Output)
		compared := selector(traffic.MetricDrift+"_count", q, output)
		pairs := "sum(" + gained(compared, w) + ")"
		distance := "sum(" + gained(selector(traffic.MetricDrift+"_sum", q, output), w) + ")"
		return query{
			what:  fmt.Sprintf("the mean distance of output %q from version %q", source.ShadowDrift.Output, q.Baseline),
			value: distance + " / " + pairs, samples: pairs, fresh: "count(" + compared + ")",
		}, nil
	case source.NaN != nil:
		found := "sum(" + gained(selector(traffic.MetricNonFinite, q), w) + ")"
		return query{
			what: "the number of outputs that are not finite", value: "(" + found + " or vector(0))",
			samples: answered, fresh: "count(" + requests + ")", few: true,
		}, nil
	}
	return query{}, errors.New("the gate names no source")
}

func roleOf(shadow bool) string {
	if shadow {
		return roleShadow
	}
	return roleLive
}

// gained is by how much each counter of a selector grew within the window.
//
// increase() alone will not do. It extrapolates, so that three errors are 3.2,
// and it misses what a counter held when it was first scraped: the first error
// of a new version would be none. Here a counter that was not there when the
// window began counts from zero, exactly; increase() is left with those that
// were reset in between.
func gained(selector, window string) string {
	last := fmt.Sprintf("last_over_time(%s[%s])", selector, window)
	return fmt.Sprintf("(%s - (%s offset %s or 0 * %s) >= 0 unless resets(%s[%s]) > 0 or increase(%s[%s]))",
		last, selector, window, last, selector, window, selector, window)
}

// quantile of the time to a reply. histogram_quantile() answers a quantile above
// the last bucket's bound with that bound, as if replies were never slower;
// here it is +Inf, which no bound admits.
func quantile(share string, q Question, role, window string) string {
	buckets := func(matchers ...string) string {
		return "sum by (le) (" + gained(selector(traffic.MetricDuration+"_bucket", q, append(matchers, role)...), window) + ")"
	}
	over := fmt.Sprintf(`(max(%s) < %s * max(%s))`, buckets(`le!="+Inf"`), share, buckets())
	return fmt.Sprintf("histogram_quantile(%s, %s) unless %s or %s * 0 + Inf", share, buckets(), over, over)
}

// selector names the version's series of a metric that the matchers match.
func selector(metric string, q Question, matchers ...string) string {
	all := append([]string{is("model", q.Model), is("version", q.Version)}, matchers...)
	return metric + "{" + strings.Join(all, ",") + "}"
}

// is matches one value of a label.
func is(label, value string) string { return fmt.Sprintf("%s=%q", label, value) }

// promDuration is a duration as PromQL writes it, in whole seconds, at least
// one; more than Prometheus keeps is no more than a year.
func promDuration(d time.Duration) string {
	d = min(max(d, time.Second), 365*24*time.Hour)
	return fmt.Sprintf("%ds", int64((d+time.Second-1)/time.Second))
}

// fill puts model, version and window into a query of the spec. It knows these
// three fields and nothing else: no functions, no conditions.
func fill(text string, q Question, window string) (string, error) {
	fields := map[string]string{".Model": q.Model, ".Version": q.Version, ".Window": window}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		field, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", errors.New("the query has a {{ without its }}")
		}
		value, known := fields[strings.TrimSpace(field)]
		if !known {
			return "", fmt.Errorf("the query asks for {{%s}}: only {{.Model}}, {{.Version}} and {{.Window}} are filled in", strings.TrimSpace(field))
		}
		b.WriteString(value)
		text = after
	}
}
