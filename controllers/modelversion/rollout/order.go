package rollout

import (
	"strings"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

// NewerFirst orders versions: the newest first, and of those of one second the higher
// version first.
func NewerFirst(a, b *v1alpha1.ModelVersion) int {
	if c := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); c != 0 {
		return c
	}
	if c := naturally(b.Spec.Version, a.Spec.Version); c != 0 {
		return c
	}
	return strings.Compare(b.Name, a.Name)
}

// naturally compares as people count: 2026.11.10 is after 2026.11.9.
func naturally(a, b string) int {
	for a != "" && b != "" {
		x, restA := chunk(a)
		y, restB := chunk(b)
		numeric := isDigit(x[0]) && isDigit(y[0])
		if numeric {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}

// chunk cuts the leading run of digits, or of anything else.
func chunk(s string) (first, rest string) {
	end := 1
	for end < len(s) && isDigit(s[end]) == isDigit(s[0]) {
		end++
	}
	return s[:end], s[end:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
