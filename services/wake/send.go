package wake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/store"
)

// quotaPause is the least that a service is left alone that says it is asked too much.
const quotaPause = time.Minute

// A result is what came of waking a person's devices: what failed, and after how long the
// message comes again.
type result struct {
	after  time.Duration
	failed error
}

// wake wakes the devices that were not woken for an interval, and says when the others are.
// Whom it wakes is written first: whoever comes second finds them woken.
func (s *Stage) wake(ctx context.Context, due waking.Due, d queue.Delivery) (result, error) {
	standing, err := s.Store.Standing(ctx, due.UID)
	if err == nil {
		err = standing.Value.Permitted()
	}
	if err != nil {
		return result{}, err
	}
	found, err := s.Store.Devices.Get(ctx, due.UID, device.Key)
	if errors.Is(err, store.ErrNotFound) {
		return result{}, nil
	}
	if err != nil {
		return result{}, err
	}
	now, again := s.Now().UTC(), d.Attempt > 1
	if !again && waits(found.Value, now, s.Every) || again && found.Value.Next.IsZero() {
		s.metrics.count(outcomeSpared)
		return result{}, nil
	}
	claimed, ready := s.claim(found.Value, now)
	if len(ready) == 0 && claimed.Next.IsZero() { // there is none
		return result{}, nil
	}
	if _, err := s.Store.Batch(ctx, due.UID, s.Store.Devices.ToPut(device.Key, found.Version, claimed), s.Store.Under(standing)); err != nil {
		return result{}, err
	}
	came := s.send(ctx, ready, push.Wake{Kind: due.Kind, Last: fmt.Sprintf("%016x", due.Number)}, d.Failed+1)
	left, err := s.settle(ctx, due.UID, now, claimed, ready, came)
	if err != nil || left.IsZero() {
		return result{}, err
	}
	return result{after: min(max(left.Sub(now), time.Millisecond), longest), failed: came.failed}, nil
}

// claim is the devices with those woken now that were not for an interval, and these as
// they were. A time that is ahead is of a clock that was.
func (s *Stage) claim(d device.Devices, now time.Time) (claimed device.Devices, ready map[string]device.Device) {
	claimed, ready = device.Devices{All: maps.Clone(d.All)}, map[string]device.Device{}
	for id, one := range d.All {
		if until := one.Woken.Add(s.Every); now.Before(until) && !one.Woken.After(now) {
			if claimed.Next.IsZero() || until.Before(claimed.Next) {
				claimed.Next = until
			}
			continue
		}
		ready[id] = one
		one.Woken = now
		claimed.All[id] = one
	}
	return claimed, ready
}

// What came of messages: whose tokens are gone, whom to try again and after how long, and why.
type outcomes struct {
	gone, again []string
	after       time.Duration
	failed      error
}

// send sends each of the devices the wake.
func (s *Stage) send(ctx context.Context, ready map[string]device.Device, w push.Wake, attempt int) (came outcomes) {
	for id, one := range ready {
		err := s.Sender.Wake(ctx, one.Token, w)
		switch {
		case err == nil:
			s.metrics.count(outcomeWoken)
		case errors.Is(err, push.ErrGone):
			s.metrics.count(outcomeGone)
			came.gone = append(came.gone, id)
		case errors.Is(err, push.ErrRefused):
			s.metrics.count(outcomeRefused)
			s.Log.WarnContext(ctx, "wake is refused", append([]any{"stage", "wakes"}, fault.Attrs(err)...)...)
		default:
			s.metrics.count(outcomeFailed)
			came.again, came.failed = append(came.again, id), err
			came.after = max(came.after, patience.Backoff(attempt), push.After(err))
			if known := (*fault.Error)(nil); errors.As(err, &known) && known.Class == fault.Limit {
				came.after = max(came.after, quotaPause)
			}
		}
	}
	return came
}

// settle writes down what came of it, and returns when the message comes again; zero for
// never. What was registered anew meanwhile stays.
func (s *Stage) settle(ctx context.Context, uid string, now time.Time, claimed device.Devices, ready map[string]device.Device, came outcomes) (next time.Time, err error) {
	if len(came.gone)+len(came.again) == 0 {
		return claimed.Next, nil
	}
	for range tries {
		found, err := s.Store.Devices.Get(ctx, uid, device.Key)
		if errors.Is(err, store.ErrNotFound) {
			return next, nil
		}
		if err != nil {
			return next, err
		}
		after := found.Value
		for _, id := range came.gone {
			if after.All[id].Token == ready[id].Token {
				after = after.Without(id)
			}
		}
		for _, id := range came.again {
			if one := after.All[id]; one.Token == ready[id].Token && one.Woken.Equal(now) {
				one.Woken = ready[id].Woken
				after = after.With(id, one)
				after.Next = now.Add(came.after)
			}
		}
		_, err = s.Store.Devices.Put(ctx, uid, device.Key, found.Version, after)
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return after.Next, err
		}
	}
	return next, fmt.Errorf("write what became of devices: %w", store.ErrConflict)
}
