package platform_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
)

// runs is what becomes of a platform whose one stage runs so: when each run began, until
// it is told to stop or ends.
func runs(t *testing.T, lasts time.Duration, log *slog.Logger, run func(ctx context.Context, n int) error, beside func(p *platform.Platform, ready func(context.Context) error)) (began []time.Duration, err error) {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	var ready func(context.Context) error
	table := []platform.Stage{{Name: "s", Build: func(_ context.Context, p platform.Parts) ([]platform.Runner, error) {
		ready = p.Ready
		return []platform.Runner{{Name: "uploads for intake", Run: func(ctx context.Context) error {
			mu.Lock()
			began = append(began, time.Since(start))
			n := len(began)
			mu.Unlock()
			return run(ctx, n)
		}}, {Name: "other", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}}, nil
	}}}
	e := env()
	e.Log = log
	p, err := platform.Open(t.Context(), config("s"), drivers(&diary{}, nil), table, e)
	if err != nil {
		t.Fatal(err)
	}
	if beside != nil {
		beside(p, ready)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	err = p.Run(ctx)
	mu.Lock()
	defer mu.Unlock()
	return began, err
}

// A stage that fails is begun again, ever more rarely, and the others go on; the process is
// not ready until it has run for a while, and what it failed for is told without a name.
func TestAStageThatFailsIsBegunAgain(t *testing.T) {
	const s = time.Second
	synctest.Test(t, func(t *testing.T) {
		log := &syncedBuffer{}
		var mu sync.Mutex
		var unready []time.Duration
		start := time.Now()
		began, err := runs(t, 40*s, slog.New(slog.NewTextHandler(log, nil)), func(ctx context.Context, n int) error {
			if n <= 4 {
				return queue.Fault("receive", errors.New("anna's subscription is gone"))
			}
			<-ctx.Done()
			return ctx.Err()
		}, func(_ *platform.Platform, ready func(context.Context) error) {
			for at := time.Duration(0); at < 39*s; at += s {
				time.AfterFunc(at+s/2, func() {
					mu.Lock()
					defer mu.Unlock()
					if ready(context.Background()) != nil {
						unready = append(unready, time.Since(start))
					}
				})
			}
		})
		if err != nil {
			t.Error(err)
		}
		if want := []time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1400 * time.Millisecond, 3 * s}; fmt.Sprint(began) != fmt.Sprint(want) {
			t.Errorf("it began %v, want %v", began, want)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(unready) != 13 || unready[12] != 12*s+s/2 { // from half a second on, until it has run for ten
			t.Errorf("not ready: %v", unready)
		}
		text := log.String()
		if strings.Count(text, "a stage has failed and is begun again") != 4 || !strings.Contains(text, `stage="uploads for intake"`) || !strings.Contains(text, "class=unavailable") || strings.Contains(text, "anna") {
			t.Errorf("the log:\n%s", text)
		}
	})
}

// One that fails every time is tried every half minute, and one that ran for long begins anew.
func TestHowOftenAStageIsBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, err := runs(t, 10*time.Minute, silent(), func(context.Context, int) error { return errors.New("away") }, nil)
		if err != nil || len(began) < 20 || len(began) > 30 {
			t.Errorf("%d times in ten minutes, %v", len(began), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began, err := runs(t, 61*time.Second, silent(), func(context.Context, int) error { time.Sleep(20 * time.Second); return errors.New("away") }, nil)
		if err != nil || len(began) != 4 || began[3] != 3*(20*time.Second+200*time.Millisecond) {
			t.Errorf("it began %v, %v", began, err)
		}
	})
}

// What cannot heal ends the process.
func TestWhatCannotHealEndsTheProcess(t *testing.T) {
	newer := &fault.Error{Room: "store", Op: "open", Class: fault.Newer}
	tests := map[string]struct {
		err  error
		ends bool
	}{
		"a later release wrote it": {fmt.Errorf("receive uploads: %w", newer), true},
		"the queue is closed":      {queue.Fault("receive", queue.ErrClosed), true},
		"nobody configured it":     {queue.ErrNoSubscription, true},
		"a listener that is gone":  {net.ErrClosed, true},
		"away":                     {&fault.Error{Room: "queue", Op: "receive", Class: fault.Unavailable}, false},
		"damaged":                  {&fault.Error{Room: "queue", Op: "receive", Class: fault.Broken}, false},
		"what nobody knows":        {errors.New("odd"), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := runs(t, time.Minute, silent(), func(context.Context, int) error { return tt.err }, nil)
				if ended := time.Since(start) < time.Minute; ended != tt.ends || tt.ends != errors.Is(err, tt.err) {
					t.Errorf("it ends: %v, %v", ended, err)
				}
			})
		})
	}
}

// How often a stage failed is counted, and that it is down measured.
func TestStagesThatFailAreMeasured(t *testing.T) {
	c := config("s")
	c.Listen.Admin = "127.0.0.1:0"
	failed := make(chan struct{}, 100)
	p, err := platform.Open(t.Context(), c, drivers(&diary{}, nil), []platform.Stage{{Name: "s", Build: func(context.Context, platform.Parts) ([]platform.Runner, error) {
		return []platform.Runner{{Name: "s", Run: func(context.Context) error { failed <- struct{}{}; return errors.New("away") }}}, nil
	}}}, env())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	<-failed
	<-failed
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(p.AdminURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	text := string(body)
	for _, want := range []string{`clarity_stage_failures_total{stage="s"}`, `clarity_stage_down{stage="s"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
