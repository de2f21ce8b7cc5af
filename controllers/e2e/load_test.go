package e2e

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mostUnderWay is how many requests of one model may wait for an answer at a
// time. Each holds a week of minutes several times over: this many take about
// 1.5 GB, and are what the steadiest model asks for in four seconds.
const mostUnderWay = 2000

// A load sends requests at a rate that does not wait for answers, until so many
// wait for theirs that another would only cost memory: that one is not sent.
type load struct {
	rate   int // requests a second
	most   int // under way at a time
	send   func(n int)
	unsent func(n int)
}

// run sends until the context ends, and waits for what is under way.
func (l load) run(ctx context.Context) {
	var sent sync.WaitGroup
	defer sent.Wait()
	free := make(chan struct{}, l.most)
	for began, n := time.Now(), 0; ; n++ {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(l.rate)))):
		case <-ctx.Done():
			return
		}
		select {
		case free <- struct{}{}:
			sent.Go(func() { defer func() { <-free }(); l.send(n) })
		default:
			l.unsent(n)
		}
	}
}

func TestALoadKeepsItsRateAndItsBound(t *testing.T) {
	for name, tt := range map[string]struct {
		takes        time.Duration // an answer
		sent, unsent int           // in ten seconds
		atATime      int
	}{
		"answers come at once":             {time.Millisecond, 100, 0, 1},
		"answers are slower than requests": {450 * time.Millisecond, 100, 0, 5},
		"there are as many as may be":      {790 * time.Millisecond, 100, 0, 8},
		"answers are too slow":             {1590 * time.Millisecond, 52, 48, 8},
		"nobody answers":                   {time.Hour, 8, 92, 8},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var sent, unsent, now, most int
				ctx, stop := context.WithTimeout(t.Context(), 9950*time.Millisecond)
				defer stop()
				load{rate: 10, most: 8, send: func(int) {
					mu.Lock()
					sent, now = sent+1, now+1
					most = max(most, now)
					mu.Unlock()
					time.Sleep(tt.takes)
					mu.Lock()
					now--
					mu.Unlock()
				}, unsent: func(int) { unsent++ }}.run(ctx)
				if sent != tt.sent || unsent != tt.unsent || most != tt.atATime || now != 0 {
					t.Errorf("%d sent, %d not, %d at a time, %d left under way; want %d, %d, %d, 0", sent, unsent, most, now, tt.sent, tt.unsent, tt.atATime)
				}
			})
		})
	}
}
