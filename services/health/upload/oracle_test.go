package upload_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
)

// The oracle reads an upload the slow way: encoding/json to a tree, and then
// the contract, rule by rule. It shares no code with the decoder. It knows
// nothing of the bounds on size, so it is asked about small bodies only.

// A node is any JSON value.
type node struct {
	kind    byte // { [ " 0 t n
	raw     []byte
	text    string
	members map[string]node
	names   []string
	items   []node
	twice   bool // an object in it has a name twice
	huge    bool // a number in it is beyond float64
	half    bool // a string in it has half a surrogate pair
	depth   int
}

func parse(data []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	n, err := parseNext(d, data)
	if err != nil {
		return n, err
	}
	if _, err := d.Token(); err != io.EOF {
		return n, fmt.Errorf("trailing bytes")
	}
	return n, nil
}

func parseNext(d *json.Decoder, data []byte) (node, error) {
	from := d.InputOffset()
	token, err := d.Token()
	if err != nil {
		return node{}, err
	}
	var n node
	switch v := token.(type) {
	case json.Delim:
		n, err = parseList(d, data, byte(v))
	case string:
		n.kind, n.text = '"', v
	case json.Number:
		n.kind = '0'
		f, err := strconv.ParseFloat(string(v), 64)
		n.huge = err != nil || math.IsInf(f, 0) || len(v) > 1024
	case bool:
		n.kind = 't'
	default:
		n.kind = 'n'
	}
	n.raw = bytes.TrimLeft(data[from:d.InputOffset()], " \t\r\n,:")
	if n.kind == '"' {
		n.half = halfPair(n.raw)
	}
	return n, err
}

func parseList(d *json.Decoder, data []byte, open byte) (node, error) {
	n := node{kind: open, members: map[string]node{}}
	for d.More() {
		if open == '{' {
			from := d.InputOffset()
			token, err := d.Token()
			if err != nil {
				return n, err
			}
			name := token.(string)
			n.half = n.half || halfPair(data[from:d.InputOffset()])
			if _, twice := n.members[name]; twice {
				n.twice = true
			}
			n.names = append(n.names, name)
		}
		item, err := parseNext(d, data)
		if err != nil {
			return n, err
		}
		n.twice, n.huge, n.half = n.twice || item.twice, n.huge || item.huge, n.half || item.half
		n.depth = max(n.depth, item.depth)
		if open == '{' {
			n.members[n.names[len(n.names)-1]] = item
		} else {
			n.items = append(n.items, item)
		}
	}
	n.depth++
	_, err := d.Token()
	return n, err
}

var unpaired = regexp.MustCompile(`(?i)\\(?:[^u]|u(?:d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|d[89a-f][0-9a-f]{2}|[0-9a-f]{4}))`)

func halfPair(raw []byte) bool {
	for _, escape := range unpaired.FindAll(raw, -1) {
		if len(escape) == 6 && strings.ContainsRune("dD", rune(escape[2])) && strings.ContainsRune("89abcdefABCDEF", rune(escape[3])) {
			return true
		}
	}
	return false
}

// A ruling is what the oracle says of a body.
type ruling struct {
	refused  string
	accepted []bool // by entry of samples, then of deleted
	samples  []health.Sample
	deleted  []health.UUID
}

func rule(body []byte, now health.Instant) ruling {
	if !utf8.Valid(body) || !json.Valid(body) {
		return ruling{refused: "not JSON"}
	}
	root, err := parse(body)
	switch {
	case err != nil:
		return ruling{refused: err.Error()}
	case root.depth > 32:
		return ruling{refused: "too deep"}
	case root.kind != '{':
		return ruling{refused: "no object"}
	case len(root.names) != len(root.members):
		return ruling{refused: "a member twice"}
	}
	for _, name := range root.names {
		if !slices.Contains([]string{"schema", "installationId", "timeZone", "samples", "deleted", "cursor", "stage", "final"}, name) {
			return ruling{refused: "unknown member"}
		}
	}
	if why := ruleEnvelope(root); why != "" {
		return ruling{refused: why}
	}
	var r ruling
	for _, n := range root.members["samples"].items {
		s, ok := ruleSample(n, now, zoneCalled(root.members["timeZone"].text))
		r.accepted = append(r.accepted, ok)
		if ok {
			r.samples = append(r.samples, s)
		}
	}
	for _, n := range root.members["deleted"].items {
		ok := n.kind == '{' && len(n.names) == 2 && !n.twice && !n.half && isText(n.members["uuid"]) && isText(n.members["type"]) && n.members["type"].text != ""
		u, err := health.ParseUUID(n.members["uuid"].text)
		if ok = ok && err == nil; ok {
			r.deleted = append(r.deleted, u)
		}
		r.accepted = append(r.accepted, ok)
	}
	return r
}

func ruleEnvelope(root node) string {
	for name, kinds := range map[string]string{"schema": `"`, "installationId": `"`, "timeZone": `"`, "samples": "[", "deleted": "[", "cursor": "{", "stage": `"`, "final": "t"} {
		n, there := root.members[name]
		switch {
		case !there && kinds == `"` && name != "stage":
			return name + " is missing"
		case !there:
		case !strings.Contains(kinds, string(n.kind)):
			return name + " has a wrong type"
		case n.kind == '"' && (!isText(n) || n.text == "" || n.half):
			return name + " is no text"
		}
	}
	cursor := root.members["cursor"]
	if len(cursor.names) != len(cursor.members) || cursor.half || len(cursor.names) > 512 {
		return "cursor"
	}
	for name, anchor := range cursor.members {
		if anchor.kind != '"' || anchor.text == "" || strings.ContainsFunc(anchor.text+name, isControl) || name == "" || len(name) > 1024 {
			return "cursor"
		}
	}
	stage, there := root.members["stage"]
	switch {
	case root.members["schema"].text != "clarity.upload/1":
		return "schema"
	case !isZone(root.members["timeZone"].text):
		return "timeZone"
	case there && stage.text != "daily" && stage.text != "historical":
		return "stage"
	}
	return ""
}

func isControl(r rune) bool { return r < ' ' }

func isText(n node) bool {
	return n.kind == '"' && len(n.text) <= 1024 && !strings.ContainsFunc(n.text, isControl)
}

func isZone(name string) bool {
	_, err := health.LoadZone(name)
	return err == nil
}

func zoneCalled(name string) string {
	loc, err := health.LoadZone(name)
	if err != nil {
		return ""
	}
	return loc.String()
}

var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func instant(n node) (health.Instant, bool) {
	if !isText(n) || !timeForm.MatchString(n.text) {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339, strings.ToUpper(n.text))
	year, _ := strconv.Atoi(n.text[:4])
	return health.InstantOf(t), err == nil && year >= 1900 && year <= 2200
}

func ruleSample(n node, now health.Instant, zone string) (s health.Sample, ok bool) {
	if n.kind != '{' || n.twice || n.huge || n.half {
		return s, false
	}
	var extra bool
	for _, name := range n.names {
		extra = extra || !slices.Contains([]string{"uuid", "type", "start", "end", "value", "unit", "source", "metadata"}, name)
	}
	u, err := health.ParseUUID(n.members["uuid"].text)
	start, startOK := instant(n.members["start"])
	end, endOK := instant(n.members["end"])
	s = health.Sample{UUID: u, Type: n.members["type"].text, Start: start, End: end, Zone: zone}
	if err != nil || !isText(n.members["uuid"]) || !startOK || !endOK || end < start || start > now+86_400_000 || !isText(n.members["type"]) || s.Type == "" {
		return s, false
	}
	sourceExtra, ok := ruleSource(n, &s)
	if !ok || !ruleMetadata(n, &s) {
		return s, false
	}
	value, hasValue := n.members["value"]
	if hasValue && value.kind == '0' {
		s.OriginalValue, _ = strconv.ParseFloat(string(value.raw), 64)
		s.OriginalValue += 0 // minus zero
	}
	unit, hasUnit := n.members["unit"]
	if hasUnit && !isText(unit) {
		return s, false
	}
	s.OriginalUnit = unit.text
	known, ok := catalog.Lookup(s.Type)
	var raw bytes.Buffer
	if err := json.Compact(&raw, n.raw); err != nil {
		return s, false
	}
	if !ok {
		s.Raw, s.Value, s.Unit = raw.String(), s.OriginalValue, s.OriginalUnit
		return s, true
	}
	if value.kind != '0' || known.Kind == catalog.Quantity && !hasUnit || time.Duration(end-start)*time.Millisecond > known.MaxDuration {
		return s, false
	}
	s.Unit = known.Unit
	s.Value, err = known.Convert(s.OriginalValue, s.OriginalUnit)
	s.Value += 0
	ordinal := known.Kind == catalog.Category && s.Value >= 0 && s.Value < 1<<31 && s.Value == math.Trunc(s.Value)
	if extra || sourceExtra || ordinal && !known.InRange(s.Value) {
		s.Raw = raw.String()
	}
	return s, err == nil && (known.InRange(s.Value) || ordinal)
}

func ruleSource(n node, s *health.Sample) (extra, ok bool) {
	source, there := n.members["source"]
	if there && source.kind != '{' {
		return false, false
	}
	for name, value := range source.members {
		field := map[string]*string{"bundleId": &s.Source.BundleID, "name": &s.Source.Name, "productType": &s.Source.ProductType, "osVersion": &s.Source.OSVersion}[name]
		if field == nil {
			extra = true
			continue
		}
		if !isText(value) {
			return false, false
		}
		*field = value.text
	}
	return extra, true
}

func ruleMetadata(n node, s *health.Sample) bool {
	metadata, there := n.members["metadata"]
	if there && metadata.kind != '{' {
		return false
	}
	rest := map[string]json.RawMessage{}
	for name, value := range metadata.members {
		switch name {
		case "HKTimeZone":
			if value.kind != '"' || !isZone(value.text) {
				rest[name] = value.raw
				continue
			}
			s.Zone = zoneCalled(value.text)
		case "HKWasUserEntered":
			switch string(value.raw) {
			case "true", "1":
				s.UserEntered = true
			case "false", "0":
			default:
				return false
			}
		default:
			rest[name] = value.raw
		}
	}
	if len(rest) > 0 {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(rest); err != nil {
			return false
		}
		s.Metadata = strings.TrimSpace(b.String())
	}
	return true
}
