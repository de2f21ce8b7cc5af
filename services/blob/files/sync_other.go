//go:build !linux

package files

// Sync writes the data through to the disk.
func (f osFile) Sync() error { return f.File.Sync() }
