package pass

import (
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestTheSoonestWakeIsKept(t *testing.T) {
	var a Alarm
	for _, step := range []struct{ ask, want time.Duration }{
		{0, 0}, {-time.Second, 0}, {time.Minute, time.Minute}, {time.Hour, time.Minute}, {time.Second, time.Second}, {0, time.Second},
	} {
		if a.WakeIn(step.ask); a.Wake() != step.want {
			t.Errorf("after %v: wake %v, want %v", step.ask, a.Wake(), step.want)
		}
	}
}

func TestACacheThatIsBehindIsToldFromTrouble(t *testing.T) {
	jobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"none":              {nil, false},
		"stale":             {fmt.Errorf("serve %q: %w", "x", ErrStale), true},
		"a refused write":   {fmt.Errorf("patch: %w", apierrors.NewConflict(jobs, "x", nil)), true},
		"another's trouble": {errors.New("no answer"), false},
		"not found":         {apierrors.NewNotFound(jobs, "x"), false},
	} {
		if got := Behind(tt.err); got != tt.want {
			t.Errorf("%s: behind %v, want %v", name, got, tt.want)
		}
	}
}
