// Package promql holds every query that this repository ships against what its programs
// tell: the alerts, the dashboards for both, and what the chart scales by. Each is parsed
// by Prometheus' own parser, and each metric and label that it names has to stand in
// docs/operations/metrics.md, which a test of the operator writes from the code.
//
// It is a module of its own: nothing that is shipped needs a parser of queries.
package promql
