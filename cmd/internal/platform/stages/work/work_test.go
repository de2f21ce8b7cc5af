package work_test

import (
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/work"
)

func TestWhatCannotFailIsClosed(t *testing.T) {
	closed := 0
	if err := work.Closing(func() { closed++ }).Close(); err != nil || closed != 1 {
		t.Errorf("closed %d times, %v", closed, err)
	}
}
