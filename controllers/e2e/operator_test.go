package e2e

import (
	"maps"
	"testing"
	"time"
)

// scenarios are what the operator is put through, all at once. Each has its own jobs and models.
func scenarios() map[string]func(*testing.T, *system) {
	all := map[string]func(*testing.T, *system){
		"an analysis of one subject":              oneSubject,
		"a cohort adds up":                        aCohortAddsUp,
		"a cancelled job stops":                   aCancelledJobStops,
		"a deadline ends a job":                   aDeadlineEndsAJob,
		"a job that does not start in time fails": aJobThatDoesNotStartInTimeFails,
		"a queue decides when a job starts":       aQueueDecidesWhenAJobStarts,
		"a deleted job leaves nothing":            aDeletedJobLeavesNothing,

		"a rollout":                          aRollout,
		"a rollback by delete":               aRollbackByDelete,
		"a rollback by abort":                aRollbackByAbort,
		"a version in the middle of another": aVersionInTheMiddleOfAnother,
		"an analysis with a model":           anAnalysisWithAModel,
	}
	maps.Copy(all, badVersions())
	return all
}

func TestOperator(t *testing.T) {
	if *scale {
		t.Skip("this run measures")
	}
	s := start(t)
	t.Run("scenarios", func(t *testing.T) {
		for name, play := range scenarios() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				play(t, s)
			})
		}
	})
	for _, next := range []struct {
		name string
		play func(*testing.T, *system)
	}{
		{"no request is lost", noRequestIsLost},
		{"Prometheus is down", prometheusIsDown},
		{"an upgrade restarts nothing", anUpgradeRestartsNothing},
	} {
		t.Run(next.name, func(t *testing.T) { next.play(t, s) })
	}
	s.isQuiet(t, 5*time.Second)
	s.watch.check(t)
}

// isQuiet is invariant 10: once nothing happens, nothing is written.
func (s *system) isQuiet(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(5 * time.Second) // what was under way
	since := time.Now()
	time.Sleep(d)
	writes, err := s.writes(since)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range writes {
		t.Errorf("a write in a quiet system: %s %s", w.what(), w.ObjectRef.Name)
	}
}
