package blobtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
)

// A MemoryStore is the contract in a map. It is for tests that need objects in a
// millisecond.
type MemoryStore struct {
	now func() time.Time

	mu      sync.Mutex
	objects map[string]object
	last    int64 // generation
}

type object struct {
	data       []byte
	created    time.Time
	generation int64
	damaged    bool
}

// Memory is an empty store.
func Memory(now func() time.Time) *MemoryStore {
	return &MemoryStore{now: now, objects: map[string]object{}}
}

// Put keeps an object of a new name.
func (m *MemoryStore) Put(ctx context.Context, name string, data []byte) (int64, error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return 0, blob.Fault("put", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken {
		return 0, blob.Fault("put", blob.ErrExists)
	}
	return m.keep(name, object{data: bytes.Clone(data)}), nil
}

// Renew has the object be as if it had just been put.
func (m *MemoryStore) Renew(ctx context.Context, name string) (int64, error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return 0, blob.Fault("renew", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[name]
	switch {
	case !there:
		return 0, blob.Fault("renew", blob.ErrNotFound)
	case o.damaged:
		return 0, blob.Fault("renew", blob.ErrCorrupt)
	}
	return m.keep(name, o), nil
}

// keep keeps an object that was created now, under a generation of its own.
func (m *MemoryStore) keep(name string, o object) int64 {
	m.last++
	o.created, o.generation = m.now().UTC().Round(0), m.last
	m.objects[name] = o
	return o.generation
}

// Get returns what was put.
func (m *MemoryStore) Get(ctx context.Context, name string) ([]byte, error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return nil, blob.Fault("get", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[name]
	switch {
	case !there:
		return nil, blob.Fault("get", blob.ErrNotFound)
	case o.damaged:
		return nil, blob.Fault("get", blob.ErrCorrupt)
	}
	return bytes.Clone(o.data), nil
}

// Stat tells of an object.
func (m *MemoryStore) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Info{}, blob.Fault("stat", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[name]
	if !there {
		return blob.Info{}, blob.Fault("stat", blob.ErrNotFound)
	}
	return o.info(name), nil
}

func (o object) info(name string) blob.Info {
	return blob.Info{Name: name, Size: int64(len(o.data)), Created: o.created, Generation: o.generation}
}

// Delete removes what is there, if it has the generation.
func (m *MemoryStore) Delete(ctx context.Context, name string, generation int64) error {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Fault("delete", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[name].generation == generation {
		delete(m.objects, name)
	}
	return nil
}

// DeletePrefix removes all whose names begin so.
func (m *MemoryStore) DeletePrefix(ctx context.Context, prefix string) error {
	if err := ctx.Err(); err != nil {
		return blob.Fault("delete prefix", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.objects, func(name string, _ object) bool { return strings.HasPrefix(name, prefix) })
	return nil
}

// List is in byte order of names.
func (m *MemoryStore) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if limit < 1 {
		return nil, blob.Fault("list", fmt.Errorf("limit %d", limit))
	}
	if err := ctx.Err(); err != nil {
		return nil, blob.Fault("list", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []blob.Info
	for _, name := range slices.Sorted(maps.Keys(m.objects)) {
		if name > after && strings.HasPrefix(name, prefix) && len(infos) < limit {
			infos = append(infos, m.objects[name].info(name))
		}
	}
	return infos, nil
}

// Damage has an object be damaged from then on. It is not of the contract.
func (m *MemoryStore) Damage(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[name]
	if !there {
		return errors.New("blobtest: no such object")
	}
	o.damaged = true
	m.objects[name] = o
	return nil
}
