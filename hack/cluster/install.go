package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/internal/kubelab/kube"
)

const (
	// namespace is the one that the operator serves.
	namespace = "clarity"
	// account is the operator's; the name of its configuration begins with it.
	account = "clarity-manager"
)

// install installs the chart, runs the operator beside the cluster with the
// rights and the configuration that the chart gives it, and applies the samples.
//
// The operator's pods are simulated like all others, so the process in bin/ does the work.
func (s settings) install(ctx context.Context, o kube.Options, config *rest.Config) error {
	if err := s.kubectl(ctx, o, "apply", "-f", filepath.Join(s.root, "config", "default", "namespace.yaml")); err != nil {
		return err
	}
	helm, err := s.output(ctx, filepath.Join(s.root, "hack", "tools", "tool"), "helm")
	if err != nil {
		return err
	}
	if _, err := s.output(ctx, strings.TrimSpace(helm), "upgrade", "--install", "clarity", filepath.Join(s.root, "charts", "clarity"),
		"--namespace", namespace, "--kubeconfig", kube.Kubeconfig(o.Folder), "--history-max", "3"); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	health, err := writeConfig(ctx, client, filepath.Join(o.Folder, "manager.yaml"))
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(o.Folder, "manager.kubeconfig")
	if err := kube.WriteAccountKubeconfig(ctx, config, namespace, account, kubeconfig); err != nil {
		return err
	}
	if err := o.Run("manager", filepath.Join(s.root, "bin", "manager"), []string{"KUBECONFIG=" + kubeconfig},
		"--config="+filepath.Join(o.Folder, "manager.yaml")); err != nil {
		return err
	}
	if err := awaitManager(ctx, o, health); err != nil {
		return err
	}
	return s.kubectl(ctx, o, "apply", "-k", filepath.Join(s.root, "config", "samples"))
}

// writeConfig writes the configuration that the chart made, with addresses of
// loopback, and returns where the process tells whether it is ready.
func writeConfig(ctx context.Context, client kubernetes.Interface, file string) (health string, err error) {
	made, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, account+"-config", metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get the operator's configuration: %w", err)
	}
	var config map[string]any
	if err := yaml.Unmarshal([]byte(made.Data["manager.yaml"]), &config); err != nil {
		return "", fmt.Errorf("read the operator's configuration: %w", err)
	}
	ports, err := kube.FreePorts(3)
	if err != nil {
		return "", err
	}
	health = "127.0.0.1:" + ports[0]
	config["health"] = map[string]any{"address": health}
	config["metrics"] = map[string]any{"address": "127.0.0.1:" + ports[1], "insecure": true}
	config["pprof"] = map[string]any{"address": "127.0.0.1:" + ports[2]}
	content, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write the operator's configuration: %w", err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return "", fmt.Errorf("write the operator's configuration: %w", err)
	}
	return health, nil
}

// awaitManager waits until the process listens for those who ask whether it is healthy.
func awaitManager(ctx context.Context, o kube.Options, health string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var dialer net.Dialer
	for {
		connection, err := dialer.DialContext(ctx, "tcp", health)
		if err == nil {
			return connection.Close()
		}
		if !kube.Runs(o.Folder, "manager") {
			return o.Ended("manager")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the manager: %w; see %s", ctx.Err(), filepath.Join(o.Folder, "log", "manager.log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s settings) kubectl(ctx context.Context, o kube.Options, args ...string) error {
	_, err := s.output(ctx, filepath.Join(o.Assets, "kubectl"), append([]string{"--kubeconfig", kube.Kubeconfig(o.Folder)}, args...)...)
	return err
}

// output runs a program and returns what it prints; where it fails, its complaint is in the error.
func (s settings) output(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...) //nolint:gosec // programs of ours
	command.Dir = s.root
	output, err := command.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, failed.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return string(output), nil
}
