package blob

import (
	"fmt"
	"strings"
)

const maxNameBytes = 512

// CheckName returns ErrName where no object can have the name; see the package
// comment. The error does not repeat the name, which may hold a uid.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > maxNameBytes {
		return fmt.Errorf("%w: %d bytes", ErrName, len(name))
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%w: empty or relative segment", ErrName)
		}
		for i := range len(segment) {
			switch c := segment[i]; {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			case c == '.', c == '_', c == '=', c == '-':
			default:
				return fmt.Errorf("%w: byte %#x", ErrName, c)
			}
		}
	}
	return nil
}
