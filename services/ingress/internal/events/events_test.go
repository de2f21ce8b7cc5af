package events_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// ids reads n events' ids.
func ids(t *testing.T, lines <-chan string, n int) (got []string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for len(got) < n {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the stream ended after %v", got)
			}
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				got = append(got, id)
			}
		case <-timeout:
			t.Fatalf("got %v, want %d events", got, n)
		}
	}
	return got
}

func TestEventsAreFollowedAndResumed(t *testing.T) {
	w := ingresstest.New(t)
	w.Deliver("anna", 1)
	w.Deliver("anna", 2)
	w.Deliver("ben", 9)
	now, end := w.Stream(ingresstest.Anna, "")
	time.Sleep(50 * time.Millisecond) // begun: what is older is not sent
	w.Deliver("anna", 3)
	if diff := cmp.Diff([]string{"0000000000000003"}, ids(t, now, 1)); diff != "" {
		t.Errorf("a stream without Last-Event-ID (-want +got):\n%s", diff)
	}
	end()
	w.Deliver("anna", 4)
	resumed, end := w.Stream(ingresstest.Anna, "0000000000000001")
	defer end()
	if diff := cmp.Diff([]string{"0000000000000002", "0000000000000003", "0000000000000004"}, ids(t, resumed, 3)); diff != "" {
		t.Errorf("behind event 1 (-want +got):\n%s", diff)
	}
	for n := 5; n < 305; n++ {
		w.Deliver("anna", n)
	}
	got := ids(t, resumed, 300)
	if got[0] != "0000000000000005" || got[299] != "0000000000000130" {
		t.Errorf("300 events came as %s to %s", got[0], got[299])
	}
	bens, end := w.Stream(ingresstest.Ben, "0000000000000000")
	defer end()
	if got := ids(t, bens, 1); got[0] != "0000000000000009" {
		t.Errorf("ingresstest.Ben was given %v", got)
	}
}

func TestAStreamOutlivesTheWriteTimeoutAndShowsSignsOfLife(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.WriteTimeout, d.Limits.Heartbeat, d.Limits.HandlerTimeout = 200*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	})
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	time.Sleep(700 * time.Millisecond)
	w.Deliver("anna", 1)
	ids(t, lines, 1)
}

func TestStreamsAreBoundedAndEnd(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) {
		d.Limits.StreamsPerUser, d.Limits.StreamLifetime, d.Limits.Heartbeat = 2, 400*time.Millisecond, 20*time.Millisecond
	})
	first, _ := w.Stream(ingresstest.Anna, "")
	_, closeSecond := w.Stream(ingresstest.Anna, "")
	if r := w.Do("GET", "/v1/events", ingresstest.Anna, nil); r.Status != 429 || !strings.Contains(string(r.Body), "streams") {
		t.Errorf("the third stream: %d %s", r.Status, r.Body)
	}
	closeSecond()
	_, closeBens := w.Stream(ingresstest.Ben, "")
	closeBens()
	start := time.Now()
	for range first {
	}
	if lasted := time.Since(start); lasted > 20*time.Second {
		t.Errorf("the stream lasted %s beyond its lifetime", lasted)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		r := w.Do("GET", "/v1/events", ingresstest.Anna, nil)
		if r.Status == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ended streams still hold their places: %d %s", r.Status, r.Body)
		}
	}
}

func TestShutdownEndsStreamsAtOnce(t *testing.T) {
	w := ingresstest.New(t)
	lines, _ := w.Stream(ingresstest.Anna, "")
	<-lines
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.Server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for range lines {
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}

func TestAStreamThatCannotBeOpened(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.StreamsPerUser = 1 })
	for _, what := range []string{"tail events", "list events", "tail deliveries", "list deliveries"} {
		w.Break(what)
	}
	for range 2 { // and gives its place back
		if r := w.Do("GET", "/v1/events", ingresstest.Anna, nil); r.Status != 500 || strings.Contains(string(r.Body), "disk") {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	w.Mend()
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	<-lines
}

// A person who is erased is told nothing more: their stream ends by itself.
func TestAnErasureEndsTheStream(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.Heartbeat = 20 * time.Millisecond })
	lines, end := w.Stream(ingresstest.Anna, "")
	defer end()
	<-lines
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	timeout := time.After(time.Minute)
	for {
		select {
		case _, open := <-lines:
			if !open {
				return
			}
		case <-timeout:
			t.Fatal("the stream goes on")
		}
	}
}
