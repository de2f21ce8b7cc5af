// Package durable writes small files so that they are whole or not there,
// whatever happens meanwhile.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished is the pattern of what a process that dies may leave of a file that it
// was writing.
const Unfinished = ".new-*"

// Create writes a file that must not exist yet: data goes to a temporary file,
// is synced, and is linked to its name; then the directory is synced. Where the
// name is taken the error is fs.ErrExist and the file there is left alone.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, func(temp string) error { return os.Link(temp, path) })
}

// Replace writes a file, replacing the one of that name if there is one.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, func(temp string) error { return os.Rename(temp, path) })
}

func write(path string, data []byte, mode fs.FileMode, publish func(temp string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, Unfinished)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	temp := f.Name()
	defer func() {
		if removed := os.Remove(temp); err == nil && removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = removed
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = publish(temp)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return SyncDir(dir)
}

// Copy copies a file, and returns once the bytes are durable; the entry in its
// directory is not. exists says what becomes of a file that is there: os.O_EXCL
// refuses it, os.O_TRUNC replaces it.
func Copy(from, to string, exists int) error {
	source, err := os.Open(from) //nolint:gosec // the caller's own
	if err != nil {
		return err
	}
	defer source.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|exists, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = io.Copy(f, source)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncEntry makes the path's own entry durable, in the directory that it is in. One
// that may not be read was not made by this program.
func SyncEntry(path string) error {
	err := SyncDir(filepath.Dir(filepath.Clean(path)))
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// SyncDir makes the directory's entries durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
