package narrative

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// direction is +1 for a word that says more, -1 for one that says less, 0 for others.
func direction(word string) int {
	switch word {
	case "more", "higher", "longer", "later", "increased", "increase", "increases", "increasing", "rose", "risen", "rising", "grew", "grown",
		"above", "gain", "gained", "faster", "raised", "bigger", "larger", "stronger":
		return 1
	case "less", "fewer", "lower", "lowered", "shorter", "earlier", "decreased", "decrease", "decreases", "decreasing", "fell", "fallen", "falling",
		"dropped", "drop", "drops", "below", "lose", "lost", "slower", "reduce", "reduced", "smaller":
		return -1
	}
	return 0
}

// Phrases that only a judgement, a denial or another order of words needs.
var (
	judgement = regexp.MustCompile(`\b(?:better|best|worse|worst|improv\w*|worsen\w*|deteriorat\w*|healthier|unhealthier|too [a-z])`)
	sameness  = regexp.MustCompile(`\b(?:unchanged|no change|no difference|not (?:change|differ)|the same as|(?:stayed|remained|was|were|is) the same\b)`)
	denial    = regexp.MustCompile(`\b(?:not|no|never|neither|nor|none|without|hardly|barely|rather than|instead of)\b|n't\b`)
	earlier   = regexp.MustCompile(`\b(?:before|previous|former|last (?:week|month|year)|week earlier|yesterday)\b`)
	changing  = regexp.MustCompile(`\b(?:chang|differ|vari)`)
)

// checkJudgement refuses what no fact says: that something is better, too
// much, or the same.
func checkJudgement(text string) error {
	if judgement.MatchString(text) {
		return errors.New("it judges where the facts only compare")
	}
	if sameness.MatchString(text) {
		return errors.New("it says that nothing changed, which no fact does")
	}
	return nil
}

// checkDirection holds words of direction against the changes that are cited:
// all of them one way, and the way the words say. A denied direction, and one
// told from the earlier week's side, cannot be held against anything.
func checkDirection(text string, cited []analysis.Fact) error {
	at, told := directions(text)
	if len(told) == 0 {
		return nil
	}
	var changes []int
	for _, f := range cited {
		if strings.HasPrefix(f.ID, changePrefix) {
			changes = append(changes, sign(f.Value))
		}
	}
	if len(changes) == 0 || slices.Min(changes) != slices.Max(changes) || slices.Min(told) != slices.Max(told) || changes[0] != told[0] {
		return errors.New("it tells a direction that the cited changes do not have")
	}
	if denial.MatchString(text) || earlier.MatchString(text[:at]) {
		return errors.New("it turns a direction around")
	}
	return nil
}

// directions are the words of direction in a text, and where the first is.
func directions(text string) (first int, told []int) {
	found := wordPattern.FindAllStringIndex(text, -1)
	for i, m := range found {
		word := text[m[0]:m[1]]
		next := ""
		if i+1 < len(found) {
			next = text[found[i+1][0]:found[i+1][1]]
		}
		if next == "asleep" || word == "more" && i > 0 && text[found[i-1][0]:found[i-1][1]] == "once" { // fell asleep, once more
			continue
		}
		if d := direction(word); d != 0 {
			if len(told) == 0 {
				first = m[0]
			}
			told = append(told, d)
		}
	}
	return first, told
}

func sign(v float64) int {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}
