package catalog

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// placeholder says whether a word stands where one was forgotten, in whatever
// the list was made with.
func placeholder(s string) bool {
	return slices.Contains([]string{"", "-", "?", "none", "null", "nil", "nan", "n/a", "na", "true", "false", "undefined", "unknown", "unnamed", "untitled",
		"tbd", "todo", "fixme", "xxx", "name", "display", "<nil>"}, strings.ToLower(strings.TrimSpace(s)))
}

// connecting are the words that a name may have beside those of the identifier.
func connecting() []string { return []string{"a", "in", "or", "environmental"} }

// wordsOf are the words of a name or, at its capitals, of an identifier.
func wordsOf(s string) string {
	split := regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(s, "$1 $2")
	words := strings.FieldsFunc(strings.ToLower(split), func(r rune) bool { return r == ' ' || r == ',' })
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(connecting(), w) })
	return strings.Join(words, "")
}

// A person is shown the words of HealthKit's identifier, never what stands for none.
func TestATypeIsCalledByTheWordsOfItsIdentifier(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Za-z0-9-]*(,? [A-Za-z0-9-]+)*$`)
	seen := map[string]string{}
	for _, kind := range All() {
		_, identifier, _ := strings.Cut(kind.Identifier, "TypeIdentifier")
		if placeholder(kind.Display) || !form.MatchString(kind.Display) {
			t.Errorf("%s is called %q", kind.Identifier, kind.Display)
		}
		if got, want := wordsOf(kind.Display), wordsOf(identifier); got != want {
			t.Errorf("%s is called %q: the words are %s, want %s", kind.Identifier, kind.Display, got, want)
		}
		if other, twice := seen[kind.Display]; twice {
			t.Errorf("%s and %s are both called %q", other, kind.Identifier, kind.Display)
		}
		seen[kind.Display] = kind.Identifier
	}
}

func TestNoUnitOrValueIsAPlaceholder(t *testing.T) {
	value := regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	for _, kind := range All() {
		if kind.Kind == Quantity && placeholder(kind.Unit) {
			t.Errorf("%s has the unit %q", kind.Identifier, kind.Unit)
		}
		if kind.LOINC != "" && placeholder(kind.LOINC) {
			t.Errorf("%s has the code %q", kind.Identifier, kind.LOINC)
		}
		if kind.units != nil {
			for _, u := range kind.units.units {
				if placeholder(u.name) {
					t.Errorf("%s has the spelling %q", kind.Identifier, u.name)
				}
			}
		}
		for i, v := range kind.Values {
			if v.Name != "none" && placeholder(v.Name) || !value.MatchString(v.Name) { // "none" is HealthKit's own: no flow
				t.Errorf("%s: %d is called %q", kind.Identifier, v.Code, v.Name)
			}
			if i > 0 && v.Code <= kind.Values[i-1].Code || slices.ContainsFunc(kind.Values[:i], func(o Value) bool { return o.Name == v.Name }) {
				t.Errorf("%s: %d %s is there twice, or out of order", kind.Identifier, v.Code, v.Name)
			}
		}
	}
}

func TestAPlaceholderIsFound(t *testing.T) {
	for _, s := range []string{"", "None", " none ", "NULL", "n/a", "TODO", "?"} {
		if !placeholder(s) {
			t.Errorf("%q is taken for a name", s)
		}
	}
	for _, s := range []string{"Step Count", "%", "m", "1", "55423-8"} {
		if placeholder(s) {
			t.Errorf("%q is taken for none", s)
		}
	}
	if wordsOf("RapidPoundingOrFlutteringHeartbeat") != wordsOf("Rapid, Pounding or Fluttering Heartbeat") || wordsOf("StepCount") == wordsOf("Step") {
		t.Error("words are not compared")
	}
}
