package kube

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAFilledCacheIsReused(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	key, err := sourceKey(filepath.Join(root, "hack", "controlplane"))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	t.Setenv("KUBEBUILDER_ASSETS", "")
	t.Setenv("XDG_CACHE_HOME", cache)
	want := filepath.Join(cache, "clarity", "controlplane", key)
	if err := os.MkdirAll(want, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(want, "kubelab"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := Binaries(root)
	if err != nil || got != want {
		t.Fatalf("Binaries: %q, %v; want %q", got, err, want)
	}
	if missing := firstMissing(got); missing != "" {
		t.Errorf("%s is not linked", missing)
	}
}

func TestAnotherSourceHasAnotherKey(t *testing.T) {
	source := t.TempDir()
	write := func(name, content string) {
		file := filepath.Join(source, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sourceKey(source); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no source: %v, want ErrUnavailable", err)
	}
	seen := map[string]bool{}
	write("go.mod", "module a")
	write("go.sum", "")
	for _, main := range []string{"package main", "package main // changed"} {
		write("cmd/kubelab/main.go", main)
		key, err := sourceKey(source)
		if err != nil {
			t.Fatal(err)
		}
		seen[key] = true
	}
	if len(seen) != 2 {
		t.Errorf("two sources have the keys %v", seen)
	}
}

func TestAssetsThatLackAProgramAreRefused(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	if _, err := Binaries(""); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Binaries: %v, want ErrUnavailable", err)
	}
}

func TestASourceThatDoesNotBuildIsUnavailable(t *testing.T) {
	err := fill(filepath.Join(t.TempDir(), "cache"), t.TempDir())
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("fill: %v, want ErrUnavailable", err)
	}
}
