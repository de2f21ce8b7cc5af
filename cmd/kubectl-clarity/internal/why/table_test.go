package why

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apiReasons are the values of the constants of api/v1alpha1 whose names begin with Reason.
func apiReasons(t *testing.T) []string {
	t.Helper()
	var reasons []string
	for _, file := range []string{"modelversion_status.go", "modelversion_types.go", "analysisjob_types.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../../../../api/v1alpha1/"+file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
				return true
			}
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not a string", spec.Names[0].Name)
			}
			reason, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, reason)
			return true
		})
	}
	slices.Sort(reasons)
	return reasons
}

func TestEveryReasonHasARow(t *testing.T) {
	var rows []string
	for _, r := range slices.Concat(VersionRows(), JobRows()) {
		rows = append(rows, r.Reason)
	}
	slices.Sort(rows)
	if diff := cmp.Diff(apiReasons(t), rows); diff != "" {
		t.Errorf("the reasons of api/v1alpha1 (-) and the rows of the table (+) differ: say who acts and what to do:\n%s", diff)
	}
}

func TestARowSaysWhoAndWhat(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range slices.Concat(VersionRows(), JobRows(), ClusterRows()) {
		if seen[r.Reason] {
			t.Errorf("%s has two rows", r.Reason)
		}
		seen[r.Reason] = true
		switch r.Who {
		case Nobody:
		case PlatformEngineer, MLEngineer, Autoscaler, Kueue:
			if r.Do == "" {
				t.Errorf("%s says that %s acts, and not what they do", r.Reason, r.Who)
			}
		default:
			t.Errorf("%s names %q, who is nobody we know", r.Reason, r.Who)
		}
		if r.Means == "" || strings.HasSuffix(r.Means, ".") || strings.HasSuffix(r.Do, ".") {
			t.Errorf("%s: means %q, do %q: a clause each, without a full stop", r.Reason, r.Means, r.Do)
		}
		if strings.Count(r.Do, "`")%2 != 0 {
			t.Errorf("%s: a command in %q does not end", r.Reason, r.Do)
		}
	}
}
