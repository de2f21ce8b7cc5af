package files

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
)

var errDead = errors.New("the machine is off")

const sector = 64 // small, so that small records tear

// A memoryDir is a directory whose disk holds only what was synced.
type memoryDir struct {
	mu      sync.Mutex
	names   map[string]*memoryFile // as the process sees them
	durable map[string]*memoryFile // as the disk holds them

	calls   int
	dieAt   int // at this call the machine goes off; 0: never
	fault   func(call, name string) error
	ignored map[string]bool // "sync", "syncdir": calls that do nothing
}

type memoryFile struct {
	data    []byte // as the process sees it
	disk    []byte
	dirty   map[int]bool // sectors that differ from the disk and would be written by a sync
	sizeToo bool         // the size is not synced
}

func newMemoryDir() *memoryDir {
	return &memoryDir{names: map[string]*memoryFile{}, durable: map[string]*memoryFile{}, ignored: map[string]bool{}}
}

// call counts one call that changes something, and fails where it is to fail.
func (d *memoryDir) call(what, name string) error {
	d.calls++
	if d.dieAt != 0 && d.calls >= d.dieAt {
		return errDead
	}
	if d.fault != nil {
		return d.fault(what, name)
	}
	return nil
}

func (d *memoryDir) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dieAt != 0 && d.calls >= d.dieAt
}

// restart is the same machine after the process died.
func (d *memoryDir) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.dieAt, d.fault = 0, 0, nil
}

// crash is the machine after its power came back: of what was not synced any
// sector may have been written, or not.
func (d *memoryDir) crash(r *rand.Rand) *memoryDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newMemoryDir()
	maps.Copy(after.ignored, d.ignored)
	survivors := map[string]*memoryFile{}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		if _, still := d.names[name]; still || r.IntN(2) == 0 {
			survivors[name] = d.durable[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if _, known := d.durable[name]; !known && r.IntN(2) == 0 {
			survivors[name] = d.names[name]
		}
	}
	for name, f := range survivors {
		g := &memoryFile{data: f.torn(r), dirty: map[int]bool{}}
		g.disk = slices.Clone(g.data)
		after.names[name], after.durable[name] = g, g
	}
	return after
}

func (f *memoryFile) torn(r *rand.Rand) []byte {
	data := slices.Clone(f.disk)
	if f.sizeToo && r.IntN(2) == 0 {
		data = resize(data, len(f.data))
	}
	for _, s := range slices.Sorted(maps.Keys(f.dirty)) {
		if r.IntN(2) == 0 {
			continue
		}
		from, to := s*sector, min((s+1)*sector, len(f.data), len(data))
		if from < to {
			copy(data[from:to], f.data[from:to])
		}
	}
	return data
}

func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

func (d *memoryDir) Create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("create", name); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	d.names[name] = &memoryFile{dirty: map[int]bool{}}
	return &memoryHandle{d, d.names[name], name}, nil
}

func (d *memoryDir) Open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &memoryHandle{d, d.names[name], name}, nil
}

func (d *memoryDir) Reopen(name string) (file, error) { return d.Open(name) }

func (d *memoryDir) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("remove", name); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *memoryDir) Names() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *memoryDir) SyncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call("syncdir", ""); err != nil {
		return err
	}
	if !d.ignored["syncdir"] {
		d.durable = maps.Clone(d.names)
	}
	return nil
}

type memoryHandle struct {
	d    *memoryDir
	f    *memoryFile
	name string
}

func (h *memoryHandle) ReadAt(b []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memoryHandle) WriteAt(b []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	err := h.d.call("write", h.name)
	if err != nil {
		b = b[:len(b)/2] // a short write
	}
	if end := int(off) + len(b); end > len(h.f.data) {
		h.f.data, h.f.sizeToo = resize(h.f.data, end), true
	}
	copy(h.f.data[off:], b)
	for s := int(off) / sector; s*sector < int(off)+len(b); s++ {
		h.f.dirty[s] = true
	}
	return len(b), err
}

func (h *memoryHandle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("truncate", h.name); err != nil {
		return err
	}
	if int(size) != len(h.f.data) {
		h.f.data, h.f.sizeToo = resize(h.f.data, int(size)), true
	}
	return nil
}

// Sync writes what is dirty. When it fails the kernel forgets what was dirty:
// the process reads it back as if it were written, and no later sync writes it.
func (h *memoryHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.d.call("sync", h.name); err != nil {
		if !errors.Is(err, errDead) {
			h.f.dirty, h.f.sizeToo = map[int]bool{}, false
		}
		return err
	}
	if h.d.ignored["sync"] {
		return nil
	}
	h.f.disk = resize(h.f.disk, len(h.f.data))
	for s := range h.f.dirty {
		from, to := s*sector, min((s+1)*sector, len(h.f.data))
		if from < to {
			copy(h.f.disk[from:to], h.f.data[from:to])
		}
	}
	h.f.dirty, h.f.sizeToo = map[int]bool{}, false
	return nil
}

func (h *memoryHandle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.f.data)), nil
}

func (h *memoryHandle) Close() error { return nil }
