package main

import (
	"fmt"
	"strings"
)

// dashboards are all of them.
func dashboards() []dashboard { return []dashboard{platform(), models()} }

// platform is for who is woken at night: what people see, then what is behind it, in the
// order in which an upload meets it.
func platform() dashboard {
	return dashboard{name: "platform", title: "Clarity: the platform",
		about: "What people see, then what is behind it, in the order in which an upload meets it. Alerts have playbooks in docs/operations/playbooks.",
		rows:  []row{promises(), edges(), queues(), stages(), drivers(), words(), duties()}}
}

// promises are the levels, by how fast each budget goes.
func promises() row {
	r := row{title: "Service levels: how fast the month's budget goes (1 is just all of it; 14.4 over an hour pages)"}
	for _, l := range levels() {
		legend := "over an hour"
		if l.labels != "" {
			legend = "{{model}} over an hour"
		}
		of := func(window string) string {
			return "(" + strings.ReplaceAll(strings.ReplaceAll(l.bad, "WINDOW", window), "\n  ", " ") + ") / " + l.budget
		}
		r.panels = append(r.panels, panel{title: l.summary, about: "Alert " + l.alert + ", budget " + l.budget + ".", unit: number,
			queries: []query{{of("1h"), legend}, {of("6h"), strings.ReplaceAll(legend, "an hour", "six")}}})
	}
	return r
}

func edges() row {
	return row{title: "Edge: requests, errors, time", panels: []panel{
		{title: "Requests by class", unit: perSecond, queries: []query{{`sum by (class) (rate(clarity_http_requests_total[5m]))`, "{{class}}"}}},
		{title: "Server errors by route", unit: share, queries: []query{{`sum by (route, method) (rate(clarity_http_requests_total{class="5xx"}[5m])) / sum by (route, method) (rate(clarity_http_requests_total[5m])) > 0`, "{{method}} {{route}}"}}},
		quantiles("Time to the reply's head", "clarity_http_request_seconds", "", ""),
		{title: "The ten slowest routes, p99", unit: seconds, queries: []query{{`topk(10, histogram_quantile(0.99, sum by (route, method, le) (rate(clarity_http_request_seconds_bucket[5m]))))`, "{{method}} {{route}}"}}},
		{title: "The ten busiest routes", unit: perSecond, queries: []query{{`topk(10, sum by (route, method) (rate(clarity_http_requests_total[5m])))`, "{{method}} {{route}}"}}},
		quantiles("Time to an ack, durable", "clarity_upload_ack_seconds", "", ""),
		{title: "Uploads by outcome", unit: perSecond, queries: []query{{`sum by (outcome) (rate(clarity_uploads_total[5m]))`, "{{outcome}}"}}},
		{title: "Samples and deletions by verdict", unit: perSecond, queries: []query{{`sum by (verdict) (rate(clarity_upload_entries_total[5m]))`, "{{verdict}}"}}},
		{title: "Bytes taken in", unit: bytesPer, queries: []query{{`sum (rate(clarity_upload_bytes_total[5m]))`, "bytes"}}},
		{title: "Streams open", unit: number, queries: []query{{`sum (clarity_streams_open)`, "streams"}}},
		{title: "Panics", about: "Each is a fault of the program.", unit: number, queries: []query{{`sum (increase(clarity_http_panics_total[5m]))`, "in five minutes"}}},
		{title: "Apps by what was found", unit: perSecond, queries: []query{{`sum by (outcome) (rate(clarity_app_check_requests_total[5m]))`, "{{outcome}}"}}},
	}}
}

func queues() row {
	return row{title: "Queue", panels: []panel{
		{title: "Age: how long messages wait for a hand", about: "What the stages are scaled by.", unit: seconds, queries: []query{{`max by (topic, consumer) (clarity_queue_age_seconds)`, "{{topic}} for {{consumer}}"}}},
		{title: "Messages that wait", unit: number, queries: []query{{`max by (topic, consumer) (clarity_queue_messages{state="waiting"})`, "{{topic}} for {{consumer}}"}}},
		{title: "Dead letters", about: "Alert ClarityDeadLetters.", unit: number, queries: []query{{`max by (topic, consumer) (clarity_queue_messages{state="dead"})`, "{{topic}} for {{consumer}}"}}},
	}}
}

func stages() row {
	return row{title: "Stages", panels: []panel{
		{title: "Deliveries by verdict", unit: perSecond, queries: []query{{`sum by (consumer, verdict) (rate(clarity_message_seconds_count[5m]))`, "{{consumer}} {{verdict}}"}}},
		{title: "Share that is tried again", about: "What a stage needs is away.", unit: share, queries: []query{{`sum by (consumer) (rate(clarity_message_seconds_count{verdict="retried"}[5m])) / sum by (consumer) (rate(clarity_message_seconds_count[5m]))`, "{{consumer}}"}}},
		{title: "Time in hand, p99", unit: seconds, queries: []query{{p99("clarity_message_seconds", "topic, consumer", ""), "{{topic}} for {{consumer}}"}}},
		{title: "Time until it is done, p50", unit: seconds, queries: []query{{quantile("0.5", "clarity_stage_done_seconds", "topic, consumer", ""), "{{topic}} for {{consumer}}"}}},
		{title: "Time until it is done, p99", about: "With all that it waited, and every try.", unit: seconds, queries: []query{{p99("clarity_stage_done_seconds", "topic, consumer", ""), "{{topic}} for {{consumer}}"}}},
		quantiles("Merged to result, windows of these days", "clarity_result_wait_seconds", "", ""),
		{title: "Peers that are away", about: "Or do only some of their work.", unit: number, queries: []query{{`sum by (peer) (clarity_peer_away) > 0`, "{{peer}}"}}},
		{title: "Stages that are down", about: "They failed, and are begun again.", unit: number, queries: []query{{`sum by (stage) (clarity_stage_down) > 0`, "{{stage}}"}}},
		{title: "Failures of stages, in an hour", unit: number, queries: []query{{`sum by (stage) (increase(clarity_stage_failures_total[1h])) > 0`, "{{stage}}"}}},
	}}
}

func drivers() row {
	return row{title: "Drivers: what the platform stands on", panels: []panel{
		{title: "Calls", unit: perSecond, queries: []query{{`sum by (room, op) (rate(clarity_driver_call_seconds_count[5m]))`, "{{room}} {{op}}"}}},
		{title: "Time of a call, p50", unit: seconds, queries: []query{{quantile("0.5", "clarity_driver_call_seconds", "room, op", ""), "{{room}} {{op}}"}}},
		{title: "Time of a call, p99", unit: seconds, queries: []query{{p99("clarity_driver_call_seconds", "room, op", ""), "{{room}} {{op}}"}}},
		{title: "Faults by class", about: "A conflict is another writer who was first: it is read again, and nothing is wrong.", unit: perSecond, queries: []query{{`sum by (room, class) (rate(clarity_driver_faults_total[5m]))`, "{{room}} {{class}}"}}},
		{title: "Share of calls that find nobody", unit: share, queries: []query{{`sum by (room) (rate(clarity_driver_faults_total{class="unavailable"}[5m])) / sum by (room) (rate(clarity_driver_call_seconds_count[5m]))`, "{{room}}"}}},
		{title: "What is broken, of a later release, or too much", unit: number, queries: []query{{`sum by (room, op, class) (increase(clarity_driver_faults_total{class=~"broken|newer|limit"}[1h])) > 0`, "{{room}} {{op}} {{class}}"}}},
	}}
}

func words() row {
	return row{title: "Words", panels: []panel{
		{title: "Texts by what became of them", unit: perSecond, queries: []query{{`sum by (outcome) (rate(clarity_writer_requests_total[5m]))`, "{{outcome}}"}}},
		quantiles("Time of a text", "clarity_writer_duration_seconds", "", ""),
		{title: "Tokens", unit: perSecond, queries: []query{{`sum by (kind) (rate(clarity_writer_tokens_total[5m]))`, "{{kind}}"}}},
	}}
}

func duties() row {
	return row{title: "Duties", panels: []panel{
		{title: "The erasure that has been under way longest", about: "Alert ClarityErasureLate at an hour.", unit: seconds, queries: []query{{`max (clarity_erasure_longest_seconds)`, "longest"}}},
		{title: "Since the audit log was vouched for", about: "Alert ClarityNotaryBehind at ten minutes.", unit: seconds, queries: []query{{`time() - max (clarity_audit_vouched_timestamp_seconds)`, "since"}}},
		{title: "Entries of the agenda that cannot be read", unit: number, queries: []query{{`sum (increase(clarity_agenda_put_off_total[1h]))`, "in an hour"}}},
	}}
}

// models are for who makes models: what is rolled out, what it answers, and how it differs.
func models() dashboard {
	return dashboard{name: "models", title: "Clarity: models",
		about: "What is rolled out, what it answers, how the next version differs from this one, and the operator that sees to it.",
		rows: []row{
			{title: "Rollouts", panels: []panel{
				{title: "Versions by stage", unit: number, queries: []query{{`max by (model, stage) (clarity_operator_modelversions{stage!~"Retired|Rejected"}) > 0`, "{{model}} {{stage}}"}}},
				{title: "Share of the traffic", unit: share, queries: []query{{`max by (model, version) (clarity_operator_traffic_weight_ratio)`, "{{model}} {{version}}"}}},
				{title: "Versions that wait for a person", unit: number, queries: []query{{`max by (model, reason) (clarity_operator_modelversions_stalled) > 0`, "{{model}} {{reason}}"}}},
				{title: "Replicas: wanted and loaded", unit: number, queries: []query{{`max by (model, version) (clarity_operator_serving_wanted_replicas)`, "{{model}} {{version}} wanted"}, {`max by (model, version) (clarity_operator_serving_loaded_replicas)`, "{{model}} {{version}} loaded"}}},
				{title: "Plan: the operator's revision, and the oldest that a worker follows", unit: number, queries: []query{{`max by (model) (clarity_operator_traffic_plan_revision)`, "{{model}} plan"}, {`min by (model) (clarity_model_traffic_revision)`, "{{model}} workers"}}},
				{title: "What kept a plan from being followed", unit: number, queries: []query{{`sum by (model, reason) (increase(clarity_model_traffic_faults_total[1h]))`, "{{model}} {{reason}}"}}},
				{title: "Verdicts of gates in an hour", unit: number, queries: []query{{`sum by (source, verdict) (increase(clarity_operator_gate_verdicts_total[1h]))`, "{{source}} {{verdict}}"}}},
				{title: "Rollbacks in a day", unit: number, queries: []query{{`sum by (model, reason) (increase(clarity_operator_rollbacks_total[1d])) > 0`, "{{model}} {{reason}}"}}},
				{title: "Time in a stage, p90 of a week", unit: seconds, queries: []query{{`histogram_quantile(0.9, sum by (stage, le) (increase(clarity_operator_stage_duration_seconds_bucket[7d])))`, "{{stage}}"}}},
			}},
			{title: "Serving: PAT and others, live", panels: []panel{
				{title: "Requests by version", unit: perSecond, queries: []query{{`sum by (model, version, role) (rate(clarity_model_requests_total[5m]))`, "{{model}} {{version}} {{role}}"}}},
				{title: "Errors by version", unit: share, queries: []query{{`sum by (model, version) (rate(clarity_model_requests_total{role="live",outcome="error"}[5m])) / sum by (model, version) (rate(clarity_model_requests_total{role="live"}[5m]))`, "{{model}} {{version}}"}}},
				{title: "Outputs that are no numbers, in an hour", unit: number, queries: []query{{`sum by (model, version) (increase(clarity_model_nonfinite_outputs_total[1h]))`, "{{model}} {{version}}"}}},
				{title: "Latency, p50", unit: seconds, queries: []query{{quantile("0.5", "clarity_model_request_duration_seconds", "model, version", `role="live"`), "{{model}} {{version}}"}}},
				{title: "Latency, p99", about: "Alert ClarityModelSlow at a second.", unit: seconds, queries: []query{{p99("clarity_model_request_duration_seconds", "model, version", `role="live"`), "{{model}} {{version}}"}}},
			}},
			{title: "Shadow and canary", panels: []panel{
				{title: "Distance of outputs, p50", about: "Between the live version and its shadow, of the same window: 0 is the same, 2 the opposite.", unit: number, queries: []query{{quantile("0.5", "clarity_model_shadow_distance", "model, version, output", ""), "{{model}} {{version}} {{output}}"}}},
				{title: "Distance of outputs, p95", unit: number, queries: []query{{quantile("0.95", "clarity_model_shadow_distance", "model, version, output", ""), "{{model}} {{version}} {{output}}"}}},
				{title: "Windows compared", unit: perSecond, queries: []query{{`sum by (model, version, output) (rate(clarity_model_shadow_distance_count[5m]))`, "{{model}} {{version}} {{output}}"}}},
				{title: "Latency of shadows, p99", unit: seconds, queries: []query{{p99("clarity_model_request_duration_seconds", "model, version", `role="shadow"`), "{{model}} {{version}}"}}},
				{title: "Errors of shadows", unit: share, queries: []query{{`sum by (model, version) (rate(clarity_model_requests_total{role="shadow",outcome="error"}[5m])) / sum by (model, version) (rate(clarity_model_requests_total{role="shadow"}[5m]))`, "{{model}} {{version}}"}}},
				{title: "Requests that no shadow saw", unit: perSecond, queries: []query{{`sum by (model, version) (rate(clarity_model_shadow_dropped_total[5m]))`, "{{model}} {{version}}"}}},
			}},
			{title: "Analysis jobs", panels: []panel{
				{title: "Jobs by state", unit: number, queries: []query{{`max by (state) (clarity_operator_analysisjobs)`, "{{state}}"}}},
				{title: "Shards by state", unit: number, queries: []query{{`max by (state) (clarity_operator_analysisjob_shards)`, "{{state}}"}}},
				{title: "To the first shard, p90", unit: seconds, queries: []query{{`histogram_quantile(0.9, sum by (le) (increase(clarity_operator_analysisjob_start_seconds_bucket[1h])))`, "p90"}}},
			}},
			{title: "The operator", panels: []panel{
				{title: "Reconciles that fail", unit: share, queries: []query{{`sum by (controller) (rate(controller_runtime_reconcile_errors_total[5m])) / sum by (controller) (rate(controller_runtime_reconcile_total[5m]))`, "{{controller}}"}}},
				{title: "Time of a reconcile, p99", unit: seconds, queries: []query{{p99("controller_runtime_reconcile_time_seconds", "controller", ""), "{{controller}}"}}},
				{title: "Objects that wait", unit: number, queries: []query{{`max by (name) (workqueue_depth{name=~"analysisjob|modelversion"})`, "{{name}}"}}},
			}},
		}}
}

// quantile is one of a histogram's, by some of its labels.
func quantile(q, histogram, by, where string) string {
	if where != "" {
		where = "{" + where + "}"
	}
	if by != "" {
		by += ", "
	}
	return fmt.Sprintf("histogram_quantile(%s, sum by (%sle) (rate(%s_bucket%s[5m])))", q, by, histogram, where)
}

func p99(histogram, by, where string) string { return quantile("0.99", histogram, by, where) }

// quantiles are three of a histogram's.
func quantiles(title, histogram, where, about string) panel {
	p := panel{title: title, about: about, unit: seconds}
	for _, q := range []struct{ of, name string }{{"0.5", "p50"}, {"0.9", "p90"}, {"0.99", "p99"}} {
		p.queries = append(p.queries, query{quantile(q.of, histogram, "", where), q.name})
	}
	return p
}
