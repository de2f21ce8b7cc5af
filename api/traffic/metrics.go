package traffic

// The metrics by which workers tell how versions do. The operator's gates ask
// for them by these names; all have the labels model and version.
const (
	// MetricRequests counts requests answered by a version, the shadow's
	// included; its label outcome is "ok" or "error", role is "live" or "shadow".
	MetricRequests = "clarity_model_requests_total"
	// MetricDuration is a histogram of the time of a request in seconds, with role.
	MetricDuration = "clarity_model_request_duration_seconds"
	// MetricDrift is a histogram of the distance between the live and the
	// shadow version's output of one window; its label output names the output.
	MetricDrift = "clarity_model_shadow_distance"
	// MetricNonFinite counts windows for which a version came to something that
	// is no finite number.
	MetricNonFinite = "clarity_model_nonfinite_outputs_total"
	// MetricShadowDropped counts requests that were not copied to the shadow, as
	// too many waited for it.
	MetricShadowDropped = "clarity_model_shadow_dropped_total"
	// MetricRevision is the revision of the plan in force; it has the label model alone.
	MetricRevision = "clarity_model_traffic_revision"
	// MetricPlanFaults counts what kept a plan from being followed; its labels
	// are model and reason, which is "source", "plan" or "open".
	MetricPlanFaults = "clarity_model_traffic_faults_total"
)
