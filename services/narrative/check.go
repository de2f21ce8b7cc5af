package narrative

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// The bounds of a text.
const (
	MaxSentences = 5
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
	RuleForm       Rule = "form"       // empty, cut, too long, markup, another script
	RuleCitation   Rule = "citation"   // cites a fact there is not
	RuleNumber     Rule = "number"     // a number that is none of the facts cited
	RuleDirection  Rule = "direction"  // says more or less where no fact does, or judges
	RuleMedical    Rule = "medical"    // a diagnosis, drug, dose, cure or advice to act on one
	RuleAdvice     Rule = "advice"     // what to do, or what somebody could, may or will
	RuleVocabulary Rule = "vocabulary" // a word that a text about a week does not need
)

// Check holds a text against the facts it was given: every number in it must be
// one of the facts its sentence cites, within the rounding it is written with, in
// a unit the fact has and in a clause that names what it is of; words of direction
// must agree with the changes that are cited, clause by clause; nothing may sound
// like a diagnosis, a treatment or advice; and every word must be of a written
// vocabulary. It returns a *CheckError for the first sentence that fails. What
// passes may still be dull or odd. That a sentence without numbers is true nobody checks.
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
	if len(claim.Facts) > len(facts) {
		return RuleCitation, errors.New("more facts are cited than were given")
	}
	cited := make([]analysis.Fact, 0, len(claim.Facts))
	for _, id := range claim.Facts {
		f, there := facts[id]
		if !there {
			return RuleCitation, errors.New("a fact is cited that was not given")
		}
		cited = append(cited, f)
	}
	text := plain(claim.Text)
	in := readingOf(figures(text))
	for _, c := range []struct {
		rule Rule
		err  error
	}{
		{RuleDirection, checkJudgement(text)}, {RuleNumber, checkNumbers(in, cited)}, {RuleDirection, checkDirection(in, cited)},
		{RuleMedical, checkMedical(text)}, {RuleAdvice, checkAdvice(text)}, {RuleVocabulary, checkVocabulary(text)},
	} {
		if c.err != nil {
			return c.rule, c.err
		}
	}
	return "", nil
}

// typographic are the characters beyond ASCII that may be in a text, and what
// they are read as.
func typographic() []string {
	return []string{"‘", "'", "’", "'", "“", "\"", "”", "\"", "–", "-", "—", "-", "…", ".", "é", "e"}
}

// Where another sentence begins; a half of the day is written with dots, too.
var (
	another  = regexp.MustCompile(`[.!?…]["'”’)]* +\S`)
	halfDays = regexp.MustCompile(`\b[apAP]\.[mM]\.`)
)

func checkForm(text string) error {
	trimmed := strings.TrimRight(text, "\"'”’)")
	switch {
	case strings.TrimSpace(text) == "":
		return errors.New("it is empty")
	case len(text) > MaxSentence:
		return fmt.Errorf("it is longer than %d bytes", MaxSentence)
	case strings.ContainsAny(text, "<>{}[]`|\\*_#@$^&="):
		return errors.New("it holds markup")
	case strings.Contains(text, "://") || strings.Contains(text, "www."):
		return errors.New("it holds a link")
	case !strings.HasSuffix(trimmed, ".") && !strings.HasSuffix(trimmed, "!") && !strings.HasSuffix(trimmed, "?") && !strings.HasSuffix(trimmed, "…"):
		return errors.New("it has no end")
	}
	if another.MatchString(halfDays.ReplaceAllString(trimmed, "")) {
		return errors.New("it holds more than one sentence")
	}
	for _, r := range text {
		if (r > '~' || r < ' ') && !slices.Contains(typographic(), string(r)) {
			return errors.New("it holds characters beyond plain English")
		}
	}
	return nil
}

// plain is the text as every rule reads it: ASCII in lower case, a byte a
// character. The digits of names are no number: a name with digits leaves its letters
// where it is a word of the vocabulary without them, and else a blank.
func plain(text string) string {
	text = strings.NewReplacer(typographic()...).Replace(text)
	text = namesWithDigits.ReplaceAllStringFunc(text, func(name string) string {
		if name == "SpO2" {
			return "spo "
		}
		return strings.Repeat(" ", len(name))
	})
	return strings.ToLower(text)
}
