package analysis_test

import (
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
)

// A window reads a day if and only if the day touches the window.
func TestWhatAWindowReadsTouchesIt(t *testing.T) {
	const end = health.Day(20_000)
	req := analysis.Request{UID: "anna", End: end}
	first, last := req.Reads()
	if first != end-7 || last != end+1 || req.Start() != end-6 {
		t.Errorf("the window of %d begins on %d and reads %d to %d", end, req.Start(), first, last)
	}
	for day := end - 20; day <= end+20; day++ {
		from, to := analysis.Touching(day)
		if reads, touches := first <= day && day <= last, from <= end && end <= to; reads != touches {
			t.Errorf("day %d: read %t, touching %t", day, reads, touches)
		}
	}
}

func TestADayOfAnotherAgeMakesNoWindow(t *testing.T) {
	for date, want := range map[string]bool{"1900-01-01": false, "1999-12-31": false, "2000-01-01": true, "2026-11-20": true} {
		day, err := health.ParseDay(date)
		if err != nil {
			t.Fatal(err)
		}
		if first, last := analysis.Touching(day); (first <= last) != want {
			t.Errorf("%s: windows end from %s to %s", date, first, last)
		}
	}
}

func TestWeeksBesideAWindow(t *testing.T) {
	req := analysis.Request{UID: "anna", End: 20_000}
	if got := req.Weeks(-2); got != (analysis.Request{UID: "anna", End: 19_986}) {
		t.Errorf("two weeks before: %+v", got)
	}
	if got := req.Weeks(1); got.Start() != req.End+1 {
		t.Errorf("the week after begins on %d", got.Start())
	}
	if got := req.ID(); got != "anna/2024-10-04" {
		t.Errorf("ID %q", got)
	}
}
