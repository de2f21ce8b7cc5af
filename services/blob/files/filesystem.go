package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fileSystem is one directory, as the store uses it; tests have one that fails
// and one that loses what was not synced.
type fileSystem interface {
	Create(name string) (file, error) // for writing; the name must be free
	Open(name string) (file, error)   // for reading
	Reopen(name string) (file, error) // for writing
	Remove(name string) error         // of what is not there: nil
	Names() ([]string, error)
	SyncDir() error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error // of the data, and of the size
}

// osDir is a directory of the operating system.
type osDir string

func (d osDir) open(name string, flags int) (file, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDir) Create(name string) (file, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}
func (d osDir) Open(name string) (file, error)   { return d.open(name, os.O_RDONLY) }
func (d osDir) Reopen(name string) (file, error) { return d.open(name, os.O_RDWR) }

func (d osDir) Remove(name string) error {
	err := os.Remove(filepath.Join(string(d), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d osDir) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d osDir) SyncDir() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
