package reject

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The list holds each code that is declared, in their order.
func TestCodesAreAllThatAreDeclared(t *testing.T) {
	source, err := os.ReadFile("reject.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []Code
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Code = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, Code(m[1]))
	}
	if diff := cmp.Diff(want, Codes()); diff != "" || len(want) < 10 {
		t.Errorf("codes (-declared +listed):\n%s", diff)
	}
}
