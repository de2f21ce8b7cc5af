package actigraphy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	formatTable    = "csv"
	formatActiware = "Actiware csv"
)

// dayFirst says whether 1/2/2018 is the first of February.
type dayFirst bool

// findTable reads a line of column names. It knows the names that ActiLife,
// Actiware (in English, German, Dutch and French) and common exports use;
// least is how many filled cells make a line of names.
func findTable(line string, least int) (table, bool) {
	t := table{sep: separator(line), time: -1, date: -1, value: -1, axes: [3]int{-1, -1, -1}, missing: -1, kind: Counts}
	filled := 0
	axes := [3]int{-1, -1, -1}
	for i, name := range cells(line, t.sep) {
		name = strings.ToLower(strings.Trim(name, " \t\""))
		if name != "" {
			filled++
		}
		switch {
		case slices.Contains([]string{"timestamp", "datetime", "date_time", "time", "uhrzeit", "zeit", "tijd", "heure"}, name):
			t.time = i
		case slices.Contains([]string{"date", "datum"}, name):
			t.date = i
		case name == "axis1", name == "axis2", name == "axis3":
			axes[name[4]-'1'] = i
		case strings.HasPrefix(name, "off-wrist"), strings.Contains(name, "niet-om-pols"), strings.Contains(name, "handgelenk"), strings.Contains(name, "poignet"):
			t.missing = i
		default:
			t.valueColumn(name, i)
		}
	}
	if t.value < 0 && axes[0] >= 0 {
		t.value, t.channel = axes[0], "vertical axis"
		if axes[1] >= 0 && axes[2] >= 0 {
			t.axes, t.channel = axes, "vector magnitude"
		}
	}
	return t, t.value >= 0 && filled >= least
}

// valueColumn takes column i for the values if its name says so.
func (t *table) valueColumn(name string, i int) {
	kind, channel := Counts, ""
	switch name {
	case "vectormagnitude", "vector magnitude", "vm":
		channel = "vector magnitude"
	case "activity", "aktivität", "activiteit", "activité", "counts", "count": //nolint:misspell // German, Dutch and French
	case "steps", "step_count":
		kind = Steps
	case "active_energy_kcal", "energy_kcal":
		kind = Energy
	default:
		return
	}
	if t.value >= 0 && kind != Counts { // ActiLife's table has counts and steps
		return
	}
	t.value, t.kind, t.channel = i, kind, channel
}

// readTable reads a csv with a line of column names: a timestamp (or date and
// time), and activity counts, steps or energy.
func readTable(l *lines) (Recording, error) {
	header, _ := l.next()
	t, _ := findTable(header, 0)
	return t.read(l, formatTable, Recording{Kind: t.kind, Channel: t.channel})
}

// readActiware reads the csv of Philips Actiware: sections of text, then a
// table of epochs. Epochs off the wrist or without a value are missing.
func readActiware(l *lines) (Recording, error) {
	rec := Recording{Kind: Counts, Device: "Actiwatch"}
	for {
		line, ok := l.next()
		if !ok {
			return Recording{}, &FormatError{formatActiware, l.n, "no table of epochs with the columns date, time and activity"}
		}
		row := cells(line, separator(line))
		if len(row) > 1 && strings.HasPrefix(strings.ToLower(row[0]), "actiwatch type") || len(row) > 1 && strings.HasPrefix(strings.ToLower(row[0]), "type actiwatch") {
			rec.Device = "Actiwatch " + printable(row[1])
		}
		if t, ok := findTable(line, 5); ok && t.time >= 0 && t.date >= 0 {
			return t.read(l, formatActiware, rec)
		}
	}
}

// printable is a short text of a header, fit to be shown.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), 32)])
}

// read reads the lines of the table.
func (t table) read(l *lines, format string, rec Recording) (Recording, error) {
	df := t.dateOrder(*l)
	g := grid{rec: rec}
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		if strings.Trim(line, ",; ") == "" {
			continue
		}
		if len(g.rec.Values) >= maxEpochs {
			return Recording{}, &FormatError{format, l.n, "too many epochs"}
		}
		at, v, missing, err := t.epoch(line, df)
		if err == nil {
			err = g.add(at, v, missing)
		}
		if err != nil {
			return Recording{}, &FormatError{format, l.n, err.Error()}
		}
	}
	if len(g.rec.Values) < 2 {
		return Recording{}, &FormatError{format, l.n, "fewer than two epochs"}
	}
	return g.rec, nil
}

// dateOrder tells from all dates whether the day comes first: a number above
// 12 is a day, and from one day to the next it is the day that changes. Where
// nothing tells, the day comes first.
func (t table) dateOrder(l lines) dayFirst {
	column := t.date
	if column < 0 {
		column = t.time
	}
	var first [2]int
	for {
		line, ok := l.next()
		if !ok {
			return true
		}
		row := cells(line, t.sep)
		if column >= len(row) || strings.Trim(line, ",; ") == "" { // as read passes it over
			continue
		}
		date, _, _ := strings.Cut(strings.TrimSpace(row[column]), " ")
		parts := dateParts(date)
		if len(parts) != 3 || len(parts[0]) == 4 {
			return true
		}
		a, _ := strconv.Atoi(parts[0])
		b, _ := strconv.Atoi(parts[1])
		switch {
		case a > 12:
			return true
		case b > 12:
			return false
		case first == [2]int{}:
			first = [2]int{a, b}
		case a != first[0] && b == first[1]:
			return true
		case b != first[1] && a == first[0]:
			return false
		}
	}
}

func dateParts(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '-' || r == '.' })
}

// parseStamp reads a date and a clock time; date is "" where clock holds both.
func parseStamp(date, clock string, df bool) (time.Time, error) {
	if date == "" {
		if strings.Contains(clock, "T") {
			if t, err := time.Parse(time.RFC3339, clock); err == nil {
				return t, nil
			}
		}
		var ok bool
		if date, clock, ok = strings.Cut(strings.Replace(clock, "T", " ", 1), " "); !ok {
			return time.Time{}, errors.New("the time stamp is not a date and a time")
		}
	}
	parts := dateParts(date)
	if len(parts) != 3 {
		return time.Time{}, fmt.Errorf("%s is not a date", quote(date))
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || len(p) > 4 || n[i] < 0 {
			return time.Time{}, fmt.Errorf("%s is not a date", quote(date))
		}
	}
	year, month, day := n[2], n[0], n[1]
	switch {
	case len(parts[0]) == 4:
		year, month, day = n[0], n[1], n[2]
	case df:
		month, day = n[1], n[0]
	}
	at := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if at.Day() != day || int(at.Month()) != month || year < 1900 || year > 2200 {
		return time.Time{}, fmt.Errorf("%s is not a date", quote(date))
	}
	for _, layout := range []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM"} {
		if t, err := time.Parse(layout, clock); err == nil {
			return at.Add(t.Sub(t.Truncate(24 * time.Hour))), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a time", quote(clock))
}
