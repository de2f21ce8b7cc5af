package node

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Exec plays a Job's pod by running a program with the arguments of its
// container, and what it writes as its last words: what a kubelet does, without
// the container. Rewrite may change arguments that only make sense in one.
func Exec(ctx context.Context, pod *corev1.Pod, program string, env []string, rewrite func([]string) []string) End {
	folder, err := os.MkdirTemp("", "clarity-pod-")
	if err != nil {
		return End{ExitCode: 128, Reason: "StartError", Message: err.Error()}
	}
	defer func() { _ = os.RemoveAll(folder) }()
	words := filepath.Join(folder, "termination-log")
	command := exec.CommandContext(ctx, program, rewrite(pod.Spec.Containers[0].Args)...) //nolint:gosec // a program of ours
	command.Env = append(env, "CLARITY_TERMINATION_LOG="+words, "TMPDIR="+folder)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	err = command.Run()
	said, _ := os.ReadFile(words) // none is none
	var failed *exec.ExitError
	switch {
	case err == nil:
		return End{Message: string(said)}
	case errors.As(err, &failed) && failed.ExitCode() >= 0:
		return End{ExitCode: int32(failed.ExitCode()), Message: string(said)} //nolint:gosec // 0 to 255
	}
	return End{ExitCode: 137, Message: string(said)}
}
