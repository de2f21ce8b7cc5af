package keyringtest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

const lag = 10 * time.Second

// A clock is set by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func hostile(t *testing.T, seed uint64, worst float64) (*keyringtest.HostileKeyring, *clock) {
	t.Helper()
	k, err := tink.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)}
	o := keyringtest.Options{Lag: lag}
	o.Seed, o.Worst, o.Now = seed, worst, c.now
	return keyringtest.Hostile(k, o), c
}

// A driver to which nothing happens is the driver: it passes the suite.
func TestACalmHostileDriverKeepsTheContract(t *testing.T) {
	keyringtest.Run(t, func(t *testing.T) func() keyring.Keyring {
		dir := t.TempDir()
		return func() keyring.Keyring {
			k, err := tink.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			var o keyringtest.Options
			o.Now = time.Now
			return keyringtest.Hostile(k, o)
		}
	})
}

// trace has two replicas seal, open, destroy and renew, and tells what came of it.
func trace(t *testing.T, seed uint64) (lines []string, happened map[string]int) {
	t.Helper()
	first, c := hostile(t, seed, 0.3)
	second := first.Replica(seed + 1)
	ctx := t.Context()
	happened = map[string]int{}
	for i := range 60 {
		uid := fmt.Sprint("person-", i)
		sealed, err := second.Seal(ctx, uid, "n", []byte("before"))
		lines = append(lines, fmt.Sprint(i, " sealed ", err))
		destroyed := first.Destroy(ctx, uid)
		lines = append(lines, fmt.Sprint(i, " destroyed ", destroyed))
		for range 4 {
			text, opened := second.Open(ctx, uid, "n", sealed)
			late, again := second.Seal(ctx, uid, "m", []byte("late"))
			lines = append(lines, fmt.Sprint(i, " ", opened, again))
			if err == nil && opened == nil && string(text) != "before" {
				t.Fatalf("%d: opened something else", i)
			}
			if _, err := first.Open(ctx, uid, "m", late); destroyed == nil && again == nil && err == nil {
				t.Fatalf("%d: what was sealed with a dead key opens", i)
			}
		}
		c.at = c.at.Add(lag)
		if _, err := second.Seal(ctx, uid, "n", nil); destroyed == nil && err == nil {
			t.Fatalf("%d: sealed when Lag was over", i)
		}
		lines = append(lines, fmt.Sprint(i, " renewed ", first.Renew(ctx, uid, 1)))
		for range 3 {
			_, err := second.Seal(ctx, uid, "n", nil)
			lines = append(lines, fmt.Sprint(i, " sealed ", err))
		}
	}
	for _, h := range []*keyringtest.HostileKeyring{first, second} {
		for what, n := range h.Happened() {
			happened[what] += n
		}
	}
	return lines, happened
}

func TestAHostileDriverKeepsEveryWord(t *testing.T) {
	all := map[string]int{}
	for seed := range uint64(5) {
		_, happened := trace(t, 10*seed)
		for what, n := range happened {
			all[what] += n
		}
	}
	for _, what := range []string{"seal away", "open away", "destroy away", "renew away", "sealed and failed", "destroyed and failed", "renewed and failed",
		"sealed with a dead key", "opened with a dead key", "refused who has come back"} {
		if all[what] < 10 {
			t.Errorf("%q happened %d times: the driver is not as bad as it may be", what, all[what])
		}
	}
}

func TestASeedIsARun(t *testing.T) {
	first, _ := trace(t, 7)
	again, _ := trace(t, 7)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	if other, _ := trace(t, 8); slices.Equal(first, other) {
		t.Error("another seed is the same run")
	}
}

func TestADriverThatIsAway(t *testing.T) {
	h, _ := hostile(t, 1, 0)
	h.Away(true)
	if _, err := h.Seal(t.Context(), "anna", "n", nil); err == nil || errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("seal: %v", err)
	}
	h.Away(false)
	if _, err := h.Seal(t.Context(), "anna", "n", nil); err != nil {
		t.Errorf("back again: %v", err)
	}
}

// Over a driver that fails before and behind what it does, a rotation comes to its end
// by being said again, and everything opens.
func TestARotationOverAHostileDriver(t *testing.T) {
	happened := 0
	for seed := range uint64(4) {
		h, _ := hostile(t, seed, 0.3)
		calm := h.Replica(seed)
		calm.Worst = 0
		sealed := map[string][]byte{}
		for i := range 60 {
			uid := fmt.Sprint("person-", i)
			c, err := calm.Seal(t.Context(), uid, "n", []byte(uid))
			if err != nil {
				t.Fatal(err)
			}
			sealed[uid] = c
		}
		insist := func(do func() error) {
			t.Helper()
			for range 100 {
				if do() == nil {
					return
				}
				happened++
			}
			t.Fatal("it does not come to an end")
		}
		insist(func() error { return h.RotateKEK(t.Context()) })
		for cursor, done := "", false; !done; {
			insist(func() error {
				p, err := h.Rewrap(t.Context(), cursor)
				if err == nil {
					cursor, done = p.Cursor, p.Cursor == ""
				}
				return err
			})
		}
		if c, err := calm.Census(t.Context()); err != nil || c.KEKs != 1 || c.Older != 0 {
			t.Errorf("%+v, %v", c, err)
		}
		for uid, c := range sealed {
			if got, err := calm.Open(t.Context(), uid, "n", c); err != nil || string(got) != uid {
				t.Errorf("%q, %v", got, err)
			}
		}
	}
	if happened < 4 {
		t.Errorf("it failed %d times: the driver is not as bad as it may be", happened)
	}
}
