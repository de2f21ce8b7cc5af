package tink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/internal/keysets"
)

// part is how many keys Rewrap wraps anew at a time; so long nobody makes one.
const part = 32

// rotation counts how often people's keys were rotated, in a file that every process
// looks at before it seals.
type rotation struct {
	path string

	mu    sync.Mutex
	seen  fs.FileInfo
	count int
}

// rotations is the form of the file.
type rotations struct {
	Data int `json:"data"`
}

func (r *rotation) open(path string) error {
	r.path = path
	_, err := r.version()
	return err
}

// version is the newest, as of now.
func (r *rotation) version() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	info, err := os.Stat(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look for a rotation: %w", err)
	case r.seen != nil && os.SameFile(info, r.seen) && info.ModTime().Equal(r.seen.ModTime()):
		return r.count, nil
	}
	data, err := os.ReadFile(r.path)
	if err != nil {
		return 0, fmt.Errorf("look for a rotation: %w", err)
	}
	var is rotations
	if err := json.Unmarshal(data, &is); err != nil || is.Data < r.count {
		return 0, fmt.Errorf("read %s: no count of rotations", filepath.Base(r.path))
	}
	r.seen, r.count = info, is.Data
	return r.count, nil
}

// RotateData has each person's key made anew when they seal next.
func (k *Keyring) RotateData(context.Context) error {
	return keyring.Fault("rotate data keys", k.rotateData())
}

func (k *Keyring) rotateData() error {
	unlock, err := k.lock(alone)
	if err != nil {
		return err
	}
	defer unlock()
	now, err := k.rotation.version()
	if err != nil {
		return err
	}
	data, err := json.Marshal(rotations{now + 1})
	if err != nil {
		return err
	}
	return durable.Replace(k.rotation.path, append(data, '\n'), 0o600)
}

// RotateKEK makes a new version of the KEK, unless something is left that an older
// one wraps.
func (k *Keyring) RotateKEK(ctx context.Context) error {
	return keyring.Fault("rotate the key that wraps", k.rotateKEK(ctx))
}

func (k *Keyring) rotateKEK(ctx context.Context) error {
	unlock, err := k.lock(alone)
	if err != nil {
		return err
	}
	defer unlock()
	if err := k.kek.read(); err != nil {
		return err
	}
	if k.kek.versions() > 1 {
		return nil
	}
	handle, _ := k.kek.current()
	older, err := k.ofBefore(ctx)
	if err != nil {
		return err
	}
	if older > 0 { // what the KEK of now wraps goes on being opened by it
		if err := k.shards.keep(before, handle); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if handle, err = keysets.WithNewest(handle); err != nil {
		return err
	}
	return k.kek.replace(handle)
}

// ofBefore counts people's keys that are as the releases before have made them.
func (k *Keyring) ofBefore(ctx context.Context) (found int, err error) {
	err = k.each(ctx, func(of int) {
		if of < 0 {
			found++
		}
	})
	return found, err
}

// Rewrap wraps some of the shards' keys by the newest KEK, and behind the last of
// them removes the older ones.
func (k *Keyring) Rewrap(ctx context.Context, cursor string) (keyring.Progress, error) {
	p, err := k.rewrap(ctx, cursor)
	return p, keyring.Fault("rewrap", err)
}

func (k *Keyring) rewrap(ctx context.Context, cursor string) (p keyring.Progress, err error) {
	unlock, err := k.lock(alone)
	if err != nil {
		return p, err
	}
	defer unlock()
	if err := k.kek.read(); err != nil {
		return p, err
	}
	all, err := k.wrappedByKEK()
	if err != nil {
		return p, err
	}
	p.All = len(all)
	taken := 0
	for _, name := range all {
		if taken == part {
			break
		}
		if name <= cursor {
			continue
		}
		if err := ctx.Err(); err != nil {
			return p, err
		}
		if err := k.rewrapOne(name); err != nil {
			return p, err
		}
		taken, p.Cursor = taken+1, name
	}
	older, err := k.older(all)
	if err != nil {
		return p, err
	}
	p.Done = p.All - len(older)
	switch {
	case len(older) == 0:
		p.Cursor = ""
		return p, k.retire(ctx)
	case taken < part: // the cursor was not of this rotation
		p.Cursor = ""
		return p, k.rest(ctx, older, &p)
	}
	return p, nil
}

// rest wraps what a cursor has left out, and removes the older KEKs.
func (k *Keyring) rest(ctx context.Context, names []string, p *keyring.Progress) error {
	for _, name := range names {
		if err := k.rewrapOne(name); err != nil {
			return err
		}
	}
	p.Done = p.All
	return k.retire(ctx)
}

// retire removes the older KEKs, which wrap nothing any more, and the one of the
// releases before where it wraps no person's key any more either.
func (k *Keyring) retire(ctx context.Context) error {
	if there, err := exists(k.shards.path(before)); err != nil {
		return err
	} else if there {
		older, err := k.ofBefore(ctx)
		if err != nil {
			return err
		}
		if older == 0 {
			if err := shred(k.shards.path(before)); err != nil {
				return err
			}
		}
	}
	if k.kek.versions() == 1 {
		return nil
	}
	handle, _ := k.kek.current()
	handle, err := keysets.NewestOnly(handle)
	if err != nil {
		return err
	}
	return k.kek.replace(handle)
}

// wrappedByKEK names the files of what the KEK wraps, in order.
func (k *Keyring) wrappedByKEK() (names []string, err error) {
	entries, err := os.ReadDir(k.shards.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if shard, is := strings.CutSuffix(e.Name(), ".key"); is {
			names = append(names, filepath.Join("shards", shard+".key"))
		}
	}
	if there, err := exists(k.tokens()); err != nil {
		return nil, err
	} else if there {
		names = append(names, filepath.Base(k.tokens()))
	}
	return names, nil
}

// older are those of the files that an older KEK wraps.
func (k *Keyring) older(names []string) (older []string, err error) {
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(k.dir, name)) //nolint:gosec // a file of our directory
		if err != nil {
			return nil, err
		}
		newest, err := k.kek.isNewest(data)
		if err != nil {
			return nil, err
		}
		if !newest {
			older = append(older, name)
		}
	}
	return older, nil
}

// rewrapOne wraps what is in the file by the newest KEK.
func (k *Keyring) rewrapOne(name string) error {
	path, use := filepath.Join(k.dir, name), keysets.PseudonymUse
	if shard, is := strings.CutPrefix(name, "shards"+string(filepath.Separator)); is {
		use = k.shards.use(strings.TrimSuffix(shard, ".key"))
	}
	data, err := os.ReadFile(path) //nolint:gosec // a file of our directory
	if err != nil {
		return err
	}
	if newest, err := k.kek.isNewest(data); newest || err != nil {
		return err
	}
	handle, err := k.kek.unwrap(path, use)
	if err != nil {
		return err
	}
	if data, err = k.kek.wrap(handle, use); err != nil {
		return err
	}
	return replace(path, data)
}

// each tells of each person's key of which rotation it is; -1 is of the releases before.
func (k *Keyring) each(ctx context.Context, see func(of int)) error {
	keys, err := filepath.Glob(filepath.Join(k.dir, "people", "*", "*.key"))
	if err != nil {
		return err
	}
	for _, path := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := os.ReadFile(path)      //nolint:gosec // a file of our directory
		if errors.Is(err, fs.ErrNotExist) { // destroyed this moment
			continue
		}
		if err != nil { // one key that cannot be read costs nobody else anything
			see(-1)
			continue
		}
		of, _ := split(data)
		see(of)
	}
	return nil
}

// Census counts the keys.
func (k *Keyring) Census(ctx context.Context) (keyring.Census, error) {
	c, err := k.census(ctx)
	return c, keyring.Fault("count keys", err)
}

func (k *Keyring) census(ctx context.Context) (c keyring.Census, err error) {
	if err := k.kek.read(); err != nil {
		return c, err
	}
	c.KEKs = k.kek.versions()
	all, err := k.wrappedByKEK()
	if err != nil {
		return c, err
	}
	older, err := k.older(all)
	if err != nil {
		return c, err
	}
	c.Wrapped, c.Older = len(all), len(older)
	if c.Data, err = k.rotation.version(); err != nil {
		return c, err
	}
	if c.Destroyed, err = k.Erasures(); err != nil {
		return c, err
	}
	return c, k.each(ctx, func(of int) {
		c.People++
		if max(of, 0) < c.Data {
			c.Behind++
		}
	})
}
