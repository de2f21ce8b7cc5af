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
}

type object struct {
	data    []byte
	created time.Time
	damaged bool
}

// Memory is an empty store.
func Memory(now func() time.Time) *MemoryStore {
	return &MemoryStore{now: now, objects: map[string]object{}}
}

// Put keeps an object of a new name.
func (m *MemoryStore) Put(ctx context.Context, name string, data []byte) error {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Fault("put", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken {
		return blob.Fault("put", blob.ErrExists)
	}
	m.objects[name] = object{data: bytes.Clone(data), created: m.now().UTC().Round(0)}
	return nil
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

// Delete removes what is there.
func (m *MemoryStore) Delete(ctx context.Context, name string) error {
	if err := cmp.Or(blob.CheckName(name), ctx.Err()); err != nil {
		return blob.Fault("delete", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
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
			infos = append(infos, blob.Info{Name: name, Size: int64(len(m.objects[name].data)), Created: m.objects[name].created})
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
