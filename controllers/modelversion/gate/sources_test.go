package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/api/traffic"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/controllers/modelversion/gate"
	"github.com/clarity-loop/clarity/internal/kubelab/prometheustest"
)

const (
	pass = v1alpha1.VerdictPass
	fail = v1alpha1.VerdictFail
	wait = v1alpha1.VerdictWait
	erro = v1alpha1.VerdictError

	begin = time.Duration(0)
	early = -10 * time.Minute
	end   = 10 * time.Minute
)

// describe tells of one world of each kind that the sources must judge right.
func describe() *world {
	w := newWorld()
	nine := []float64{0.9, 0.995, 1}

	// Two workers, a thousand replies each, all well. v2 has no error and no
	// output that is not finite, and so no such series.
	for _, worker := range []string{"a", "b"} {
		w.requests("good", worker, "live", "ok", early, end, minutes(100, 5000))
		w.replies("good", worker, "live", early, end, nine, minutes(100, 5000))
	}
	// Slow: two in a hundred take up to a second.
	w.requests("slow", "a", "live", "ok", early, end, minutes(100, 0))
	w.replies("slow", "a", "live", early, end, []float64{0.5, 0.98, 1}, minutes(100, 0))
	// Two in a hundred take longer than the last bucket's bound.
	w.requests("hanging", "a", "live", "ok", early, end, minutes(100, 0))
	w.replies("hanging", "a", "live", early, end, []float64{0.5, 0.98, 0.98}, minutes(100, 0))
	// Slow before the step began, and well since.
	w.requests("recovered", "a", "live", "ok", early, end, minutes(100, 5000))
	w.add(traffic.MetricDuration, "histogram", traffic.MetricDuration+"_bucket", labelsOf("recovered", "a")+`,role="live",le="0.1"`, early, end, minutes(100, 0))
	w.add(traffic.MetricDuration, "histogram", traffic.MetricDuration+"_bucket", labelsOf("recovered", "a")+`,role="live",le="+Inf"`, early, end, minutes(100, 5000))
	w.add(traffic.MetricDuration, "histogram", traffic.MetricDuration+"_count", labelsOf("recovered", "a")+`,role="live"`, early, end, minutes(100, 5000))

	// 970 of 1000 replies since the step began are ok. The first scrape after the
	// first error sees all 30 of them, and nothing comes after.
	w.requests("failing", "a", "live", "ok", begin, end, minutes(97, 0))
	w.requests("failing", "a", "live", "error", 5*time.Minute, end, constant(30))
	// Every reply of the shadow fails, and no live one.
	w.requests("shadowed", "a", "live", "ok", early, end, minutes(100, 0))
	w.requests("shadowed", "a", "shadow", "error", begin, end, minutes(10, 0))
	w.replies("shadowed", "a", "shadow", begin, end, nine, minutes(10, 0))
	// The worker was started anew at minute five, and counts from zero again.
	w.requests("restarted", "a", "live", "ok", early, end, func(at time.Duration) float64 {
		if at < 5*time.Minute {
			return 1000 + 100*max(at, 0).Minutes()
		}
		return 100 * (at - 5*time.Minute).Minutes()
	})
	// 19 replies.
	w.requests("young", "a", "live", "ok", 9*time.Minute, end, constant(19))
	w.replies("young", "a", "live", 9*time.Minute, end, nine, constant(19))
	// 19 replies, one of which was not finite.
	w.requests("poisoned", "a", "live", "ok", 9*time.Minute, end, constant(19))
	w.count(traffic.MetricNonFinite, labelsOf("poisoned", "a"), 9*time.Minute, end, constant(1))
	// Three outputs were not finite, of a thousand; four more before the step.
	w.requests("rotten", "a", "live", "ok", early, end, minutes(100, 0))
	w.count(traffic.MetricNonFinite, labelsOf("rotten", "a"), early, end, func(at time.Duration) float64 {
		if at < 3*time.Minute {
			return 4
		}
		return 7
	})
	// The workers went silent three minutes after the step began.
	w.requests("silent", "a", "live", "ok", early, 3*time.Minute, minutes(100, 0))
	w.replies("silent", "a", "live", early, 3*time.Minute, nine, minutes(100, 0))

	// 200 pairs were compared, at a mean distance of 0.02 in one output and not a number in the other.
	w.requests("compared", "a", "shadow", "ok", begin, end, minutes(20, 0))
	bounds := []string{"0.01", "0.1"}
	w.histogram(traffic.MetricDrift, labelsOf("compared", "a")+`,output="embedding"`, begin, end, bounds, []float64{0.5, 1}, minutes(20, 0), 0.02)
	w.add(traffic.MetricDrift, "histogram", traffic.MetricDrift+"_count", labelsOf("compared", "a")+`,output="broken"`, begin, end, minutes(20, 0))
	w.add(traffic.MetricDrift, "histogram", traffic.MetricDrift+"_sum", labelsOf("compared", "a")+`,output="broken"`, begin, end, func(time.Duration) float64 { return nanOf() })
	return w
}

func nanOf() float64 { zero := 0.0; return zero / zero }

func TestSourcesAndVerdictsOnARealPrometheus(t *testing.T) {
	url := prometheustest.Start(t, prometheustest.Options{Samples: describe().openMetrics()}).URL
	tests := map[string]struct {
		gate   v1alpha1.Gate
		model  string
		shadow bool
		want   gate.Answer
	}{
		"the 99th percentile is within its bound": {
			gate: atMost(latency(), "0.250"), model: "good",
			want: gate.Answer{Verdict: pass, Value: "0.242105", Message: "the 99th percentile of the time to a reply in seconds is 0.242105, within max 0.25"},
		},
		"the 99th percentile is beyond its bound": {
			gate: atMost(latency(), "0.250"), model: "slow",
			want: gate.Answer{Verdict: fail, Value: "0.625", Message: "the 99th percentile of the time to a reply in seconds is 0.625, beyond max 0.25"},
		},
		"replies slower than the last bucket are beyond every bound": {
			gate: atMost(latency(), "2"), model: "hanging",
			want: gate.Answer{Verdict: fail, Value: "+Inf", Message: "the 99th percentile of the time to a reply in seconds is +Inf, beyond max 2"},
		},
		"an infinite number does not pass a lower bound": {
			gate: atLeast(latency(), "0.001"), model: "hanging",
			want: gate.Answer{Verdict: erro, Value: "+Inf", Message: "the 99th percentile of the time to a reply in seconds is +Inf, which is no measurement"},
		},
		"what was slow before the step does not count": {
			gate: atMost(latency(), "0.1"), model: "recovered",
			want: gate.Answer{Verdict: pass, Value: "0.099", Message: "the 99th percentile of the time to a reply in seconds is 0.099, within max 0.1"},
		},
		"the latency of the shadow is its own": {
			gate: atMost(latency(), "0.250"), model: "shadowed", shadow: true,
			want: gate.Answer{Verdict: pass, Value: "0.242105", Message: "the 99th percentile of the time to a reply in seconds is 0.242105, within max 0.25"},
		},
		"no error was counted": {
			gate: atMost(errorRate(), "0.01"), model: "good",
			want: gate.Answer{Verdict: pass, Value: "0", Message: "the share of failed replies is 0, within max 0.01"},
		},
		"errors that were there at the first scrape count": {
			gate: atMost(errorRate(), "0.01"), model: "failing",
			want: gate.Answer{Verdict: fail, Value: "0.03", Message: "the share of failed replies is 0.03, beyond max 0.01"},
		},
		"a share that is its bound exactly is within it": {
			gate: atMost(errorRate(), "0.03"), model: "failing",
			want: gate.Answer{Verdict: pass, Value: "0.03", Message: "the share of failed replies is 0.03, within max 0.03"},
		},
		"failures of the shadow are told in the shadow": {
			gate: atMost(errorRate(), "0.01"), model: "shadowed", shadow: true,
			want: gate.Answer{Verdict: fail, Value: "1", Message: "the share of failed replies is 1, beyond max 0.01"},
		},
		"failures of the shadow are not the live replies'": {
			gate: atMost(errorRate(), "0.01"), model: "shadowed",
			want: gate.Answer{Verdict: pass, Value: "0", Message: "the share of failed replies is 0, within max 0.01"},
		},
		"all outputs are finite": {
			gate: atMost(nan(), "0"), model: "good",
			want: gate.Answer{Verdict: pass, Value: "0", Message: "the number of outputs that are not finite is 0, within max 0"},
		},
		"three outputs since the step began are not finite": {
			gate: atMost(nan(), "2"), model: "rotten",
			want: gate.Answer{Verdict: fail, Value: "3", Message: "the number of outputs that are not finite is 3, beyond max 2"},
		},
		"three of three allowed": {
			gate: atMost(nan(), "3"), model: "rotten",
			want: gate.Answer{Verdict: pass, Value: "3", Message: "the number of outputs that are not finite is 3, within max 3"},
		},
		"one output that is not finite fails however few there are": {
			gate: atMost(nan(), "0"), model: "poisoned",
			want: gate.Answer{Verdict: fail, Value: "1", Message: "the number of outputs that are not finite is 1, beyond max 0"},
		},
		"within the bound, but too few outputs to pass by": {
			gate: atMost(nan(), "1"), model: "poisoned",
			want: gate.Answer{Verdict: wait, Message: "19 samples in 600s, 20 are needed"},
		},
		"the shadow's output is close": {
			gate: atMost(drift("embedding"), "0.05"), model: "compared", shadow: true,
			want: gate.Answer{Verdict: pass, Value: "0.02", Message: `the mean distance of output "embedding" from version "v1" is 0.02, within max 0.05`},
		},
		"the shadow's output is far": {
			gate: atMost(drift("embedding"), "0.01"), model: "compared", shadow: true,
			want: gate.Answer{Verdict: fail, Value: "0.02", Message: `the mean distance of output "embedding" from version "v1" is 0.02, beyond max 0.01`},
		},
		"a distance that is not a number fails": {
			gate: atMost(drift("broken"), "0.05"), model: "compared", shadow: true,
			want: gate.Answer{Verdict: fail, Value: "NaN", Message: `the mean distance of output "broken" from version "v1" is not a number`},
		},
		"an output that nobody compared": {
			gate: atMost(drift("other"), "0.05"), model: "compared", shadow: true,
			want: gate.Answer{Verdict: wait, Message: "0 samples in 600s, 20 are needed"},
		},
		"no pair is compared once traffic is live": {
			gate: atMost(drift("embedding"), "0.01"), model: "compared",
			want: gate.Answer{Verdict: pass, Message: "compared in the shadow; a step with live traffic has nothing to compare"},
		},
		"too few replies wait": {
			gate: atMost(latency(), "0.250"), model: "young",
			want: gate.Answer{Verdict: wait, Message: "19 samples in 600s, 20 are needed"},
		},
		"too few replies fail where the gate says so": {
			gate: policy(atMost(errorRate(), "0.01"), v1alpha1.InsufficientFail), model: "young",
			want: gate.Answer{Verdict: fail, Message: "19 samples in 600s, 20 are needed; onInsufficientData is Fail"},
		},
		"too few replies pass where the gate says so": {
			gate: policy(atMost(errorRate(), "0.01"), v1alpha1.InsufficientPass), model: "young",
			want: gate.Answer{Verdict: pass, Message: "19 samples in 600s, 20 are needed; onInsufficientData is Pass"},
		},
		"a model that nobody tells of waits": {
			gate: atMost(latency(), "0.250"), model: "unheard-of",
			want: gate.Answer{Verdict: wait, Message: "0 samples in 600s, 20 are needed"},
		},
		"workers that went silent prove nothing": {
			gate: atMost(latency(), "0.250"), model: "silent",
			want: gate.Answer{Verdict: wait, Message: "Prometheus no longer hears from the workers"},
		},
	}
	gates := newGates(t, url)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := gates.Ask(t.Context(), tt.gate, question(tt.model), tt.shadow)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if len(got.Value) > 24 {
				t.Errorf("value %q is longer than a status holds", got.Value)
			}
		})
	}
	t.Run("samples", func(t *testing.T) { testSamples(t, gates) })
	t.Run("queries of the spec", func(t *testing.T) { testQueries(t, gates) })
	t.Run("windows", func(t *testing.T) { testWindows(t, url) })
}

func testSamples(t *testing.T, gates *gate.Prometheus) {
	tests := map[string]struct {
		model  string
		shadow bool
		want   int64
	}{
		"two workers' replies since the step began":   {"good", false, 2000},
		"failed replies are replies":                  {"failing", false, 1000},
		"the shadow's":                                {"shadowed", true, 100},
		"not the shadow's":                            {"shadowed", false, 1000},
		"all of a series younger than the step":       {"young", false, 19},
		"none of a model that nobody tells of":        {"unheard-of", false, 0},
		"those of workers that are silent now":        {"silent", false, 300},
		"those before and after a worker's new start": {"restarted", false, 975},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := gates.Samples(t.Context(), question(tt.model), tt.shadow)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("%d samples, want %d", got, tt.want)
			}
		})
	}
}

func testQueries(t *testing.T, gates *gate.Prometheus) {
	const requests = `clarity_model_requests_total{model="{{.Model}}",version="{{ .Version }}",role="live"}`
	tests := map[string]struct {
		gate  v1alpha1.Gate
		model string
		want  gate.Answer
	}{
		"a vector of one, with model, version and window filled in": {
			gate: atLeast(promQL(`sum(increase(`+requests+`[{{.Window}}]))`), "1000"), model: "good",
			want: gate.Answer{Verdict: pass, Value: "2000", Message: "the query's result is 2000, within min 1000"},
		},
		"a scalar": {
			gate: atMost(promQL(`scalar(vector(3))`), "2"), model: "good",
			want: gate.Answer{Verdict: fail, Value: "3", Message: "the query's result is 3, beyond max 2"},
		},
		"no result waits": {
			gate: atMost(promQL(`sum(`+requests+`)`), "1"), model: "unheard-of",
			want: gate.Answer{Verdict: wait, Message: "the query has no result"},
		},
		"no result passes where the gate says so": {
			gate: policy(atMost(promQL(`sum(`+requests+`)`), "1"), v1alpha1.InsufficientPass), model: "unheard-of",
			want: gate.Answer{Verdict: pass, Message: "the query has no result; onInsufficientData is Pass"},
		},
		"not a number waits": {
			gate: atMost(promQL(`vector(0) / vector(0)`), "1"), model: "good",
			want: gate.Answer{Verdict: wait, Message: "the query's result is not a number"},
		},
		"not a number fails where the gate says so": {
			gate: policy(atMost(promQL(`vector(0) / vector(0)`), "1"), v1alpha1.InsufficientFail), model: "good",
			want: gate.Answer{Verdict: fail, Message: "the query's result is not a number; onInsufficientData is Fail"},
		},
		"infinity is beyond every max": {
			gate: atMost(promQL(`vector(1) / vector(0)`), "1"), model: "good",
			want: gate.Answer{Verdict: fail, Value: "+Inf", Message: "the query's result is +Inf, beyond max 1"},
		},
		"minus infinity is within no max": {
			gate: atMost(promQL(`vector(-1) / vector(0)`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Value: "-Inf", Message: "the query's result is -Inf, which is no measurement"},
		},
		"many numbers": {
			gate: atMost(promQL(requests), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: "the query's result has 2 series, and one number is needed: sum or aggregate them"},
		},
		"a range": {
			gate: atMost(promQL(requests+`[5m]`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: "the query's result is a matrix, and one number is needed"},
		},
		"a string": {
			gate: atMost(promQL(`"ok"`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: `the reply to the query is not one number: unexpected value type "string"`},
		},
		"PromQL that is none": {
			gate: atMost(promQL(`sum(`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: "Prometheus refuses the query: invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"},
		},
		"PromQL that cannot be evaluated": {
			gate: atMost(promQL(requests+` / on(model) `+requests), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: `Prometheus cannot evaluate the query: found duplicate series for the match group {model="good"} on the right hand-side …`},
		},
		"a field that nobody fills in": {
			gate: atMost(promQL(`up{x="{{.Baseline}}"}`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: `check gate "gate": the query asks for {{.Baseline}}: only {{.Model}}, {{.Version}} and {{.Window}} are filled in`},
		},
		"a function": {
			gate: atMost(promQL(`up{x="{{printf "%s" .Model}}"}`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: `check gate "gate": the query asks for {{printf "%s" .Model}}: only {{.Model}}, {{.Version}} and {{.Window}} are filled in`},
		},
		"a field that does not end": {
			gate: atMost(promQL(`up{x="{{.Model"}`), "1"), model: "good",
			want: gate.Answer{Verdict: erro, Message: `check gate "gate": the query has a {{ without its }}`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := gates.Ask(t.Context(), tt.gate, question(tt.model), false)
			if start, cut := strings.CutSuffix(tt.want.Message, "…"); cut && strings.HasPrefix(got.Message, start) && len(got.Message) <= 403 {
				got.Message = tt.want.Message
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func testWindows(t *testing.T, url string) {
	seconds := func(since time.Duration, change func(*gate.Config)) string {
		q := question("good")
		q.Since = q.Now.Add(-since)
		got := newGates(t, url, change).Ask(t.Context(), atMost(promQL(`count_over_time(vector(1)[{{.Window}}:1s])`), "1e9"), q, false)
		return got.Value
	}
	tests := map[string]struct {
		since  time.Duration
		change func(*gate.Config)
		want   string
	}{
		"since the step began":                        {200 * time.Second, func(*gate.Config) {}, "201"},
		"a fraction of a second is a second":          {200*time.Second + time.Millisecond, func(*gate.Config) {}, "202"},
		"a step that has just begun looks further":    {time.Second, func(*gate.Config) {}, "61"},
		"a step that begins in the future":            {-time.Hour, func(*gate.Config) {}, "61"},
		"a shorter least window":                      {time.Second, func(c *gate.Config) { c.MinWindow = duration(2 * time.Second) }, "3"},
		"a long step is evaluated by how it goes now": {time.Hour, func(c *gate.Config) { c.MaxWindow = duration(5 * time.Minute) }, "301"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := seconds(tt.since, tt.change); got != tt.want {
				t.Errorf("the window holds %s seconds, want %s", got, tt.want)
			}
		})
	}
}
