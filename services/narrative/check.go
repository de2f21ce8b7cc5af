package narrative

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/clarity-loop/clarity/services/analysis"
)

// The bounds of a text.
const (
	MaxSentences = 40
	MaxSentence  = 400 // bytes
)

// A CheckError says what of a text may not be said, and where.
type CheckError struct {
	Sentence int // index of the claim, from 0; -1 for the text as a whole
	Rule     Rule
	Detail   string
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("narrative: sentence %d: %s: %s", e.Sentence, e.Rule, e.Detail)
}

// A Rule is what a text can break.
type Rule string

// The rules.
const (
	RuleForm      Rule = "form"      // empty, too long, markup, another script
	RuleCitation  Rule = "citation"  // cites a fact there is not
	RuleNumber    Rule = "number"    // a number that is none of the facts cited
	RuleDirection Rule = "direction" // says more or less where no fact does
	RuleMedical   Rule = "medical"   // a diagnosis, drug, dose, cure or advice to act on one
)

// Check holds a text against the facts it was given: every number in it must be
// one of the facts its sentence cites, within the rounding it is written with;
// words of direction must agree with a change that is cited; and nothing may
// sound like a diagnosis or a treatment. It returns a *CheckError for the first
// sentence that fails.
func Check(facts []analysis.Fact, claims []analysis.Claim) error {
	if len(claims) == 0 || len(claims) > MaxSentences {
		return &CheckError{-1, RuleForm, fmt.Sprintf("a text has 1 to %d sentences", MaxSentences)}
	}
	byID := make(map[string]analysis.Fact, len(facts))
	for _, f := range facts {
		byID[f.ID] = f
	}
	for i, claim := range claims {
		if rule, err := checkClaim(byID, claim); err != nil {
			return &CheckError{i, rule, err.Error()}
		}
	}
	return nil
}

func checkClaim(facts map[string]analysis.Fact, claim analysis.Claim) (Rule, error) {
	if err := checkForm(claim.Text); err != nil {
		return RuleForm, err
	}
	cited := make([]analysis.Fact, 0, len(claim.Facts))
	for _, id := range claim.Facts {
		f, there := facts[id]
		if !there {
			return RuleCitation, errors.New("a fact is cited that was not given")
		}
		cited = append(cited, f)
	}
	if err := checkNumbers(claim.Text, cited); err != nil {
		return RuleNumber, err
	}
	if err := checkDirection(claim.Text, cited); err != nil {
		return RuleDirection, err
	}
	if err := checkMedical(claim.Text); err != nil {
		return RuleMedical, err
	}
	return "", nil
}

func checkForm(text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case len(text) > MaxSentence:
		return fmt.Errorf("it is longer than %d bytes", MaxSentence)
	case strings.ContainsAny(text, "<>{}[]`|\\\r\n\t"):
		return errors.New("it holds markup or control characters")
	case strings.Contains(text, "://") || strings.Contains(text, "www."):
		return errors.New("it holds a link")
	}
	for _, r := range text {
		if r > unicode.MaxASCII && !strings.ContainsRune("’‘“”–—…é", r) || unicode.IsControl(r) {
			return errors.New("it holds characters beyond plain English")
		}
	}
	return nil
}

// number is one number of a text.
type number struct {
	at       int // byte in the text
	value    float64
	decimals int
	unit     string // UnitClock, UnitMinutes, "h", or "" for whatever the fact has
}

// Numbers are looked for in this order; what one pattern takes, the next does not see.
var (
	clockPattern    = regexp.MustCompile(`\b([01]?\d|2[0-4]):([0-5]\d)\b`)                                         //nolint:gochecknoglobals // compiled once
	durationPattern = regexp.MustCompile(`(?i)\b(\d+) ?(?:h|hours?)(?: and)? (\d+) ?(?:min|minutes?)\b`)           //nolint:gochecknoglobals // compiled once
	plainPattern    = regexp.MustCompile(`(?i)-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?( ?(?:hours?|h|minutes?|min)\b)?`) //nolint:gochecknoglobals // compiled once
	wordPattern     = regexp.MustCompile(`[A-Za-z]+`)                                                              //nolint:gochecknoglobals // compiled once
)

// termsWithDigits may stand in a text: their digits are part of a name.
func termsWithDigits() []string { return []string{"SpO2"} }

func checkNumbers(text string, cited []analysis.Fact) error {
	for _, n := range numbersOf(text) {
		if !said(n, cited) {
			return fmt.Errorf("the number at character %d is none of the facts cited", n.at)
		}
	}
	return nil
}

// numbersOf finds every number of a text: digits, clock times, durations and
// words. A number word that states no exact number ("half", "twice") has the
// value NaN, which no fact has.
func numbersOf(text string) []number {
	for _, term := range termsWithDigits() {
		text = strings.ReplaceAll(text, term, strings.Repeat(" ", len(term)))
	}
	var found []number
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
			found = append(found, n)
			text = text[:m[0]] + strings.Repeat(" ", m[1]-m[0]) + text[m[1]:]
		}
	}
	take(clockPattern, func(g []string) number {
		return number{value: 60*parse(g[1]) + parse(g[2]), unit: UnitClock}
	})
	take(durationPattern, func(g []string) number {
		return number{value: 60*parse(g[1]) + parse(g[2]), unit: UnitMinutes}
	})
	take(plainPattern, func(g []string) number {
		bare := strings.ReplaceAll(strings.TrimSuffix(g[0], g[1]), ",", "")
		_, fraction, _ := strings.Cut(bare, ".")
		n := number{value: parse(bare), decimals: len(fraction)}
		switch unit := strings.ToLower(strings.TrimSpace(g[1])); {
		case strings.HasPrefix(unit, "h"):
			n.unit = "h"
		case strings.HasPrefix(unit, "min"):
			n.unit = UnitMinutes
		}
		return n
	})
	for _, m := range wordPattern.FindAllStringIndex(text, -1) {
		if value, is := numberWord(strings.ToLower(text[m[0]:m[1]])); is {
			found = append(found, number{at: m[0], value: value})
		}
	}
	return found
}

func parse(digits string) float64 {
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func numberWord(word string) (value float64, is bool) {
	words := []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
		"eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"}
	for v, w := range words {
		if w == word {
			return float64(v), true
		}
	}
	switch word {
	case "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "hundreds", "thousand", "thousands",
		"million", "dozen", "dozens", "half", "halved", "third", "quarter", "twice", "thrice", "double", "doubled", "triple", "tripled":
		return math.NaN(), true
	}
	return 0, false
}

// said reports whether the number is one of the facts, as precisely as it is written.
func said(n number, facts []analysis.Fact) bool {
	for _, f := range facts {
		value := math.Abs(f.Value)
		slack := 0.5*math.Pow10(-n.decimals) + 1e-9
		switch {
		case n.unit == UnitClock:
			if f.Unit == UnitClock && math.Abs(math.Remainder(n.value-f.Value, 1440)) <= slack {
				return true
			}
		case f.Unit == UnitClock:
			continue // a time of day is said as one
		case n.unit == "h":
			if f.Unit == UnitMinutes && math.Abs(n.value-value/60) <= slack && (n.decimals > 0 || math.Abs(math.Remainder(value, 60)) <= 0.5) {
				return true
			}
		case n.unit == UnitMinutes:
			if f.Unit == UnitMinutes && math.Abs(n.value-value) <= slack {
				return true
			}
		case math.Abs(n.value-value) <= slack:
			return true
		}
	}
	return false
}
