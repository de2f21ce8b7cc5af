package analyse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/trace"
)

// perTurn is how many days the windows of one turn span: what is read for them is
// in memory at once, and the next person's turn comes behind it.
const perTurn = 14

// Handle analyses a turn of a person's windows, the newest first, and takes them off
// the agenda. Where some are left the message comes again, behind what waits of
// others. It may come twice: what is done is not on the agenda any more.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var m flow.WindowsDue
	if err := json.Unmarshal(d.Body, &m); err != nil || m.UID == "" {
		return failures().Verdict(ctx, s.Log, d, fmt.Errorf("read request: %w", analysis.ErrUnreadable))
	}
	ctx, span := trace.Begin(ctx, "analyse")
	defer span.End("")
	started := s.Now()
	t, err := s.turn(ctx, m, d.Attempt > 1)
	if err == nil {
		s.Log.InfoContext(ctx, "analysed", "stage", "analyse", "attempt", d.Attempt, "windows", t.windows, "stored", t.stored, "left", t.left, "duration", s.Now().Sub(started))
	}
	if err == nil && t.left {
		return queue.Postpone(0, "the next windows have their turn")
	}
	return failures().Verdict(ctx, s.Log, d, err)
}

// A turn is what became of some of a person's windows.
type turn struct {
	windows, stored int
	left            bool // more are to be analysed
	changed         []flow.Changed
}

// tell notes what is told of the turn's windows together.
func (t *turn) tell(_ context.Context, c flow.Changed) error {
	t.changed = append(t.changed, c)
	return nil
}

func (s *Stage) turn(ctx context.Context, m flow.WindowsDue, again bool) (t turn, err error) {
	standing, err := s.Store.Standing(ctx, m.UID)
	if err == nil {
		err = standing.Value.Permitted()
	}
	if errors.Is(err, analysis.ErrNoConsent) {
		if held := s.Windows.Hold(ctx, m.UID, standing); held != nil {
			err = held
		}
		return t, err
	}
	if err == nil && m.End != nil {
		err = s.Windows.Ask(ctx, m.UID, *m.End)
	}
	if err != nil {
		return t, erasedError(err)
	}
	asked, err := s.Windows.Asked(ctx, m.UID)
	if err != nil {
		return t, erasedError(err)
	}
	ends := asked.Ends()
	var failed error
	for len(ends) > 0 && (t.windows == 0 || failed != nil) { // what cannot be done now stops no older window
		last := ends[0]
		n := slices.IndexFunc(ends, func(end health.Day) bool { return end <= last-perTurn })
		if n < 0 {
			n = len(ends)
		}
		done, err := s.windows(ctx, m.UID, ends[:n], asked, again || m.Asked > 1 || asked.Again(), &t)
		if len(done) > 0 {
			left, err := s.Windows.Done(ctx, m.UID, asked, done)
			if err != nil {
				return t, erasedError(err)
			}
			t.left = left
			s.tellWait(asked, done)
		}
		failed = errors.Join(failed, err)
		if err != nil && !ofOne(err) {
			break
		}
		ends = ends[n:]
	}
	return t, failed
}

// tellWait tells how long the newest window was waited for, once it is done: of a past
// that is read for the first time, or again, nobody looks at each week.
func (s *Stage) tellWait(asked due.Asked, done []health.Day) {
	now := s.Now()
	newest := asked.Ends()[0]
	recent := health.DayOf(health.InstantOf(now), time.UTC) - 1 // today, wherever
	if s.Waited == nil || newest < recent || !slices.Contains(done, newest) {
		return
	}
	s.Waited.Observe(max(0, now.Sub(asked.Since()).Seconds()))
}

// windows analyses windows whose days are read once for all of them, tells of those
// whose Result is another, and returns those that are done: for good, too, where a
// window cannot be read.
func (s *Stage) windows(ctx context.Context, uid string, ends []health.Day, asked due.Asked, again bool, t *turn) (done []health.Day, err error) {
	last := ends[0]
	if last == asked.Ends()[0] { // behind it is what nobody asked for
		_, last = analysis.Touching(last)
	}
	first := ends[len(ends)-1]
	d, err := s.read(ctx, uid, first, last, again)
	if err != nil {
		return nil, err
	}
	if err := s.askLater(ctx, d, ends[0]); err != nil {
		return nil, err
	}
	var failed error
	for _, end := range ends {
		t.windows++
		outcome, err := s.window(ctx, analysis.Request{UID: uid, End: end}, d, again, t.tell)
		if d.digested && errors.Is(err, blob.ErrNotFound) { // the digest is of a day as it was a while ago
			if d, err = s.read(ctx, uid, first, last, true); err != nil {
				return done, err
			}
			outcome, err = s.window(ctx, analysis.Request{UID: uid, End: end}, d, again, t.tell)
		}
		if outcome == Stored {
			t.stored++
		}
		if err == nil || errors.Is(err, analysis.ErrUnreadable) && !newer(err) {
			done = append(done, end)
		}
		failed = errors.Join(failed, err)
		if err != nil && !ofOne(err) {
			break
		}
	}
	if err := s.publish(ctx, uid, t.changed...); err != nil {
		return nil, errors.Join(failed, err)
	}
	t.changed = nil
	return done, failed
}

// askLater has the windows behind the end be analysed that have a Result which is not
// current. Who asked for windows up to today need not have known of them: it is
// tomorrow where another phone is, or by another process's clock. For the same reason
// they are asked for where nobody may have been told of the Result: who is slow, and
// was asked before, may have stored it since.
func (s *Stage) askLater(ctx context.Context, d *reading, end health.Day) error {
	var stale []health.Day
	recent := health.DayOf(health.InstantOf(s.Now()), time.UTC) - 1 // somewhere, or by a clock that is behind
	for _, key := range slices.Sorted(maps.Keys(d.results)) {
		r := d.results[key].Value.Result
		req := analysis.Request{UID: d.uid, End: r.Window.End}
		if req.End <= end {
			continue
		}
		f, err := s.findIn(ctx, req, d, false)
		if err != nil {
			return err
		}
		f.release()
		look := !f.current
		if f.current && req.End >= recent {
			if look, err = s.untold(ctx, req, r); err != nil {
				return err
			}
		}
		if look {
			stale = append(stale, req.End)
		}
	}
	return s.Windows.Ask(ctx, d.uid, stale...)
}

// window brings one window's Result up to date. One that is current is announced
// again where whoever stored it may have died before they told: no clock says that, as
// theirs may be another.
func (s *Stage) window(ctx context.Context, req analysis.Request, d *reading, again bool, tell teller) (Outcome, error) {
	f, err := s.findIn(ctx, req, d, false)
	if err != nil {
		return Kept, err
	}
	defer f.release()
	if f.current && !again {
		if again, err = s.untold(ctx, req, f.before.Value.Result); err != nil {
			return Kept, err
		}
	}
	outcome, _, err := s.refresh(ctx, req, f, Order{Again: again}, tell)
	return outcome, err
}

// ofOne says that an error is of one window and tells nothing of the next.
func ofOne(err error) bool {
	return errors.Is(err, analysis.ErrUnreadable) || Passing(err) || newer(err)
}

func newer(err error) bool {
	var e *fault.Error
	return errors.As(err, &e) && e.Class == fault.Newer
}
