package narrative

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

var (
	// presuming is what only who knows or wants something of a person says to them.
	presuming = regexp.MustCompile(`\b(?:could|may|might|will|would|shall)\b|\byou (?:can|want|like)\b|'ll\b|\b(?:have|has|had) to\b|` +
		`\b(?:let us|let's|make sure|be sure)\b|\b(?:is|are) going to\b`)
	// opening is where a sentence begins, or what follows a break of it.
	opening = regexp.MustCompile(`(?:^|[,;:] |- )["'(]*(?:(?:so|then|now|please|just|also|simply|always|never|instead|and|but),? )*([a-z]+(?:'[a-z]+)?)(?: ([a-z]+))?`)
)

// orders are verbs that tell somebody what to do where they stand first. Those of the
// other list are nouns too: it depends on what follows.
func orders() []string {
	return []string{"ask", "be", "become", "believe", "breathe", "bring", "call", "charge", "come", "compare", "continue", "do", "don't", "drink", "eat", "enjoy", "expect",
		"explain", "feel", "find", "follow", "forget", "get", "give", "go", "have", "hope", "ignore", "join", "keep", "know", "learn", "leave", "let", "lie", "listen", "make",
		"mention", "notice", "put", "read", "relax", "remember", "repeat", "say", "see", "send", "settle", "sit", "speak", "spend", "stand", "stay", "take", "tell", "think",
		"trust", "try", "turn", "wear", "write", "add", "adjust", "meet", "understand", "use", "wake", "forgive"}
}

func orderly() []string {
	return []string{"sleep", "walk", "rest", "work", "run", "exercise", "train", "count", "move", "share", "start", "stop", "begin", "end", "look", "name", "note", "set", "show",
		"change", "play", "nap", "watch", "step", "cook", "shop", "visit", "plan", "talk", "call", "swim", "ride", "dance", "climb", "travel", "burn", "reach", "point", "place", "hold"}
}

// told are words behind one of orderly that make it a noun.
func told() []string {
	return []string{"", "was", "were", "is", "are", "came", "took", "lasted", "began", "ended", "made", "stages", "time", "times", "efficiency", "latency", "and", "of", "in",
		"varied", "changed", "moved", "followed", "fell", "rose", "grew", "went", "had", "shows", "showed", "counted", "data", "at", "a"}
}

// checkAdvice refuses what tells a person what to do, or what they will, may or want to.
func checkAdvice(text string) error {
	if presuming.MatchString(text) {
		return errors.New("it speaks of what a person could or will do")
	}
	for _, m := range opening.FindAllStringSubmatch(text, -1) {
		first, next := m[1], m[2]
		if slices.Contains(orders(), first) || slices.Contains(orderly(), first) && !slices.Contains(told(), next) && !strings.HasSuffix(next, "ed") {
			return errors.New("it tells the person what to do")
		}
	}
	return nil
}
