package kube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrUnavailable says that no control plane can be had here.
var ErrUnavailable = errors.New("control plane unavailable")

// programs are the names kubelab answers to.
func programs() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok"}
}

// Binaries returns a folder with the programs of a control plane. It is
// KUBEBUILDER_ASSETS where that is set, otherwise
// ${XDG_CACHE_HOME:-$HOME/.cache}/clarity/controlplane/KEY, filled once by
// building hack/controlplane of the repository at root (four to ten minutes
// on two cores), where KEY is of that module's go.mod, go.sum and main.go. Two
// processes that need it build it once. This is the one place that knows how.
func Binaries(root string) (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		if missing := firstMissing(assets); missing != "" {
			return "", fmt.Errorf("find %s in KUBEBUILDER_ASSETS=%s: %w", missing, assets, ErrUnavailable)
		}
		return assets, nil
	}
	source := filepath.Join(root, "hack", "controlplane")
	key, err := sourceKey(source)
	if err != nil {
		return "", err
	}
	base, err := cacheHome()
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w: %w", err, ErrUnavailable)
	}
	folder := filepath.Join(base, "clarity", "controlplane", key)
	if err := fill(folder, source); err != nil {
		return "", err
	}
	return folder, nil
}

func cacheHome() (string, error) {
	if home := os.Getenv("XDG_CACHE_HOME"); home != "" {
		return home, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".cache"), nil
}

// sourceKey is the SHA-256 of the three files that decide what is built.
func sourceKey(source string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum", "cmd/kubelab/main.go"} {
		content, err := os.ReadFile(filepath.Join(source, name)) //nolint:gosec // a file of this repository
		if err != nil {
			return "", fmt.Errorf("read source of the control plane: %w: %w", err, ErrUnavailable)
		}
		hash.Write(content)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// fill builds kubelab into folder unless it is there, under a lock that other processes see.
func fill(folder, source string) error {
	if firstMissing(folder) == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("make cache folder: %w: %w", err, ErrUnavailable)
	}
	lock, err := os.OpenFile(filepath.Join(folder, ".lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in our own cache
	if err != nil {
		return fmt.Errorf("open lock of the cache: %w: %w", err, ErrUnavailable)
	}
	defer func() { _ = lock.Close() }() // closing unlocks; nothing was written
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock cache: %w", err)
	}
	binary := filepath.Join(folder, "kubelab")
	if _, err := os.Stat(binary); err != nil {
		if err := build(binary, source); err != nil {
			return err
		}
	}
	for _, name := range programs() {
		if err := os.Symlink("kubelab", filepath.Join(folder, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// ldflags tell the programs which version they are; without them the API server says v0.0.0.
const ldflags = "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2" +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"

func build(binary, source string) error {
	unfinished := fmt.Sprintf("%s.%d", binary, os.Getpid())
	command := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", ldflags, "-o", unfinished, "./cmd/kubelab") //nolint:gosec // fixed words
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off")
	_, _ = fmt.Fprintf(os.Stderr, "building the control plane into %s: once, some minutes\n", filepath.Dir(binary))
	var output bytes.Buffer
	all := io.MultiWriter(&output, os.Stderr) // what is downloaded is told while it is
	command.Stdout, command.Stderr = all, all
	if err := command.Run(); err != nil {
		_ = os.Remove(unfinished)
		return fmt.Errorf("build control plane: %w: %s: %w", err, bytes.TrimSpace(output.Bytes()), ErrUnavailable)
	}
	if err := os.Rename(unfinished, binary); err != nil {
		return fmt.Errorf("keep control plane: %w", err)
	}
	return nil
}

func firstMissing(folder string) string {
	for _, name := range programs() {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil { //nolint:gosec // the folder is the developer's own setting
			return name
		}
	}
	return ""
}

// Root is the nearest folder upwards that holds hack/controlplane.
func Root() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "hack", "controlplane", "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("find hack/controlplane upwards: %w", ErrUnavailable)
		}
		folder = parent
	}
}
