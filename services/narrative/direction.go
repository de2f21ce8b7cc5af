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
		"above", "gain", "gained", "faster", "raised", "bigger", "larger", "stronger", "extra", "additional", "added":
		return 1
	case "less", "fewer", "lower", "lowered", "shorter", "earlier", "decreased", "decrease", "decreases", "decreasing", "fell", "fallen", "falling",
		"dropped", "drop", "drops", "below", "lose", "lost", "slower", "reduce", "reduced", "smaller":
		return -1
	}
	return 0
}

// upDown is direction for the two words that say as often where somebody is.
func upDown(word string) int {
	switch word {
	case "up":
		return 1
	case "down":
		return -1
	}
	return 0
}

// Phrases that only a judgement, a denial or another order of words needs.
var (
	judgement = regexp.MustCompile(`\b(?:better|best|worse|worst|improv\w*|worsen\w*|deteriorat\w*|healthier|unhealthier|too [a-z]|enough (?:sleep|rest|steps|energy)|plenty of)`)
	sameness  = regexp.MustCompile(`\b(?:unchanged|no change|no difference|nothing changed|not (?:change|differ)|the same as|(?:stayed|remained|was|were|is) the same\b)`)
	denial    = regexp.MustCompile(`\b(?:not|no|never|neither|nor|none|without|hardly|barely|rather than|instead of)\b|n't\b`)
	earlier   = regexp.MustCompile(`\b(?:before|previous|former|last (?:week|month|year)|yesterday)\b`)
	against   = regexp.MustCompile(`\b(?:compared|against|than|since|from|unlike)\b[a-z ]{0,20}\b(?:before|previous week|last week)\b`)
	changing  = regexp.MustCompile(`\b(?:chang|differ|vari|moved|shift)`)
	others    = regexp.MustCompile(`\bthan (?:most|many|other|others|usual|normal|average|ever|anyone|you would)\b|\bthan that of\b`)
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

// checkDirection holds words of direction against the changes that are cited: each
// against those that it is said of, all of which are to go the way it says. A denied
// direction, one told from the earlier week's side, and one beside anything but the
// week before cannot be held against any.
func checkDirection(in reading, cited []analysis.Fact) error {
	told := directions(in.text)
	for _, turn := range told {
		of := slices.DeleteFunc(slices.Clone(cited), func(f analysis.Fact) bool { return !turn.of(f) })
		meant := in.meant(turn.at, of)
		if len(meant) == 0 || slices.ContainsFunc(meant, func(f analysis.Fact) bool { return sign(f.Value) != turn.way }) {
			return errors.New("it tells a direction that the cited changes do not have")
		}
	}
	if len(told) == 0 {
		return nil
	}
	ahead := against.ReplaceAllString(in.text[:told[0].at], "")
	if denial.MatchString(in.text) || earlier.MatchString(ahead) || others.MatchString(in.text) {
		return errors.New("it turns a direction around")
	}
	return nil
}

// A turn is a word of direction in a text: where it stands, which way it says, and
// whether it is of when something was.
type turn struct {
	at, way int
	when    bool
}

// of says whether the turn can be of the fact: when something was of the middle of
// sleep alone, and nothing else of it.
func (t turn) of(f analysis.Fact) bool {
	metric, is := strings.CutPrefix(f.ID, changePrefix)
	return is && t.when == (metric == midpoint)
}

// directions are the words of direction in a text.
func directions(text string) (told []turn) {
	found := wordPattern.FindAllStringIndex(text, -1)
	word := func(i int) string {
		if i < 0 || i >= len(found) {
			return ""
		}
		return text[found[i][0]:found[i][1]]
	}
	for i, m := range found {
		way := direction(word(i))
		if d := upDown(word(i)); d != 0 && compares(word(i-1), word(i+1), text[m[1]:]) {
			way = d
		}
		switch {
		case way == 0, word(i+1) == "asleep", word(i) == "more" && word(i-1) == "once", word(i) == "added" && word(i+1) == "up": // fell asleep, once more
			continue
		case word(i) == "earlier" && word(i+1) == "week", word(i+1) == "in" && word(i+2) == "the" && word(i+3) != "week" && when(word(i)): // later in the night
			continue
		case slices.Contains([]string{"slowly", "quietly", "calmly", "seldom", "rarely"}, word(i+1)): // more slowly is less
			way = -way
		}
		told = append(told, turn{at: m[0], way: way, when: when(word(i))})
	}
	return told
}

// when says whether the word of direction is of when something was.
func when(word string) bool { return word == "later" || word == "earlier" }

// compares says whether "up" or "down" between these compares: "was down by 22 min" and
// "went up" do, "got up from bed" does not.
func compares(before, behind, rest string) bool {
	switch behind {
	case "by", "from", "on", "compared", "against", "since", "this":
		return !slices.Contains([]string{"get", "got", "getting", "wake", "woke", "waking", "stay", "stayed", "sat", "lay", "lie", "stood", "made"}, before)
	}
	rest = strings.TrimLeft(rest, " ")
	ends := rest == "" || strings.Trim(rest, ".!?,;:") == "" || rest[0] >= '0' && rest[0] <= '9' || strings.ContainsAny(rest[:1], ",;:")
	return (ends || behind == "and" || behind == "while") && slices.Contains([]string{"was", "were", "is", "are", "went", "goes", "gone", "moved", "min", "minutes", "hours", "steps", "both"}, before)
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
