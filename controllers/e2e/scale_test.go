package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/hack/cluster/kube"
)

// TestScale measures; docs/operations/performance.md has the figures and the goals.
func TestScale(t *testing.T) {
	if !*scale {
		t.Skip("`make bench-operator` measures")
	}
	s := start(t)
	writesUntilRunning(t, s, 200)
	manyJobs(t, s, *many)
}

// writesUntilRunning counts what a job costs until its shard runs.
func writesUntilRunning(t *testing.T, s *system, jobs int) {
	t.Helper()
	began := time.Now()
	for i := range jobs {
		job := analysis(fmt.Sprintf("running-%d", i), 1)
		s.roles.play(job.Name, runs)
		s.create(t, job)
	}
	for i := range jobs {
		s.becomes(t, fmt.Sprintf("running-%d", i), v1alpha1.StateRunning)
	}
	time.Sleep(3 * time.Second)
	writes, err := s.writes(began)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, w := range writes {
		kinds[w.what()]++
	}
	t.Logf("writes a job until it runs: %.2f (%v of %d jobs)", float64(len(writes))/float64(jobs), kinds, jobs)
	if _, err := s.kubectl("delete", "ajob", "--all"); err != nil {
		t.Fatal(err)
	}
}

// manyJobs creates jobs as fast as the API server takes them.
func manyJobs(t *testing.T, s *system, jobs int) {
	t.Helper()
	began := time.Now()
	s.createMany(t, jobs)
	created := time.Since(began)
	var last time.Time
	eventually(t, 10*time.Minute, "every job has its Job", func() bool {
		time.Sleep(time.Second)
		writes, err := s.writes(began)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		for _, w := range writes {
			if w.what() == "create jobs" {
				n, last = n+1, w.At
			}
		}
		return n >= jobs
	})
	t.Logf("%d AnalysisJobs created in %.1f s, %.0f/s", jobs, created.Seconds(), float64(jobs)/created.Seconds())
	t.Logf("their Jobs were there %.1f s after the first: %.0f jobs/s through the operator", last.Sub(began).Seconds(), float64(jobs)/last.Sub(began).Seconds())
	eventually(t, 20*time.Minute, "every job has ended", func() bool {
		time.Sleep(2 * time.Second)
		return s.watch.ends() >= jobs
	})
	t.Logf("all had ended after %.0f s", time.Since(began).Seconds())
	writes, err := s.writes(began)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes a job from creation to its end: %.2f", float64(len(writes))/float64(jobs))
	time.Sleep(15 * time.Second) // what is left to do afterwards
	p := managerProcess(t)
	quiet := time.Now()
	before := p.cpu(t)
	time.Sleep(60 * time.Second)
	t.Logf("with %d ended: %.4f core, %s resident, %s at the most", jobs, (p.cpu(t)-before).Seconds()/60, p.memory(t, "VmRSS"), p.memory(t, "VmHWM"))
	writes, err = s.writes(quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes in 60 quiet seconds: %d", len(writes))
	if heap, err := get(t.Context(), ports.pprof, "/debug/pprof/heap"); err == nil {
		_ = os.WriteFile(filepath.Join(os.TempDir(), "manager.heap"), []byte(heap), 0o600)
	}
	s.watch.check(t)
}

// createMany creates jobs of one shard each from 32 connections.
func (s *system) createMany(t *testing.T, jobs int) {
	t.Helper()
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := range numbers {
				job := analysis(fmt.Sprintf("many-%05d", i), 1)
				if err := s.live.Create(context.Background(), job); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range jobs {
		numbers <- i
	}
	close(numbers)
	workers.Wait()
}

// process is the manager's, as the kernel sees it.
type process struct{ pid int }

func managerProcess(t *testing.T) process {
	t.Helper()
	for _, p := range kube.Processes(cluster.Started().Folder) {
		if p.Name == "manager" && p.Alive() {
			return process{p.PID}
		}
	}
	t.Fatal("the manager does not run")
	return process{}
}

func (p process) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// cpu is the time it has used; a tick of the kernel is 10 ms.
func (p process) cpu(t *testing.T) time.Duration {
	t.Helper()
	_, after, _ := strings.Cut(p.read(t, "stat"), ") ")
	fields := strings.Fields(after)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (p process) memory(t *testing.T, field string) string {
	t.Helper()
	for line := range strings.Lines(p.read(t, "status")) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			kib, _ := strconv.Atoi(strings.Fields(value)[0])
			return fmt.Sprintf("%.0f MiB", float64(kib)/1024)
		}
	}
	return "unknown"
}
