package narrative

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// spelledRun are words of a number in a row, as "twelve thousand five hundred and ten".
var spelledRun = regexp.MustCompile(`\b(?:` + spelledWords + `)(?:(?:-| | and )(?:` + spelledWords + `))*\b`)

const spelledWords = `zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|` +
	`twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand`

// Half an hour past the middle of a day or a night.
var (
	halfMidnight = regexp.MustCompile(`\bhalf past midnight\b`)
	halfNoon     = regexp.MustCompile(`\bhalf past (?:noon|midday)\b`)
)

// weekEarlier is another week, and no earlier hour.
var weekEarlier = regexp.MustCompile(`\b(weeks?) earlier\b`)

// figures is the text with its spelled-out numbers in digits, and without the words that
// only look like numbers. What is no number as it is spelled in English stays in words.
func figures(text string) string {
	for _, harmless := range []*regexp.Regexp{halfOfSomething, noNumber} {
		text = harmless.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat(" ", len(s)) })
	}
	text = halfNoon.ReplaceAllString(halfMidnight.ReplaceAllString(text, "00:30"), "12:30")
	text = weekEarlier.ReplaceAllString(text, "$1 before ")
	return spelledRun.ReplaceAllStringFunc(text, func(run string) string {
		n, is := spelled(strings.FieldsFunc(run, func(r rune) bool { return r == ' ' || r == '-' }))
		if !is {
			return run
		}
		return strconv.Itoa(n)
	})
}

// spelled is the number of the words.
func spelled(words []string) (n int, is bool) {
	group, and := 0, false // group is what is below the next thousand
	for i, word := range words {
		if word == "and" {
			if and || i == len(words)-1 || group%100 != 0 || n+group == 0 {
				return 0, false
			}
			and = true
			continue
		}
		var fits bool
		switch value := spelledValue(word); word {
		case "thousand":
			fits = group > 0 && n == 0 && !and
			n, group = 1000*group, 0
		case "hundred":
			fits = group > 0 && group < 100 && !and
			group *= 100
		default:
			fits = i == 0 || follows(n, group, value, and)
			group += value
		}
		if !fits {
			return 0, false
		}
		and = false
	}
	return n + group, true
}

// follows says whether a value below a hundred may stand behind what was said: behind
// hundreds and thousands, and a digit behind tens.
func follows(n, group, value int, and bool) bool {
	if value == 0 {
		return false
	}
	behind := group%100 == 0 && n+group > 0
	return behind || value < 10 && group%10 == 0 && group%100 >= 20 && !and
}

// spelledValue is the value of a word below a hundred.
func spelledValue(word string) int {
	tens := []string{"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
	if at := slices.Index(tens, word); at >= 0 {
		return 20 + 10*at
	}
	value, _ := numberWord(word)
	return int(value)
}
