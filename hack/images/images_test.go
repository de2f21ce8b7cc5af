package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func sample(name string) image {
	return image{name: name, version: "v1", arch: "amd64", program: []byte("the program"), base: []file{
		{"etc/ssl/certs/ca-certificates.crt", 0o644, []byte("certificates")}, {"usr/share/zoneinfo.zip", 0o644, []byte("zones")},
		{"etc/passwd", 0o644, []byte("p")}, {"etc/group", 0o644, []byte("g")}, {"tmp/", 0o1777, nil},
	}}
}

// read is the one image of a layout.
func read(t *testing.T, folder string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%v, %v", manifest, err)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	return img
}

// contents are the files of an image, with their modes.
func contents(t *testing.T, img v1.Image) (files []string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for packed := tar.NewReader(r); ; {
			h, err := packed.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.ModTime.Unix() != 0 || h.Uid != 0 || h.Gid != 0 {
				t.Errorf("%s is of %v and %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
			}
			files = append(files, fmt.Sprintf("/%s %o", h.Name, h.Mode))
		}
	}
	return files
}

// Two builds of one program, and of whatever was there before, have one digest.
func TestTwoBuildsHaveOneDigest(t *testing.T) {
	first, err := write(filepath.Join(t.TempDir(), "a"), sample("ingress"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	other := sample("ingress")
	other.program = []byte("another")
	if digest, err := write(folder, other); err != nil || digest == first {
		t.Errorf("another program: %s, %v", digest, err)
	}
	second, err := write(folder, sample("ingress"))
	if err != nil || second != first {
		t.Errorf("%s and %s, %v", first, second, err)
	}
	if digest, err := read(t, folder).Digest(); err != nil || digest.String() != first {
		t.Errorf("the layout has %v, want %s: %v", digest, first, err)
	}
}

// What an image has is what the Dockerfile's has: files, user, environment, program.
func TestTheImagesAreTheDockerfiles(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	_, stages, _ := strings.Cut(string(text), "FROM scratch AS base")
	base, stages, _ := strings.Cut(stages, "\nFROM ")
	for _, m := range regexp.MustCompile(`(?m)^ENTRYPOINT \["/(\w+)"\]$`).FindAllStringSubmatch(stages, -1) {
		targets = append(targets, m[1])
	}
	if diff := cmp.Diff(targets, programs()); diff != "" {
		t.Errorf("programs (-Dockerfile +here):\n%s", diff)
	}
	var copied []string
	for _, m := range regexp.MustCompile(`(?m)^COPY --from=build (.+) (\S+)$`).FindAllStringSubmatch(base, -1) {
		if into, is := strings.CutSuffix(m[2], "/"); is {
			for _, from := range strings.Fields(m[1]) {
				copied = append(copied, into+"/"+filepath.Base(from))
			}
			continue
		}
		copied = append(copied, m[2])
	}
	folder := t.TempDir()
	if _, err := write(folder, sample("worker")); err != nil {
		t.Fatal(err)
	}
	img := read(t, folder)
	files := contents(t, img)
	for _, at := range append(copied, "/worker") {
		if !slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, at+" ") || strings.HasPrefix(f, at+"/ ") }) {
			t.Errorf("%s is in the Dockerfile's and not in %v", at, files)
		}
	}
	if len(copied) != 5 {
		t.Errorf("the Dockerfile copies %v", copied)
	}
	for _, want := range []string{"/worker 755", "/tmp/ 1777", "/etc/ 755"} {
		if !slices.Contains(files, want) {
			t.Errorf("no %s in %v", want, files)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"USER " + config.Config.User, "ENV " + strings.Join(config.Config.Env, " ")} {
		if !strings.Contains(base, "\n"+line+"\n") && !strings.HasSuffix(base, "\n"+line) {
			t.Errorf("the Dockerfile does not say %s:\n%s", line, base)
		}
	}
	if diff := cmp.Diff([]string{"/worker"}, config.Config.Entrypoint); diff != "" {
		t.Error(diff)
	}
}
