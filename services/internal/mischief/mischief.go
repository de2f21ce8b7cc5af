// Package mischief is what the hostile drivers of the suites share: what happens
// at a call is thrown with dice, which fall as a seed has them fall.
package mischief

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"maps"
	"sync"
	"time"
)

// ErrAway is why a call of a hostile driver did not happen.
var ErrAway = errors.New("the backend is away")

// Options say how hostile a driver is.
type Options struct {
	Seed uint64
	// Worst is the share of the calls at which something happens, 0 to 1.
	Worst float64
	Now   func() time.Time
	// Late is the longest that an answer waits. 0: none does.
	Late time.Duration
}

// Dice fall by the seed and by how often they were thrown for a call of that
// name before, and not by what runs beside it: a run can be repeated.
type Dice struct {
	Options

	mu    sync.Mutex
	calls map[call]uint64
	done  map[string]int // what happened, and how often
	away  bool
}

// A call is what throws are counted by.
type call struct{ what, name string }

// New is dice that were never thrown.
func New(o Options) *Dice { return &Dice{Options: o, calls: map[call]uint64{}, done: map[string]int{}} }

// Away has every call fail until it is back.
func (d *Dice) Away(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

// Happened is how often what happened, by its name.
func (d *Dice) Happened() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.done)
}

// Before is what comes before a call: its answer is late, or it does not happen,
// with the context's error or ErrAway.
func (d *Dice) Before(ctx context.Context, what, name string) error {
	d.Wait(ctx, name)
	d.mu.Lock()
	away := d.away
	d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if away || d.Falls(what+" away", name) {
		return ErrAway
	}
	return nil
}

// Wait has an answer be late, or not.
func (d *Dice) Wait(ctx context.Context, name string) {
	if d.Late <= 0 || !d.Falls("late", name) {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(d.roll("how late", name) * float64(d.Late))):
	}
}

// Falls says whether what may happen does; it is counted.
func (d *Dice) Falls(what, name string) bool {
	if d.Worst <= 0 || d.roll(what, name) >= d.Worst {
		return false
	}
	d.Count(what)
	return true
}

// Draw is 0 where nothing happens, else which of so many things does.
func (d *Dice) Draw(what, name string, things int) int {
	if d.Worst <= 0 {
		return 0
	}
	r := d.roll(what, name)
	if r >= d.Worst {
		return 0
	}
	return 1 + int(r/d.Worst*float64(things))
}

// Count says that something happened.
func (d *Dice) Count(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done[what]++
}

// Among is a number from 0 to below n.
func (d *Dice) Among(what, name string, n int) int { return int(d.roll(what, name) * float64(n)) }

// roll is a number from 0 to 1: the seed's, for this call.
func (d *Dice) roll(what, name string) float64 {
	d.mu.Lock()
	n := d.calls[call{what, name}]
	d.calls[call{what, name}]++
	d.mu.Unlock()
	sum := fnv.New64a()
	_ = binary.Write(sum, binary.LittleEndian, []uint64{d.Seed, n})
	_, _ = sum.Write([]byte(what + "\x00" + name))
	x := sum.Sum64()
	x ^= x >> 33 // the hash's last byte has hardly reached its upper bits
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
