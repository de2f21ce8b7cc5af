//go:build !linux

package kube

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// spawn starts the command. A detached one outlives this process; another is stopped by Stop.
func spawn(command *exec.Cmd, detached bool) error {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: detached}
	return command.Start()
}

// started is when the process started, to the second; empty where none of that pid runs.
func started(pid int) string {
	output, err := exec.CommandContext(context.Background(), "ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	state, start, _ := strings.Cut(strings.TrimSpace(string(output)), " ")
	if err != nil || strings.HasPrefix(state, "Z") {
		return ""
	}
	return strings.TrimSpace(start)
}
