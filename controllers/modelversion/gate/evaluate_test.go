package gate

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// Bounds are decimals: 57 times a hundredth is less than 0.57 in binary, and must not fail it.
func TestANumberThatIsItsBoundPasses(t *testing.T) {
	for text, number := range map[string]string{
		"0.57": "0.57", "570m": "0.57", "0.3": "0.3", "1e-3": "0.001", "57e-2": "0.57", "123456789": "123456789", "1Ki": "1024", "0.29": "0.29",
	} {
		value, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		q := resource.MustParse(text)
		for _, g := range []v1alpha1.Gate{{Max: &q}, {Min: &q}} {
			if a := evaluateGate(g, "it", value); a.Verdict != v1alpha1.VerdictPass {
				t.Errorf("%s against the bound %s: %s", number, text, a.Message)
			}
		}
		if a := evaluateGate(v1alpha1.Gate{Max: &q}, "it", value*(1+1e-15)+1e-300); a.Verdict != v1alpha1.VerdictFail {
			t.Errorf("just above the bound %s: %+v", text, a)
		}
	}
}

func TestValuesFitTheStatus(t *testing.T) {
	for _, v := range []float64{0, -1.7976931348623157e308, 5e-324, -0.000123456789, 1.0 / 3, 123456789012} {
		if s := short(v); len(s) > 24 {
			t.Errorf("%g is written %q, %d bytes", v, s, len(s))
		}
	}
}

func TestMessagesAreOneBoundedLine(t *testing.T) {
	got := bound("a\nb\xff " + strings.Repeat("ä", 500))
	if len(got) > maxMessage+3 || strings.Contains(got, "\n") || !utf8.ValidString(got) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}
