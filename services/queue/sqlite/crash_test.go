package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/internal/crashtest"
	"github.com/clarity-loop/clarity/services/queue"
)

// TestCrashChild publishes and handles until it is killed.
func TestCrashChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	q := open(t, dir, time.Now)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", os.Getpid(), w)
				if err := q.Publish(background, queue.Message{Topic: topic, Key: key, Body: []byte(strconv.Itoa(i))}); err != nil {
					t.Error(err)
					return
				}
				tell(fmt.Sprintf("published %s %d", key, i))
			}
		}()
	}
	_ = q.Receive(background, queue.Subscription{Topic: topic, Name: name, Concurrency: 4, MaxAttempts: 1000}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		tell(fmt.Sprintf("handled %s %s", d.Key, d.Body))
		return queue.Ack()
	})
}

// Every message acknowledged to its publisher is handled, those of one key in
// order: a kill may repeat the last one of a key, and skips none.
func TestNoKillLosesWhatWasAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	dir := t.TempDir()
	published, handled := map[string]int{}, map[string]int{}
	take := func(line string) {
		f := strings.Fields(line)
		if len(f) != 3 {
			return // the line was cut
		}
		n, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		if f[0] == "published" {
			published[f[1]] = n + 1
			return
		}
		if next, seen := handled[f[1]]; n != next && (!seen || n != next-1) {
			t.Fatalf("message %d of key %s is handled after %d", n, f[1], next-1)
		}
		handled[f[1]] = n + 1
	}
	for range 8 {
		for _, line := range crashtest.Kill(t, "TestCrashChild", dir, 400*time.Millisecond) {
			take(line)
		}
	}
	q := open(t, dir, time.Now)
	defer q.Close()
	var mu sync.Mutex
	stop := receive(q, queue.Subscription{Topic: topic, Name: name, Concurrency: 4, MaxAttempts: 1000}, func(_ context.Context, d queue.Delivery) queue.Verdict {
		mu.Lock()
		defer mu.Unlock()
		take(fmt.Sprintf("handled %s %s", d.Key, d.Body))
		return queue.Ack()
	})
	for deadline := time.Now().Add(60 * time.Second); depth(t, q) != (queue.Depth{}) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d := depth(t, q); d != (queue.Depth{}) {
		t.Fatalf("in the end: %+v", d)
	}
	var total int
	for key, n := range published {
		if handled[key] < n {
			t.Errorf("%d messages of key %s were acknowledged, %d handled", n, key, handled[key])
		}
		total += n
	}
	t.Logf("%d messages were acknowledged", total)
}
