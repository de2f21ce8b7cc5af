package cmd_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/internal/emulated"
)

var (
	troubleKills = flag.Int("trouble.kills", 3, "how often TestTroubles kills each binary")
	troubleStop  = flag.Duration("trouble.stop", 5*time.Second, "for how long it stops each process")
	troubleCut   = flag.Duration("trouble.cut", 4*time.Second, "for how long a line is in trouble")
	troubleDown  = flag.Duration("trouble.down", 5*time.Second, "for how long a peer is away")
	troubleEvery = flag.Bool("trouble.every", false, "each trouble of each line, not each once")
	troublePace  = flag.Duration("trouble.pace", 200*time.Millisecond, "between two uploads of a phone")
	troubleSeed  = flag.Uint64("trouble.seed", 0, "seed of the moments at which TestTroubles kills; 0 takes the time")
)

// peers are whom the platform speaks to.
func peers() []string {
	return []string{emulated.Firestore, emulated.PubSub, emulated.Storage, emulated.KMS, emulated.Auth, emulated.Gemini}
}

// TestTroubles has phones upload, delete and listen while processes of the platform are
// killed and stopped, and what they speak to is stopped, slow, narrow, half open and away.
// Nobody lends a hand. Afterwards everything acked is there, once, as on a platform that
// nothing befell; nobody was told anything twice; nothing is dead.
func TestTroubles(t *testing.T) {
	if os.Getenv("CLARITY_CLOUD") == "" {
		t.Skip("needs emulators that take minutes to build: make test-cloud")
	}
	bin := binaries(t)
	worlds := map[string]func(t *testing.T, w *troubled){"kills": kills, "stops": stops, "cuts": cuts}
	if *troubleEvery {
		for _, peer := range peers() {
			worlds["away "+peer] = func(t *testing.T, w *troubled) { w.cut(t, peer, "down", *troubleDown) }
		}
	}
	for name, befalls := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTroubled(t, bin)
			w.recovered(t, "the start")
			befalls(t, w)
			w.settles(t)
		})
	}
}

// kills ends each binary again and again by SIGKILL, one process at a time.
func kills(t *testing.T, w *troubled) {
	seed := *troubleSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%d kills of each binary, -trouble.seed=%d", *troubleKills, seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for kill := range *troubleKills {
		for _, name := range []string{emulated.Ingress, emulated.Worker, emulated.Insights} {
			before := w.acked.Load()
			time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
			for w.acked.Load() == before && kill%3 == 0 && !t.Failed() { // be sure that something was acked since the last
				time.Sleep(time.Millisecond)
			}
			one := w.platform.Replicas(name)[kill%replicas]
			if err := one.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := one.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.recovered(t, "the kills")
}

// stops halts each process for a while: what we speak to, and one of each of our binaries.
func stops(t *testing.T, w *troubled) {
	processes := map[string]*os.Process{}
	for _, name := range peers() {
		processes[name] = w.Process(name)
	}
	for _, name := range []string{emulated.Ingress, emulated.Worker, emulated.Insights} {
		one := w.platform.Replicas(name)[0]
		processes[one.Name] = one.Process()
	}
	for name, p := range processes {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(*troubleStop)
		if err := p.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		w.recovered(t, "a stop of "+name)
	}
}

// cuts has each line be in each trouble, or each trouble befall one line.
func cuts(t *testing.T, w *troubled) {
	for i, trouble := range emulated.Troubles() {
		for j, peer := range peers() {
			switch {
			case !*troubleEvery && j != i, *troubleEvery && trouble == "down": // which has a world of its own
			default:
				w.cut(t, peer, trouble, *troubleCut)
			}
		}
	}
}

func (w *troubled) cut(t *testing.T, peer, trouble string, lasts time.Duration) {
	t.Helper()
	if err := w.Trouble(t.Context(), peer, trouble); err != nil {
		t.Fatal(err)
	}
	time.Sleep(lasts)
	if err := w.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.recovered(t, fmt.Sprintf("%s of %s", trouble, peer))
}

// recovered waits until each phone has an ack of what it sent since, and says how long
// that took.
func (w *troubled) recovered(t *testing.T, from string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began, before := time.Now(), w.counts()
	for !t.Failed() {
		now := w.counts()
		if grown(before, now, 2) {
			w.slowest = max(w.slowest, time.Since(began))
			t.Logf("%s: every phone goes on after %s", from, time.Since(began).Round(10*time.Millisecond))
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("two minutes after %s: phones had %v acked, and have %v", from, before, now)
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.FailNow()
}

// grown says whether each number has by so much: the upload that was on its way when
// something ended, and the next.
func grown(before, now []int, by int) bool {
	for i := range now {
		if now[i] < before[i]+by {
			return false
		}
	}
	return true
}
