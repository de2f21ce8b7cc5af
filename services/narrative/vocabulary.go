package narrative

import (
	_ "embed" // the vocabulary is a file
	"errors"
	"regexp"
	"strings"
	"sync"
)

//go:embed vocabulary.txt
var vocabularyFile string

// vocabulary is the set of words in the file.
var vocabulary = sync.OnceValue(func() map[string]bool { //nolint:gochecknoglobals // read once
	words := make(map[string]bool, 1200)
	for line := range strings.Lines(vocabularyFile) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.Fields(line) {
			words[w] = true
		}
	}
	return words
})

var wordPattern = regexp.MustCompile(`[a-z]+(?:'[a-z]+)?`)

// namesWithDigits may stand in a text: their digits are part of a name.
var namesWithDigits = regexp.MustCompile(`\b(?:SpO2|L5|M10)\b`)

// checkVocabulary refuses every word that is not known to be harmless. A list
// of what is harmful never ends: new drugs, rare conditions, other languages,
// words taken apart.
func checkVocabulary(text string) error {
	for _, w := range wordPattern.FindAllString(text, -1) {
		if !plainWord(w) {
			return errors.New("it holds a word that a text about a week does not need")
		}
	}
	return nil
}

// plainWord reports whether the word, or what is left of it without an ending,
// is in the vocabulary.
func plainWord(word string) bool {
	known := vocabulary()
	if _, is := numberWord(word); is || known[word] {
		return true
	}
	word = strings.TrimSuffix(word, "'s")
	if known[word] {
		return true
	}
	for _, e := range []struct{ ending, instead string }{
		{"ies", "y"}, {"es", ""}, {"s", ""}, {"ied", "y"}, {"ed", ""}, {"d", ""}, {"ing", ""}, {"ing", "e"}, {"ily", "y"}, {"ly", ""},
	} {
		stem, cut := strings.CutSuffix(word, e.ending)
		if !cut || len(stem) < 3 {
			continue
		}
		if known[stem+e.instead] {
			return true
		}
		if last := len(stem) - 1; (e.ending == "ed" || e.ending == "ing") && stem[last] == stem[last-1] && known[stem[:last]] {
			return true
		}
	}
	return false
}
