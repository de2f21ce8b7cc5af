package actigraphy

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const formatActiGraph = "ActiGraph csv"

var (
	actigraphModel = regexp.MustCompile(`Created By ActiGraph (\S{1,24})`)
	actigraphMode  = regexp.MustCompile(`Mode = (\d{1,3})`)
)

// threeAxes are the bits of an ActiGraph's mode that say that the second and
// the third axis were recorded.
const threeAxes = 4 | 8

// readActiGraph reads ActiLife's csv: ten header lines, perhaps a line of
// column names, then one epoch a line. Values are the vector magnitude where
// the three axes were recorded, else the vertical axis.
func readActiGraph(l *lines) (Recording, error) {
	h, err := readActiGraphHeader(l)
	if err != nil {
		return Recording{}, err
	}
	g := grid{rec: Recording{Epoch: h.epoch, Kind: Counts, Device: strings.TrimSpace("ActiGraph " + h.model), Channel: "vertical axis"}}
	at, t := h.start, table{sep: ',', time: -1, date: -1, value: 0, axes: [3]int{-1, -1, -1}, missing: -1}
	if h.mode&threeAxes == threeAxes {
		t.axes, g.rec.Channel = [3]int{0, 1, 2}, "vector magnitude"
	}
	for first := true; ; first = false {
		line, ok := l.next()
		if !ok {
			break
		}
		if strings.Trim(line, ", ") == "" {
			continue
		}
		if named, ok := findTable(line, 0); first && ok {
			t, g.rec.Channel = named, named.channel
			continue
		}
		if len(g.rec.Values) >= maxEpochs {
			return Recording{}, &FormatError{formatActiGraph, l.n, "too many epochs"}
		}
		stamp, v, missing, err := t.epoch(line, dayFirst(h.dayFirst))
		if err == nil && !stamp.IsZero() {
			at = stamp
		}
		if err == nil {
			err = g.add(at, v, missing)
		}
		if err != nil {
			return Recording{}, &FormatError{formatActiGraph, l.n, err.Error()}
		}
		at = at.Add(h.epoch)
	}
	if len(g.rec.Values) == 0 {
		return Recording{}, &FormatError{formatActiGraph, l.n, "no epochs after the header"}
	}
	return g.rec, nil
}

type actigraphHeader struct {
	model    string
	start    time.Time
	epoch    time.Duration
	mode     int
	dayFirst bool
}

func readActiGraphHeader(l *lines) (h actigraphHeader, err error) {
	var clock, date, epoch string
	for {
		line, ok := l.next()
		if !ok || l.n > 30 {
			return h, &FormatError{formatActiGraph, l.n, "the header does not end with a line of dashes"}
		}
		line = strings.TrimRight(line, ", ")
		if l.n > 1 && strings.HasPrefix(line, "--------") {
			break
		}
		if m := actigraphModel.FindStringSubmatch(line); m != nil {
			h.model = m[1]
			h.dayFirst = strings.Contains(line, "date format d")
		}
		if m := actigraphMode.FindStringSubmatch(line); m != nil {
			h.mode, _ = strconv.Atoi(m[1])
		}
		clock = after(line, "Start Time ", clock)
		date = after(line, "Start Date ", date)
		epoch = after(line, "Epoch Period (hh:mm:ss) ", epoch)
	}
	if h.start, err = parseStamp(date, clock, h.dayFirst); err != nil {
		return h, &FormatError{formatActiGraph, 0, "the header's Start Date and Start Time: " + err.Error()}
	}
	t, err := time.Parse(time.TimeOnly, epoch)
	h.epoch = t.Sub(t.Truncate(24 * time.Hour))
	if err != nil || h.epoch <= 0 {
		return h, &FormatError{formatActiGraph, 0, "the header's Epoch Period " + quote(epoch) + " is not hh:mm:ss"}
	}
	return h, nil
}

func after(line, prefix, otherwise string) string {
	if rest, ok := strings.CutPrefix(line, prefix); ok {
		return strings.TrimSpace(rest)
	}
	return otherwise
}

// A table says which columns of a csv hold what; -1 for none.
type table struct {
	sep        byte
	time, date int // date is -1 where time holds both
	value      int
	axes       [3]int
	missing    int
	channel    string
	kind       InputKind
}

// epoch reads one line. The stamp is zero where the table has none.
func (t table) epoch(line string, df dayFirst) (stamp time.Time, v float64, missing bool, err error) {
	row := cells(line, t.sep)
	cell := func(i int) string {
		if i < 0 || i >= len(row) {
			return ""
		}
		return strings.TrimSpace(row[i])
	}
	if t.time >= 0 {
		if stamp, err = parseStamp(cell(t.date), cell(t.time), bool(df)); err != nil {
			return stamp, 0, false, err
		}
	}
	if t.missing >= 0 && isYes(cell(t.missing)) {
		return stamp, 0, true, nil
	}
	if t.axes[2] >= 0 {
		sum := 0.0
		for _, axis := range t.axes {
			a, err := number(cell(axis))
			if err != nil {
				return stamp, 0, false, fmt.Errorf("axis in column %d: %w", axis+1, err)
			}
			sum += a * a
		}
		if v = math.Sqrt(sum); math.IsInf(v, 0) {
			return stamp, 0, false, fmt.Errorf("the axes have no finite magnitude")
		}
		return stamp, v, false, nil
	}
	text := cell(t.value)
	if text == "" || strings.EqualFold(text, "NaN") || strings.EqualFold(text, "NA") {
		return stamp, 0, true, nil
	}
	if v, err = number(text); err != nil {
		return stamp, 0, false, fmt.Errorf("the value in column %d: %w", t.value+1, err)
	}
	return stamp, v, false, nil
}
