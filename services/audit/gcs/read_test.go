package gcs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/internal/gcstest"
)

// A read that fails and may go well the next time is made again, a few times; a refusal is not.
func TestReadsAreTriedAgain(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	l, n := w.process(t), w.notary(t)
	l.flushed(t, 3)
	l.flushed(t, 3)
	n.signed(t)
	const entries = 6
	tests := map[string]struct {
		status, times int
		call          string
		passes        bool
		most          int // calls that fail
	}{
		"a read, a few times":    {http.StatusServiceUnavailable, 2, "read", true, 2},
		"a list, a few times":    {http.StatusInternalServerError, 2, "list", true, 2},
		"too many requests":      {http.StatusTooManyRequests, 1, "read", true, 1},
		"a connection that ends": {0, 1, "list", true, 1},
		"a read, every time":     {http.StatusBadGateway, 1000, "read", false, 3 * tries}, // of three objects, which are read ahead
		"no right":               {http.StatusForbidden, 1000, "read", false, 3},
		"who is it":              {http.StatusUnauthorized, 1000, "list", false, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			failed := 0
			d.stands(func(w http.ResponseWriter, _ *http.Request, call string) bool {
				mu.Lock()
				defer mu.Unlock()
				if call != tt.call || failed == tt.times {
					return false
				}
				failed++
				if tt.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(tt.status)
				return true
			})
			defer d.stands(nil)
			got, err := l.Verify(t.Context())
			if (err == nil) != tt.passes || tt.passes && got != entries || isBad(err) {
				t.Errorf("%d entries, %v", got, err)
			}
			if failed > tt.most {
				t.Errorf("%d calls failed, %d at most", failed, tt.most)
			}
		})
	}
}

// A log is opened though its bucket does not answer at first.
func TestABlipKeepsNoLogClosed(t *testing.T) {
	w, d := through(t, newWorld(t, gcstest.Start(t)))
	var failed atomic.Int32
	d.stands(func(w http.ResponseWriter, _ *http.Request, _ string) bool {
		is := failed.Add(1) <= 2
		if is {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return is
	})
	w.process(t).flushed(t, 1)
}

// Who goes waits for no other try.
func TestWhoGoesIsNotTriedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	began, tried := time.Now(), 0
	_, err := patiently(ctx, func(context.Context) (int, error) {
		tried++
		cancel()
		return 0, errors.New("no answer")
	})
	if err == nil || tried != 1 || time.Since(began) > time.Second {
		t.Errorf("%v after %d tries", err, tried)
	}
}

// However long the log is, the marks of writers of two days are held, and each writer is held
// against all of its own.
func TestMarksOfTwoDaysAreHeld(t *testing.T) {
	const days, writers, perDay = 365, 20, 24
	began := noon()
	var all errgroup.Group
	var mu sync.Mutex
	verified := map[string]int{}
	v := &verification{all: &all, marks: map[string][]mark{}, begun: map[string]bool{}, findings: map[string]error{},
		verify: func(name string, marks []mark) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			verified[name] += len(marks)
			if !slices.IsSortedFunc(marks, func(a, b mark) int { return int(a.size - b.size) }) {
				t.Errorf("%s: the marks are not in order", name)
			}
			return 1, nil
		}}
	name := func(day, i int) string {
		return fmt.Sprintf("%s-%016x", began.AddDate(0, 0, day).Format(nameTime), i)
	}
	most := 0
	for hour := range days * perDay {
		var signed []vouched
		for _, day := range []int{hour/perDay - 1, hour / perDay} { // who has ended is signed over and over
			for i := range writers {
				if day >= 0 {
					size := min(int64(hour-day*perDay)+1, perDay)
					signed = append(signed, vouched{Time: began.Add(time.Duration(hour) * time.Hour), Writer: name(day, i), Size: size, Closed: size == perDay})
				}
			}
		}
		v.see(signed)
		held := 0
		for _, marks := range v.marks {
			held += len(marks)
		}
		most = max(most, held)
	}
	v.rest([]string{name(0, 0), name(days, 7)})
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if most > 3*writers*perDay {
		t.Errorf("%d marks are held at a time, of %d", most, days*writers*perDay)
	}
	if len(verified) != days*writers+1 || v.entries != days*writers+1 || len(v.found()) > 0 {
		t.Errorf("%d writers are verified, of %d entries", len(verified), v.entries)
	}
	for day := range days {
		for i := range writers {
			if n := verified[name(day, i)]; n != perDay {
				t.Fatalf("day %d: a writer is held against %d marks, want %d", day, n, perDay)
			}
		}
	}
}

// What is signed of a writer when nobody would is held against it, too.
func TestAMarkThatComesLateCounts(t *testing.T) {
	w := newWorld(t, gcstest.Start(t))
	now := noon()
	w.now = func() time.Time { return now }
	l, n := w.process(t), w.notary(t)
	l.flushed(t, 2)
	n.signed(t)
	name := l.writer.chain.name
	now = now.Add(looksBack + 2*late)
	young := w.process(t)
	young.flushed(t, 1)
	n.signed(t)
	young.flushed(t, 1)
	n.follow(t.Context(), &outcome{})
	n.live[name] = n.stranger(name) // of a notary that is wrong
	n.live[name].signed = vouched{Writer: name, Size: 9}
	if err := n.sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sizes := l.vouchedFor(t, name); !slices.Contains(sizes, 9) {
		t.Fatalf("signed are %v", sizes)
	}
	got, err := l.Verify(t.Context())
	if !isBad(err) || got != 4 {
		t.Errorf("%d entries, %v", got, err)
	}
}
