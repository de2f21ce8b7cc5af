package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module writes a module of one package and goes there.
func module(t *testing.T, code, test string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/house\n\ngo 1.26\n", "house.go": "package house\n" + code, "house_test.go": "package house\n\nimport \"testing\"\n" + test,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// lines runs the tool and returns what it says of mutants that live, without
// positions and sorted, and the row of the package.
func lines(t *testing.T, args ...string) (living []string, row string, err error) {
	t.Helper()
	var out strings.Builder
	err = run(t.Context(), append(args, "./..."), &out)
	t.Log(out.String())
	for line := range strings.Lines(out.String()) {
		if _, what, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(line, "house.go:") {
			living = append(living, strings.TrimSpace(what))
		}
		if strings.HasSuffix(strings.TrimSpace(line), "example.com/house") {
			row = strings.Join(strings.Fields(line), " ")
		}
	}
	slices.Sort(living)
	return living, row, err
}

func TestMutantsThatNoTestNoticesAreTold(t *testing.T) {
	tests := map[string]struct {
		code, test string
		living     []string
		row        string
	}{
		"a boundary that is not tested": {
			`func Adult(age int) bool { return age >= 18 }`,
			`func TestAdult(t *testing.T) { if Adult(17) || !Adult(30) { t.Fatal() } }`,
			[]string{"lives: 18 + 1", "lives: age >= 18: >= becomes >"},
			"33.3 % 3 1 0 0 example.com/house",
		},
		"a boundary that is": {
			`func Adult(age int) bool { return age >= 18 }`,
			`func TestAdult(t *testing.T) { if Adult(17) || !Adult(18) { t.Fatal() } }`,
			nil, "100.0 % 3 3 0 0 example.com/house",
		},
		"a side of a condition and what need not be evaluated": {
			`func Set(p *int) bool { return p != nil && *p != 0 }`,
			`func TestSet(t *testing.T) { zero := 0; if Set(nil) || Set(&zero) { t.Fatal() } }`,
			nil, "100.0 % 4 4 0 0 example.com/house",
		},
		"a statement, an error and a result": {
			"import \"errors\"\nvar calls int\nfunc Call(v float64) (float64, error) {\n\tcalls++\n\tif v < 0 {\n\t\treturn 0, errors.New(\"negative\")\n\t}\n\treturn -v * 2, nil\n}",
			`func TestCall(t *testing.T) { if v, err := Call(2); v != -4 || err != nil { t.Fatal() }; Call(-1) }`,
			[]string{"lives: 0 + 1", "lives: removed: calls++", `lives: the error is lost: errors.New("negative")`, "lives: v < 0: < becomes <="},
			"50.0 % 8 4 0 0 example.com/house",
		},
		"what no test calls": {
			"func Used(a, b int) int { return a ^ b }\nfunc Unused(a, b uint) uint { return a << b }",
			`func TestUsed(t *testing.T) { if Used(6, 3) != 5 { t.Fatal() } }`,
			[]string{"no test comes by: a << b: << becomes >>"},
			"50.0 % 2 1 0 1 example.com/house",
		},
		"a loop that does not end is noticed": {
			"func Count(n int) (c int) {\n\tfor c < n {\n\t\tc++\n\t}\n\treturn c\n}",
			`func TestCount(t *testing.T) { if Count(3) != 3 || Count(-1) != 0 { t.Fatal() } }`,
			nil, "100.0 % 3 3 1 0 example.com/house",
		},
		"what does not compile is no mutant": {
			"type answer bool\nfunc Same(a, b int) answer { return a == b }\nfunc Sum(a, b int) int { return a + b }",
			`func TestSame(t *testing.T) { if !Same(1, 1) || Same(1, 2) || Sum(1, 2) != 3 { t.Fatal() } }`,
			nil, "100.0 % 1 1 0 0 example.com/house",
		},
		"texts, types and constants of the package stay": {
			"const limit = 3\nvar table = [limit]int{1: 7}\nfunc Name(s string) string { return s + \"!\" }\nfunc Seven() int { return table[1] }",
			`func TestName(t *testing.T) { if Name("a") != "a!" || Seven() != 7 { t.Fatal() } }`,
			nil, "100.0 % 1 1 0 0 example.com/house",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			module(t, tt.code, tt.test)
			living, row, err := lines(t, "-patience", "300ms")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.living, living); diff != "" {
				t.Errorf("living mutants (-want +got):\n%s", diff)
			}
			if row != tt.row {
				t.Errorf("row %q, want %q", row, tt.row)
			}
		})
	}
}

func TestATestThatIsSkippedNoticesNothing(t *testing.T) {
	module(t, `func One() int { return 1 }`, "func TestOne(t *testing.T) { if One() != 1 { t.Fatal() } }\nfunc TestTwo(t *testing.T) { One() }")
	for skip, want := range map[string]string{"Two": "100.0 % 1 1 0 0 example.com/house", "One": "0.0 % 1 0 0 0 example.com/house"} {
		if _, row, err := lines(t, "-skip", skip); err != nil || row != want {
			t.Errorf("without %s: %q, %v; want %q", skip, row, err, want)
		}
	}
}

func TestAScoreBelowTheLeastIsAnError(t *testing.T) {
	module(t, `func Adult(age int) bool { return age >= 18 }`, `func TestAdult(t *testing.T) { if Adult(17) { t.Fatal() } }`)
	for least, low := range map[string]bool{"33": false, "34": true} {
		if _, _, err := lines(t, "-least", least); (err != nil) != low {
			t.Errorf("least %s: %v", least, err)
		}
	}
}

func TestATestThatFailsIsToldAndNotCounted(t *testing.T) {
	module(t, `func One() int { return 1 }`, `func TestOne(t *testing.T) { One(); t.Fatal("broken") }`)
	if _, _, err := lines(t); err == nil || !strings.Contains(err.Error(), "no test that passes") {
		t.Errorf("got %v", err)
	}
}

func TestUsageIsRefused(t *testing.T) {
	for name, args := range map[string][]string{"no packages": nil, "no regular expression": {"-files", "(", "."}, "none of tests": {"-skip", "(", "."}, "no such flag": {"-nothing"}} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), args, &strings.Builder{}); err == nil {
				t.Error("it ran")
			}
		})
	}
}

// Every operator does without a mutant what it did before: the test has the same
// expressions, which nobody rewrites.
func TestTheRewrittenCodeDoesTheSame(t *testing.T) {
	code := map[string]string{
		"+": "a + b", "-": "a - b", "*": "a * b", "/": "a / b", "%": "a % b", "&": "a & b", "|": "a | b", "^": "a ^ b", "&^": "a &^ b",
		"<<": "a << b", ">>": "a >> b", "unary": "-a + b", "nested": "(a+b)*(a-b)<<1 | a%b",
		"conditions": "count(a < b, a <= b, a > b, a >= b, a == b, a != b, !(a < b), a < b && b < 9 || a == 7)",
	}
	var functions, cases strings.Builder
	for i, name := range slices.Sorted(maps.Keys(code)) {
		letter := string(rune('A' + i))
		functions.WriteString("func " + letter + "(a, b int) int { return " + code[name] + " }\n")
		cases.WriteString("\tif got, want := " + letter + "(a, b), (" + code[name] + "); got != want { t.Errorf(\"" + name + " of %d, %d: %d, want %d\", a, b, got, want) }\n")
	}
	cases.WriteString("\t}\n}\n")
	functions.WriteString("var count = func(list ...bool) (n int) {\n\tfor i, b := range list {\n\t\tif b {\n\t\t\tn |= 1 << i\n\t\t}\n\t}\n\treturn n\n}\n")
	module(t, functions.String(), "func TestAll(t *testing.T) {\n\tfor _, pair := range [][2]int{{7, 3}, {3, 7}, {5, 5}, {12, 2}, {8, 9}, {1, 8}} {\n\ta, b := pair[0], pair[1]\n"+cases.String())
	living, row, err := lines(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(living) > 0 || !strings.HasPrefix(row, "100.0 %") {
		t.Errorf("%s: %q", row, living)
	}
}
