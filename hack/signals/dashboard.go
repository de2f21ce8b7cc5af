package main

import (
	"bytes"
	"encoding/json"
)

// A dashboard is what one person looks at.
type dashboard struct {
	name, title, about string
	rows               []row
}

// A row is of one subject.
type row struct {
	title  string
	panels []panel
}

// A panel is one question, and its answers over time.
type panel struct {
	title, about string
	unit         unit
	queries      []query
}

// A query is PromQL, and what its series are called: {{label}} is a label's value.
type query struct{ expr, legend string }

// A unit in the words of each.
type unit struct{ grafana, google string }

// The units.
var (
	seconds   = unit{"s", "s"}
	perSecond = unit{"ops", "1/s"}
	bytesPer  = unit{"Bps", "By/s"}
	share     = unit{"percentunit", "10^2.%"}
	number    = unit{"short", "1"}
)

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
	return b.Bytes(), err
}

type object = map[string]any

// What a panel takes of Grafana's 24 columns, and of Cloud Monitoring's 48.
const (
	grafanaWidth, grafanaHeight = 8, 8
	googleWidth, googleHeight   = 16, 16
	perRow                      = 3
	headHeight                  = 4 // of a row's title, in Cloud Monitoring
)

// grafana is the dashboard as Grafana imports it. Its source of data is asked for.
func grafana(d dashboard) any {
	panels, y, id := []any{}, 0, 0
	next := func() int { id++; return id }
	source := object{"type": "prometheus", "uid": "${datasource}"}
	for _, r := range d.rows {
		panels = append(panels, object{"id": next(), "type": "row", "title": r.title, "collapsed": false, "panels": []any{},
			"gridPos": object{"x": 0, "y": y, "w": perRow * grafanaWidth, "h": 1}})
		y++
		for i, p := range r.panels {
			targets := []any{}
			for n, q := range p.queries {
				targets = append(targets, object{"refId": string(rune('A' + n)), "datasource": source, "expr": q.expr, "legendFormat": q.legend, "range": true})
			}
			panels = append(panels, object{"id": next(), "type": "timeseries", "title": p.title, "description": p.about, "datasource": source, "targets": targets,
				"gridPos":     object{"x": i % perRow * grafanaWidth, "y": y + i/perRow*grafanaHeight, "w": grafanaWidth, "h": grafanaHeight},
				"fieldConfig": object{"defaults": object{"unit": p.unit.grafana, "min": 0}, "overrides": []any{}},
				"options":     object{"legend": object{"displayMode": "table", "placement": "bottom", "calcs": []string{"lastNotNull", "max"}}, "tooltip": object{"mode": "multi", "sort": "desc"}}})
		}
		y += lines(r) * grafanaHeight
	}
	return object{"uid": "clarity-" + d.name, "title": d.title, "description": d.about, "tags": []string{"clarity"}, "schemaVersion": 39, "editable": true,
		"time": object{"from": "now-6h", "to": "now"}, "refresh": "30s", "panels": panels,
		"templating": object{"list": []any{object{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}}}}
}

// lines are the rows of the grid that a row's panels take.
func lines(r row) int { return (len(r.panels) + perRow - 1) / perRow }

// google is the dashboard as Cloud Monitoring takes it.
func google(d dashboard) any {
	tiles, y := []any{}, 0
	for _, r := range d.rows {
		tiles = append(tiles, object{"xPos": 0, "yPos": y, "width": perRow * googleWidth, "height": headHeight,
			"widget": object{"title": r.title, "text": object{"content": "", "format": "MARKDOWN"}}})
		y += headHeight
		for i, p := range r.panels {
			sets := []any{}
			for _, q := range p.queries {
				sets = append(sets, object{"plotType": "LINE", "targetAxis": "Y1", "legendTemplate": googleLegend(q.legend),
					"timeSeriesQuery": object{"prometheusQuery": q.expr, "unitOverride": p.unit.google}})
			}
			tiles = append(tiles, object{"xPos": i % perRow * googleWidth, "yPos": y + i/perRow*googleHeight, "width": googleWidth, "height": googleHeight,
				"widget": object{"title": p.title, "xyChart": object{"dataSets": sets, "yAxis": object{"scale": "LINEAR"}}}})
		}
		y += lines(r) * googleHeight
	}
	return object{"displayName": d.title, "mosaicLayout": object{"columns": perRow * googleWidth, "tiles": tiles}}
}
