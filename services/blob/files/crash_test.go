package files_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/internal/crashtest"
)

// content is what the object of a name holds: its size is part of the name.
func content(name string) []byte {
	var size int
	if _, err := fmt.Sscanf(name[strings.LastIndexByte(name, '/')+1:], "%d-", &size); err != nil {
		panic(err)
	}
	return bytes.Repeat([]byte(name+"\n"), size/len(name)+1)
}

// TestCrashChild puts and deletes until it is killed.
func TestCrashChild(t *testing.T) {
	dir, tell := crashtest.Child(t)
	s := open(t, dir)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d/%d/%d-%d", os.Getpid(), w, rand.IntN(200_000), i)
				generation, err := s.Put(context.Background(), name, content(name))
				if err != nil {
					t.Error(err)
					return
				}
				tell("put " + name)
				if i%4 == 0 {
					continue
				}
				tell("deleting " + name)
				if err := s.Delete(context.Background(), name, generation); err != nil {
					t.Error(err)
					return
				}
				tell("deleted " + name)
			}
		}()
	}
	time.Sleep(time.Minute)
}

func TestNoKillLosesWhatWasAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for some seconds")
	}
	dir := t.TempDir()
	state := map[string]string{}
	for round := range 8 {
		for _, line := range crashtest.Kill(t, "TestCrashChild", dir, 400*time.Millisecond) {
			if what, name, found := strings.Cut(line, " "); found && name != "" {
				state[name] = what
			}
		}
		s := open(t, dir)
		for name, what := range state {
			got, err := s.Get(context.Background(), name)
			switch {
			case what == "put" && err != nil, what == "deleted" && !errors.Is(err, blob.ErrNotFound):
				t.Fatalf("round %d: %s was %s; get: %v", round, name, what, err)
			case err == nil && !bytes.Equal(got, content(name)):
				t.Fatalf("round %d: %s holds other bytes", round, name)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d objects were acknowledged", len(state))
}

// BenchmarkPut has 16 callers put an object of 30 KB each, as ingress does.
func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	data := make([]byte, 30_057)
	b.ReportAllocs()
	b.SetParallelism(8) // times two processors
	start := cpu(b)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		r := rand.New(rand.NewPCG(rand.Uint64(), 0))
		for p.Next() {
			if _, err := s.Put(context.Background(), fmt.Sprintf("uploads/ab/%016x", r.Uint64()), data); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
}
