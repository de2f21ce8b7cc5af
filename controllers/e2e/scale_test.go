package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/internal/kubelab/kube"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/triton/tritontest"
)

// TestScale measures; docs/operations/performance.md has the figures and the goals.
func TestScale(t *testing.T) {
	if !*scale {
		t.Skip("`make bench-operator` measures")
	}
	s := start(t)
	writesUntilRunning(t, s, 200)
	manyModels(t, s, 50, 5)
	manyJobs(t, s, *many)
	s.watch.check(t)
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
	if err := s.live.DeleteAllOf(t.Context(), &v1alpha1.AnalysisJob{}, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the jobs are gone", func() bool { return len(s.pods()) == 0 })
}

// manyModels applies one version after another of every model, all models at
// once, and then starts the operator anew in the middle of them.
func manyModels(t *testing.T, s *system, models, versions int) {
	t.Helper()
	b, err := tritontest.NewBundle("many", 1)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for v := range versions {
		wave := time.Now()
		for m := range models {
			s.create(t, simulated(fmt.Sprintf("model-%02d", m), fmt.Sprintf("v%d", v+1), b))
		}
		eventually(t, 10*time.Minute, "every model serves it", func() bool {
			return s.watch.serving(fmt.Sprintf("v%d", v+1)) == models
		})
		t.Logf("version %d of %d models serves after %.1f s, 2 s of it at its one step", v+1, models, time.Since(wave).Seconds())
	}
	t.Logf("%d versions of %d models each: %.0f s, %s resident", versions, models, time.Since(began).Seconds(), managerProcess(t).memory(t, "VmRSS"))
	time.Sleep(10 * time.Second) // the version before is put away
	if err := kube.StopOne(cluster.Started().Folder, "manager", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	again := time.Now()
	if err := s.runManager(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a new operator is ready after %.1f s", time.Since(again).Seconds())
	s.idles(t, again)
}

// simulated is a version whose servers and checks nobody plays: they go well.
func simulated(name, version string, b *bundle.Bundle) *v1alpha1.ModelVersion {
	digest := "sha256:" + strings.Repeat("0", 64)
	return &v1alpha1.ModelVersion{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-" + version, Namespace: namespace},
		Spec: v1alpha1.ModelVersionSpec{
			Model: name, Version: version, Contract: contractOf(b),
			Artifact:   v1alpha1.Artifact{URI: "gs://models/" + name + "/" + version, Digest: digest},
			Serving:    v1alpha1.Serving{Class: "gpu-l4", Replicas: v1alpha1.Replicas{Min: 1, Max: 1}},
			Validation: v1alpha1.Validation{GoldenSet: v1alpha1.Artifact{URI: "gs://models/golden", Digest: digest}},
			Rollout: v1alpha1.Rollout{
				KeepWarm: &metav1.Duration{},
				Steps:    []v1alpha1.Step{{Weight: 50, MinDuration: &metav1.Duration{Duration: 2 * time.Second}}},
			},
		},
	}
}

// manyJobs creates jobs as fast as the API server takes them. Until each has its
// Job, nobody but the operator acts on them: what is measured is the operator on
// a cluster of many cores, not how two cores share themselves among a whole
// cluster. Then the cluster runs them all.
func manyJobs(t *testing.T, s *system, jobs int) {
	t.Helper()
	others := []string{"kube-controller-manager", "kube-scheduler", "kwok"}
	for _, name := range others {
		if err := kube.Pause(cluster.Started().Folder, name); err != nil {
			t.Fatal(err)
		}
	}
	p, owned := managerProcess(t), s.watch.owned()
	began, before := time.Now(), spent(t)
	s.createMany(t, jobs)
	created := time.Since(began)
	t.Logf("%d AnalysisJobs created in %.1f s, %.0f/s", jobs, created.Seconds(), float64(jobs)/created.Seconds())
	eventually(t, 20*time.Minute, "every job has its Job", func() bool { return s.watch.owned()-owned >= jobs })
	took := time.Since(began)
	t.Logf("their Jobs were there %.1f s after the first: %.0f jobs/s through the operator", took.Seconds(), float64(jobs)/took.Seconds())
	for name, cpu := range spent(t) {
		if used := (cpu - before[name]).Seconds() * 1000 / float64(jobs); used >= 0.01 {
			t.Logf("CPU a job: %.2f ms of %s", used, name)
		}
	}
	t.Logf("with %d jobs that wait: %s resident, %s at the most", jobs, p.memory(t, "VmRSS"), p.memory(t, "VmHWM"))
	slices.Reverse(others) // the nodes are alive again before anyone asks
	for _, name := range others {
		if err := kube.Resume(cluster.Started().Folder, name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
	}
	run := time.Now()
	eventually(t, 40*time.Minute, "every job has ended", func() bool {
		time.Sleep(time.Second)
		return s.watch.ends() >= jobs
	})
	t.Logf("all had ended after another %.0f s: %.0f jobs/s through the whole cluster", time.Since(run).Seconds(), float64(jobs)/time.Since(run).Seconds())
	writes, err := s.writes(began)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes a job from creation to its end: %.2f", float64(len(writes))/float64(jobs))
	time.Sleep(15 * time.Second) // what is left to do afterwards
	s.idles(t, time.Now())
	if heap, err := get(t.Context(), ports.pprof, "/debug/pprof/heap"); err == nil {
		_ = os.WriteFile(filepath.Join(os.TempDir(), "manager.heap"), []byte(heap), 0o600)
	}
}

// idles measures the operator for a minute in which nothing happens, and what it has written since.
func (s *system) idles(t *testing.T, since time.Time) {
	t.Helper()
	p := managerProcess(t)
	before := p.cpu(t)
	time.Sleep(time.Minute)
	t.Logf("idle: %.4f core, %s resident, %s at the most", (p.cpu(t)-before).Seconds()/60, p.memory(t, "VmRSS"), p.memory(t, "VmHWM"))
	writes, err := s.writes(since)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("writes while idle: %d", len(writes))
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

// spent is the CPU that each program of the cluster has used, and this one, which makes the load and watches.
func spent(t *testing.T) map[string]time.Duration {
	t.Helper()
	all := map[string]time.Duration{"the load": process{os.Getpid()}.cpu(t)}
	for _, p := range kube.Processes(cluster.Started().Folder) {
		if p.Alive() {
			all[p.Name] = process{p.PID}.cpu(t)
		}
	}
	return all
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
