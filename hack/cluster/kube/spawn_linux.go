package kube

import (
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
