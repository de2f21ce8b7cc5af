package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A file of a layer; a name that ends in a slash is a folder's.
type file struct {
	name string
	mode int64
	data []byte
}

// An image is a program and what every image has.
type image struct {
	name, version, arch string
	base                []file
	program             []byte
}

// layer packs the files, with the folders that lead to them, all of root's and of the
// epoch.
func layer(files []file) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	made := map[string]bool{".": true}
	put := func(f file) error {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(f.data)
		return err
	}
	var folders func(of string) error
	folders = func(of string) error {
		if made[of] {
			return nil
		}
		made[of] = true
		if err := folders(path.Dir(of)); err != nil {
			return err
		}
		return put(file{of + "/", 0o755, nil})
	}
	for _, f := range files {
		if err := folders(path.Dir(path.Clean(f.name))); err != nil {
			return nil, err
		}
		if err := put(f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// build makes the image.
func (i image) build() (v1.Image, error) {
	base, err := layer(i.base)
	if err != nil {
		return nil, err
	}
	program, err := layer([]file{{i.name, 0o755, i.program}})
	if err != nil {
		return nil, err
	}
	made, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), base, program)
	if err != nil {
		return nil, err
	}
	config, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", i.arch, v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		User: "65532:65532", Entrypoint: []string{"/" + i.name}, WorkingDir: "/",
		Env:    []string{"ZONEINFO=/usr/share/zoneinfo.zip"},
		Labels: map[string]string{"org.opencontainers.image.version": i.version},
	}
	return mutate.ConfigFile(made, config)
}

// write replaces the layout in the folder, and returns the image's digest.
func write(folder string, i image) (digest string, err error) {
	made, err := i.build()
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		return "", err
	}
	err = at.AppendImage(made, layout.WithPlatform(v1.Platform{OS: "linux", Architecture: i.arch}),
		layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": i.version}))
	if err != nil {
		return "", err
	}
	hash, err := made.Digest()
	return hash.String(), err
}
