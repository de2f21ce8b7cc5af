package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarity-loop/clarity/services/queue"
)

// BenchmarkThrough has 8 publishers and one receiver of 8 hands; an operation is
// one message published, delivered and acked.
func BenchmarkThrough(b *testing.B) {
	q := open(b, b.TempDir(), time.Now)
	defer q.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	start := cpu(b)
	b.ResetTimer()
	var left sync.WaitGroup
	left.Add(b.N)
	done := make(chan error, 1)
	go func() {
		done <- q.Receive(ctx, queue.Subscription{Topic: topic, Name: name, Concurrency: 8}, func(context.Context, queue.Delivery) queue.Verdict {
			left.Done()
			return queue.Ack()
		})
	}()
	for p := range 8 {
		go func() {
			for i := p; i < b.N; i += 8 {
				m := queue.Message{Topic: "uploads", Key: fmt.Sprintf("user-%d", i%1000), Body: []byte(`{"uid":"user-1","uploadId":"0192f0c1-7c1e-7d6a-9b1a-000000000000"}`)}
				if err := q.Publish(context.Background(), m); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	left.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}

// cpu is the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
