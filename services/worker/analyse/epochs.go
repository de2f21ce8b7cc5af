package analyse

import "github.com/clarity-loop/clarity/services/actigraphy"

// Epochs are the minute epochs that Compute makes of a window's samples: what
// an actogram draws.
func Epochs(in Input) actigraphy.Recording {
	rec, _ := newWindow(in).recording()
	return rec
}
