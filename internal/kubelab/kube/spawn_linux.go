package kube

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts is served by one goroutine that never leaves its thread: a child that
// is to end with its parent is told by the kernel when the thread that started
// it ends.
var starts = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// spawn starts the command. A detached one outlives this process; another ends with it, however this one ends.
func spawn(command *exec.Cmd, detached bool) error {
	if detached {
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return command.Start()
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	starts() <- func() { result <- command.Start() }
	return <-result
}

// started is when the process started, in ticks since the boot; empty where
// none of that pid runs. A process is there before its command line is, which
// is why nobody is asked for that one.
func started(pid int) string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name stands in parentheses and may hold anything; behind it are the state, field 3, and the start, field 22.
	field := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	if len(field) < 20 || field[0][0] == 'Z' || field[0][0] == 'X' {
		return ""
	}
	return string(field[19])
}
