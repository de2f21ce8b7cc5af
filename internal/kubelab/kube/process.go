package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is one that was started for a cluster.
type Process struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	// Started is when, as the system counts it: two with one pid differ in it.
	Started string `json:"started"`
}

// Processes are those that were started for the cluster in folder, in order;
// none where there is no record. They may have ended since: see Alive.
func Processes(folder string) []Process {
	content, err := os.ReadFile(filepath.Join(folder, "pids"))
	if err != nil {
		return nil
	}
	var all []Process
	for line := range strings.Lines(string(content)) {
		var p Process
		if json.Unmarshal([]byte(line), &p) == nil && p.PID > 1 {
			all = append(all, p)
		}
	}
	return all
}

// Alive says whether the process runs. A pid that now belongs to something
// else, after a reboot say, is not alive: that one started at another time.
func (p Process) Alive() bool {
	return p.Started != "" && started(p.PID) == p.Started
}

// Runs says whether the process of that name in the cluster in folder is alive.
func Runs(folder, name string) bool {
	for _, p := range Processes(folder) {
		if p.Name == name && p.Alive() {
			return true
		}
	}
	return false
}

// end ends the process and waits until it has.
func (p Process) end(patience time.Duration) error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if !p.Alive() {
			return nil
		}
		if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (pid %d): %w", p.Name, p.PID, err)
		}
		for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
			if !p.Alive() {
				return nil
			}
		}
	}
	return fmt.Errorf("stop %s (pid %d): it does not end", p.Name, p.PID)
}

// Stop ends what was started for the cluster in folder, the last first, each
// before the next: etcd outlives the API server, which would hang without it.
// It ends nothing else, and is content where nothing runs.
func Stop(folder string) error {
	var faults []error
	all := Processes(folder)
	slices.Reverse(all)
	for _, p := range all {
		faults = append(faults, p.end(15*time.Second))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(folder, "pids")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget the processes: %w", err)
	}
	return nil
}

// StopOne ends one process of the cluster in folder: what a crash is, with SIGKILL, to a test.
func StopOne(folder, name string, signal syscall.Signal) error {
	p, err := find(folder, name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(p.PID, signal); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return p.end(15 * time.Second)
}

// Pause has one process of the cluster in folder do nothing until Resume.
func Pause(folder, name string) error { return send(folder, name, syscall.SIGSTOP) }

// Resume has a paused process go on.
func Resume(folder, name string) error { return send(folder, name, syscall.SIGCONT) }

func send(folder, name string, signal syscall.Signal) error {
	p, err := find(folder, name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(p.PID, signal); err != nil {
		return fmt.Errorf("send %v to %s: %w", signal, name, err)
	}
	return nil
}

func find(folder, name string) (Process, error) {
	for _, p := range Processes(folder) {
		if p.Name == name && p.Alive() {
			return p, nil
		}
	}
	return Process{}, fmt.Errorf("find %s: it does not run", name)
}

// Run starts a program of the cluster, with its output in log/NAME.log, and
// records it.
func (o Options) Run(name, program string, env []string, args ...string) error {
	log, err := os.OpenFile(o.in("log", name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()                                     // the child has a descriptor of its own
	command := exec.CommandContext(context.Background(), program, args...) //nolint:gosec // our own programs
	command.Dir = o.Folder
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = log, log
	if err := spawn(command, o.Detached); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	pid := command.Process.Pid
	line, err := json.Marshal(Process{Name: name, PID: pid, Started: started(pid)})
	go func() { _ = command.Wait() }() // so that it does not stay as a zombie
	if err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	pids, err := os.OpenFile(o.in("pids"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	_, err = pids.Write(append(line, '\n'))
	if err = errors.Join(err, pids.Close()); err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	return nil
}
