package ingress

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record"
)

// stream opens the person's events; lines come on the channel until it ends.
func (w *world) stream(token, lastID string) (lines <-chan string, closeStream func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/v1/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	client := &http.Client{Transport: w.client.Transport}
	res, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("stream: %d %v", res.StatusCode, res.Header)
	}
	out := make(chan string, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			out <- s.Text()
		}
	}()
	return out, cancel
}

func (w *world) deliver(uid string, n int) {
	w.t.Helper()
	_, err := w.store.Events.Put(w.t.Context(), uid, fmt.Sprintf("%016x", n), 0, record.Event{Kind: flow.ResultStored, Ref: fmt.Sprintf("ref-%d", n), Version: "v", At: time.Unix(int64(n), 0)})
	if err != nil {
		w.t.Fatal(err)
	}
}

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
	w := newWorld(t)
	w.deliver("anna", 1)
	w.deliver("anna", 2)
	w.deliver("ben", 9)
	now, end := w.stream(anna, "")
	time.Sleep(50 * time.Millisecond) // begun: what is older is not sent
	w.deliver("anna", 3)
	if diff := cmp.Diff([]string{"0000000000000003"}, ids(t, now, 1)); diff != "" {
		t.Errorf("a stream without Last-Event-ID (-want +got):\n%s", diff)
	}
	end()
	w.deliver("anna", 4)
	resumed, end := w.stream(anna, "0000000000000001")
	defer end()
	if diff := cmp.Diff([]string{"0000000000000002", "0000000000000003", "0000000000000004"}, ids(t, resumed, 3)); diff != "" {
		t.Errorf("behind event 1 (-want +got):\n%s", diff)
	}
	for n := 5; n < 305; n++ {
		w.deliver("anna", n)
	}
	got := ids(t, resumed, 300)
	if got[0] != "0000000000000005" || got[299] != "0000000000000130" {
		t.Errorf("300 events came as %s to %s", got[0], got[299])
	}
	bens, end := w.stream(ben, "0000000000000000")
	defer end()
	if got := ids(t, bens, 1); got[0] != "0000000000000009" {
		t.Errorf("ben was given %v", got)
	}
}

func TestAStreamOutlivesTheWriteTimeoutAndShowsSignsOfLife(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Limits.WriteTimeout, d.Limits.Heartbeat, d.Limits.HandlerTimeout = 200*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond
	})
	lines, end := w.stream(anna, "")
	defer end()
	time.Sleep(700 * time.Millisecond)
	w.deliver("anna", 1)
	ids(t, lines, 1)
}

func TestStreamsAreBoundedAndEnd(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Limits.StreamsPerUser, d.Limits.StreamLifetime, d.Limits.Heartbeat = 2, 400*time.Millisecond, 20*time.Millisecond
	})
	first, _ := w.stream(anna, "")
	_, closeSecond := w.stream(anna, "")
	if r := w.do("GET", "/v1/events", anna, nil); r.status != 429 || !strings.Contains(string(r.body), "streams") {
		t.Errorf("the third stream: %d %s", r.status, r.body)
	}
	closeSecond()
	_, closeBens := w.stream(ben, "")
	closeBens()
	start := time.Now()
	for range first {
	}
	if lasted := time.Since(start); lasted > 20*time.Second {
		t.Errorf("the stream lasted %s beyond its lifetime", lasted)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		r := w.do("GET", "/v1/events", anna, nil)
		if r.status == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ended streams still hold their places: %d %s", r.status, r.body)
		}
	}
}

func TestShutdownEndsStreamsAtOnce(t *testing.T) {
	w := newWorld(t)
	lines, _ := w.stream(anna, "")
	<-lines
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	for range lines {
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("shutdown took %s", took)
	}
}
