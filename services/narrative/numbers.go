package narrative

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// number is one number of a text, NaN where it is none that a fact can be:
// vague ("half", "twice"), badly grouped, or of a unit that no fact has.
type number struct {
	at       int // byte in the text
	value    float64
	decimals int
	unit     string // as of a Fact; "h" for hours; "" where none is written
	topic    string // "" or what the id of the fact must hold, by the noun behind the number
	compared bool   // it is how much something changed, by the words around it
}

// Numbers are looked for in this order; what one pattern takes, the next does not see.
var (
	clockPattern    = regexp.MustCompile(`\b(\d{1,2}):(\d{2})(?: ?([ap])\.?m\b)?`)
	hourPattern     = regexp.MustCompile(`\b(\d{1,2}) ?([ap])\.?m\b`)
	durationPattern = regexp.MustCompile(`\b(\d+) ?(?:h|hours?),?(?: and)? (\d+) ?(?:min|minutes?)\b`)
	ratePattern     = regexp.MustCompile(`\b(beats|heartbeats|bpm|times|breaths|steps|kcal) an? (minute|hour)\b`)
	indefinite      = regexp.MustCompile(`(?:\b([a-z]+) )?\ban? (half|quarter|third|hour|minute|dozen|couple)\b`)
	digitsPattern   = regexp.MustCompile(`-?\d[\d,.]*(?:e[-+]?\d+)?`)
	grouped         = regexp.MustCompile(`^(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?$`)
	unitPattern     = regexp.MustCompile(`^[ -]?(%|[a-z]+)`)
	comparedPattern = regexp.MustCompile(`^ ?(?:%|[a-z]+)? *(?:an? (?:day|night|minute) +)?(?:(?:of|a|an|the) )?([a-z]+)?( asleep)?`)
	halfOfSomething = regexp.MustCompile(`\b(?:first|second|last|latter|other|early|late) half\b`)
	noNumber        = regexp.MustCompile(`\b(?:one another|no one|the one|this one|that one|which one)\b`)
)

func checkNumbers(in reading, cited []analysis.Fact) error {
	found := numbersIn(in.text)
	for _, n := range found {
		if n.unit == "" && after(found, n.at) == unitMinutes && said(number{n.at, n.value, n.decimals, unitMinutes, n.topic, n.compared}, cited, in) {
			continue // 14 min of the one, and 29 of the other
		}
		if !said(n, cited, in) {
			return fmt.Errorf("the number at character %d is none of the facts cited", n.at)
		}
	}
	return nil
}

// after is the unit of the number before that byte.
func after(found []number, at int) (unit string) {
	last := -1
	for _, n := range found {
		if n.at < at && n.at > last {
			last, unit = n.at, n.unit
		}
	}
	return unit
}

// numbersOf finds every number of a text: clock times, durations, digits and words.
func numbersOf(text string) []number { return numbersIn(figures(text)) }

// numbersIn is numbersOf for a text as figures leaves it.
func numbersIn(text string) (found []number) {
	blank := func(s string) string { return strings.Repeat(" ", len(s)) }
	text = ratePattern.ReplaceAllStringFunc(text, func(s string) string {
		unit := rateUnit(s)
		return unit + blank(s[len(unit):])
	})
	take := func(p *regexp.Regexp, read func(groups []string) number) {
		for _, m := range p.FindAllStringSubmatchIndex(text, -1) {
			groups := make([]string, len(m)/2)
			for g := range groups {
				if m[2*g] >= 0 {
					groups[g] = text[m[2*g]:m[2*g+1]]
				}
			}
			n := read(groups)
			n.at = m[0]
			n.compared = compared(text, m[0], m[1])
			found = append(found, n)
			text = text[:m[0]] + strings.Repeat(" ", m[1]-m[0]) + text[m[1]:]
		}
	}
	take(clockPattern, func(g []string) number { return clock(parse(g[1]), parse(g[2]), g[3]) })
	take(hourPattern, func(g []string) number { return clock(parse(g[1]), 0, g[2]) })
	take(durationPattern, func(g []string) number {
		if parse(g[2]) > 59 {
			return number{value: math.NaN()}
		}
		return number{value: 60*parse(g[1]) + parse(g[2]), unit: unitMinutes}
	})
	take(indefinite, func([]string) number { return number{value: math.NaN()} })
	for _, m := range digitsPattern.FindAllStringIndex(text, -1) {
		digits := strings.TrimRight(text[m[0]:m[1]], ",.")
		found = append(found, withUnit(text, m[0], m[0]+len(digits), written(digits)))
	}
	text = digitsPattern.ReplaceAllStringFunc(text, blank)
	for _, m := range wordPattern.FindAllStringIndex(text, -1) {
		if value, is := numberWord(text[m[0]:m[1]]); is {
			found = append(found, withUnit(text, m[0], m[1], number{value: value}))
		}
	}
	return found
}

// rateUnit is the unit that a number before the rate has, as one word: the minute
// behind it is no amount. Of steps, energy and whatever is counted by the hour no
// fact tells a rate.
func rateUnit(rate string) string {
	counted, per, _ := strings.Cut(rate, " ")
	switch {
	case !strings.HasSuffix(per, "minute"):
		return "x"
	case counted == "times": // of the heart, or of breath
		return perMinute
	case counted == "steps", counted == "kcal":
		return "x"
	}
	return counted
}

// perMinute stands for "times a minute".
const perMinute = "permin"

// clock is a time of day; half is "a", "p" or "".
func clock(hour, minute float64, half string) number {
	if minute > 59 || hour > 24 || half != "" && (hour < 1 || hour > 12) {
		return number{value: math.NaN()}
	}
	if half != "" {
		hour = math.Mod(hour, 12)
	}
	if half == "p" {
		hour += 12
	}
	return number{value: 60*hour + minute, unit: unitClock}
}

// written reads digits as they are grouped in English; anything else is NaN.
func written(digits string) number {
	if !grouped.MatchString(digits) {
		return number{value: math.NaN()}
	}
	bare := strings.ReplaceAll(digits, ",", "")
	_, fraction, _ := strings.Cut(bare, ".")
	return number{value: parse(bare), decimals: len(fraction)}
}

func parse(digits string) float64 {
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// withUnit completes a number that lies at from to end by the word behind it.
func withUnit(text string, from, end int, n number) number {
	n.at, n.compared = from, compared(text, from, end)
	m := unitPattern.FindStringSubmatch(text[end:])
	if m == nil {
		return n
	}
	switch word := m[1]; word {
	case "h", "hour", "hours":
		n.unit = "h"
	case "min", "minute", "minutes":
		n.unit = unitMinutes
	case "%", "percent", "percentage":
		n.unit = unitPercent
	case "day", "days":
		n.unit = unitDays
	case "kcal", "calorie", "calories", "kilocalorie", "kilocalories":
		n.unit = unitKcal
	case "ms", "millisecond", "milliseconds":
		n.unit = unitMs
	case "bpm", "beat", "beats", "heartbeat", "heartbeats":
		n.unit, n.topic = unitBPM, "heart_rate"
	case perMinute:
		n.unit = unitBPM
	case "times":
		n.unit = unitBPM
	case "breath", "breaths":
		n.unit, n.topic = unitBPM, "respiratory"
	case "step", "steps":
		n.unit, n.topic = unitCount, "steps"
	default:
		if foreignUnit(word) {
			n.value = math.NaN()
		}
	}
	return n
}

// foreignUnit is a word that makes the number before it one of something no
// fact is about.
func foreignUnit(word string) bool {
	return slices.Contains([]string{"km", "kilometre", "kilometres", "kilometer", "kilometers", "mile", "miles", "m", "metre", "metres", "meter", "meters",
		"kg", "kilo", "kilos", "pound", "pounds", "lb", "lbs", "g", "mg", "mcg", "ml", "l", "litre", "litres", "liter", "liters", "s", "sec", "second", "seconds",
		"night", "nights", "week", "weeks", "weekend", "weekends", "month", "months", "year", "years", "walk", "walks", "run", "runs", "nap", "naps", "workout", "workouts",
		"awakening", "awakenings", "hz", "mmhg", "degree", "degrees", "point", "points", "stage", "stages", "cup", "cups", "x", "th", "st", "nd", "rd", "o", "of", "out"}, word)
}

// compared reports whether the number at from to end tells how much something
// changed: "22 min less", "300 steps more", "fell by 22".
func compared(text string, from, end int) bool {
	if m := comparedPattern.FindStringSubmatch(text[end:]); m != nil && direction(m[1]) != 0 && m[2] == "" {
		return true
	}
	if m := unitPattern.FindStringSubmatch(text[end:]); m != nil && direction(m[1]) != 0 {
		return true
	}
	before := strings.Fields(text[:from])
	if n := len(before); n > 0 && (direction(before[n-1]) != 0 || upDown(before[n-1]) != 0) { // an extra 22 min, down 300
		return true
	}
	if len(before) < 2 || before[len(before)-1] != "by" && before[len(before)-1] != "of" {
		return false
	}
	of := strings.TrimLeft(before[len(before)-2], "(")
	return direction(of) != 0 || upDown(of) != 0 || changing.MatchString(of)
}

func numberWord(word string) (value float64, is bool) {
	words := []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
		"eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"}
	if v := slices.Index(words, word); v >= 0 {
		return float64(v), true
	}
	switch word {
	case "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "hundreds", "thousand", "thousands", "million", "millions",
		"dozen", "dozens", "half", "halved", "halves", "third", "thirds", "quarter", "quarters", "twice", "thrice", "double", "doubled", "doubles",
		"triple", "tripled", "couple", "minus", "infinite", "nil":
		return math.NaN(), true
	}
	return math.NaN(), strings.HasSuffix(word, "fold") && word != "fold"
}

// said reports whether the number is one of the facts, as precisely as it is
// written, in a unit that the fact has. How much something changed is only said
// where the words compare, and every number in a clause that names what it is of.
func said(n number, facts []analysis.Fact, in reading) bool {
	told := directions(in.text)
	n.compared = n.compared || (len(told) > 0 || changing.MatchString(in.text)) && in.compares(n.at)
	for _, f := range facts {
		change := strings.HasPrefix(f.ID, changePrefix)
		if n.compared != change || !strings.Contains(f.ID, n.topic) {
			continue
		}
		value := f.Value
		if change {
			value = math.Abs(value)
		}
		if is(n, f.Unit, value) && (f.Unit == unitDays || in.speaksOf(n.at, f)) {
			return true
		}
	}
	return false
}

// is reports whether the number writes the value of the unit.
func is(n number, unit string, value float64) bool {
	slack := 0.5*math.Pow10(-n.decimals) + 1e-9
	switch n.unit {
	case unitClock:
		return unit == unitClock && math.Abs(math.Remainder(n.value-value, 1440)) <= slack
	case "h": // whole hours only where no minutes are left
		return unit == unitMinutes && math.Abs(n.value-value/60) <= slack && (n.decimals > 0 || math.Abs(math.Remainder(value, 60)) <= 0.5)
	case "":
		return slices.Contains([]string{unitCount, unitRatio, unitBPM}, unit) && math.Abs(n.value-value) <= slack
	}
	return unit == n.unit && math.Abs(n.value-value) <= slack
}
