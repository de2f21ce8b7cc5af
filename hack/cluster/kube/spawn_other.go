//go:build !linux

package kube

import (
	"os/exec"
	"syscall"
)

// spawn starts the command. A detached one outlives this process; another is stopped by Stop.
func spawn(command *exec.Cmd, detached bool) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: detached}
	return command.Start()
}
