package modelversion

import (
	"testing"

	"github.com/clarity-loop/clarity/api/v1alpha1"
)

func TestARolloutFromTheFirstVersionToTheSecond(t *testing.T) {
	w := newWorld(t)
	one := w.create(MakeVersion("1").Obj())
	w.until("1 is active", w.in(one, v1alpha1.StageActive))
	two := w.create(MakeVersion("2").Obj())
	w.until("2 is in the shadow", w.in(two, v1alpha1.StageShadow))
	w.until("2 is in canary", w.in(two, v1alpha1.StageCanary))
	w.until("2 is active", w.in(two, v1alpha1.StageActive))
	w.until("all are quiet", func() bool { return true })
	t.Log("\n" + w.table() + w.weights())
	for _, line := range w.seen.lines {
		t.Log(line)
	}
	t.Log(w.crash.Writes())
}
