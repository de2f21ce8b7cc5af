// Package actogram draws a recording as a double-plotted actogram in SVG: each
// row shows one local day and the day after it, so that a night is never cut.
package actogram

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"time"
)

// The measures of the picture, in pixels.
const (
	left, top      = 96, 64
	hour           = 18
	row, bar       = 38, 30
	width          = left + 48*hour + 24
	binsPerHour    = 12
	bottom         = 36
	ceilingPercent = 98 // of the values above zero is a full bar
)

// A Plot is what is drawn.
type Plot struct {
	Title string
	// Unit says what a bar is, e.g. "counts" or "steps (a proxy)".
	Unit string
	// Start is the first epoch; its zone decides the rows.
	Start   time.Time
	Epoch   time.Duration
	Values  []float64
	Missing []bool // nil, or as long as Values
	Sleep   []Span
}

// A Span is a stretch of sleep.
type Span struct{ Start, End time.Time }

// bin is five minutes of a row.
type bin struct {
	sum    float64
	known  int
	asleep bool
}

// Draw writes the picture.
func Draw(w io.Writer, p Plot) error {
	rows, days := p.grid()
	full := ceiling(rows)
	out := bufio.NewWriter(w)
	height := top + len(rows)*row + bottom
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n", width, height, width, height, html.EscapeString(p.Title))
	put("<title>%s</title>\n%s\n", html.EscapeString(p.Title), style)
	put(`<rect class="paper" width="%d" height="%d"/>`+"\n", width, height)
	put(`<text class="title" x="%d" y="26">%s</text>`+"\n", left, html.EscapeString(p.Title))
	put("<g class=\"axis\">\n")
	for h := 0; h <= 48; h += 6 {
		x := left + h*hour
		put(`<path d="M%d %dV%d"/><text x="%d" y="%d" text-anchor="middle">%02d</text>`+"\n", x, top-6, top+len(rows)*row, x, top-12, h%24)
	}
	put("</g>\n")
	for i := range rows {
		y := top + i*row
		put(`<text class="day" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-12, y+bar-6, days[i].Format("Mon 2 Jan"))
		half(out, rows[i], left, y, full)
		if i+1 < len(rows) {
			half(out, rows[i+1], left+24*hour, y, full)
		}
		put(`<path class="ground" d="M%d %dH%d"/>`+"\n", left, y+bar, left+48*hour)
	}
	put(`<text class="note" x="%d" y="%d">bars: %s in five minutes, full at %.4g · blue: asleep · grey: no data</text>`+"\n", left, height-12, html.EscapeString(p.Unit), full)
	put("</svg>\n")
	return out.Flush()
}

const style = `<style>
text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}.axis text,.note{fill:#777;font-size:11px}
.paper{fill:#fff}.axis path{stroke:#0001;fill:none}.ground{stroke:#bbb}.bars{stroke:#222;stroke-width:1.6;fill:none}.sleep{fill:#bcd4f6}.gap{fill:#eee}
@media(prefers-color-scheme:dark){text{fill:#ddd}.paper{fill:#16181d}.axis path{stroke:#fff2}.ground{stroke:#555}.bars{stroke:#eee}.sleep{fill:#27436e}.gap{fill:#262930}}
</style>`

// half draws one day's bins from x on.
func half(out *bufio.Writer, bins []bin, x, y int, full float64) {
	const step = float64(hour) / binsPerHour
	band := func(class string, in func(bin) bool) {
		for i := 0; i < len(bins); i++ {
			first := i
			for i < len(bins) && in(bins[i]) {
				i++
			}
			if i > first {
				_, _ = fmt.Fprintf(out, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>`, class, float64(x)+float64(first)*step, y, float64(i-first)*step, bar)
			}
		}
	}
	band("gap", func(b bin) bool { return b.known == 0 })
	band("sleep", func(b bin) bool { return b.asleep })
	_, _ = out.WriteString(`<path class="bars" d="`)
	for i, b := range bins {
		if h := b.height(full); h > 0 {
			_, _ = fmt.Fprintf(out, "M%.1f %dv-%.1f", float64(x)+(float64(i)+0.5)*step, y+bar, h)
		}
	}
	_, _ = out.WriteString("\"/>\n")
}

func (b bin) height(full float64) float64 {
	if b.known == 0 || full == 0 {
		return 0
	}
	return math.Round(10*bar*min(1, b.sum/full)) / 10
}

// grid puts the epochs into rows by the clock on the wall: on a day with a
// change of the clock the hour that comes twice is added up, the one that does
// not come is empty.
func (p Plot) grid() (rows [][]bin, days []time.Time) {
	loc := p.Start.Location()
	first := dateOf(p.Start)
	index := func(t time.Time) (int, int) {
		t = t.In(loc)
		return int(dateOf(t).Sub(first) / (24 * time.Hour)), (t.Hour()*60 + t.Minute()) * binsPerHour / 60
	}
	at := func(t time.Time) *bin {
		r, b := index(t)
		for len(rows) <= r {
			rows = append(rows, make([]bin, 24*binsPerHour))
			days = append(days, first.AddDate(0, 0, len(days)))
		}
		return &rows[r][b]
	}
	for i, v := range p.Values {
		b := at(p.Start.Add(time.Duration(i) * p.Epoch))
		if p.Missing != nil && p.Missing[i] {
			continue
		}
		b.sum += v
		b.known++
	}
	end := p.Start.Add(time.Duration(len(p.Values)) * p.Epoch)
	for _, s := range p.Sleep {
		for t := s.Start; t.Before(s.End); t = t.Add(time.Hour / binsPerHour) {
			if !t.Before(p.Start) && t.Before(end) {
				at(t).asleep = true
			}
		}
	}
	return rows, days
}

func dateOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// ceiling is the value of a full bar.
func ceiling(rows [][]bin) float64 {
	var values []float64
	for _, r := range rows {
		for _, b := range r {
			if b.sum > 0 {
				values = append(values, b.sum)
			}
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)*ceilingPercent/100]
}
