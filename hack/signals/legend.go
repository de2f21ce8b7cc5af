package main

import "regexp"

var label = regexp.MustCompile(`\{\{(\w+)\}\}`)

// googleLegend is a legend in the words of Cloud Monitoring: {{route}} is ${metric.labels.route}.
func googleLegend(legend string) string {
	return label.ReplaceAllString(legend, "$${metric.labels.$1}")
}
