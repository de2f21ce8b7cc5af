package tink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/keyring"
)

// Destroy makes everything sealed for the person unreadable for good: also where their
// key is away, which is that of the life that their record says they are in. It is
// destroyed when it comes back.
func (k *Keyring) Destroy(ctx context.Context, uid string) error {
	defer k.people.of(uid)()
	k.forget(uid)
	life, _, err := k.life(uid, 0)
	if err == nil && k.lives != nil {
		var recorded int
		recorded, _, err = k.lives(ctx, uid)
		life = max(life, recorded)
	}
	if err == nil {
		_, err = k.destroyThrough(uid, life)
	}
	return keyring.Fault("destroy", err)
}

// Settle has as many of the person's keys be destroyed as their record says that were:
// a mark that is missing is made again, which it reports, and a key that came back goes.
func (k *Keyring) Settle(_ context.Context, uid string, destroyed int) (missing bool, err error) {
	defer k.people.of(uid)()
	k.forget(uid)
	missing, err = k.destroyThrough(uid, destroyed-1)
	return missing, keyring.Fault("destroy", err)
}

// destroyThrough destroys the person's keys of all lives up to one, and says whether a
// mark was missing. The person is the caller's.
func (k *Keyring) destroyThrough(uid string, last int) (missing bool, err error) {
	unlock, err := k.lock(withOthers) // nobody replaces the key meanwhile
	if err != nil {
		return false, err
	}
	defer unlock()
	for life := 0; life <= last; life++ {
		path, gone := k.paths(uid, life)
		marked, err := exists(gone)
		if err == nil && !marked {
			missing = true
			if err = makeParent(gone); err == nil {
				err = durable.Create(gone, nil, 0o600)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrExist) { // another process was first
			return missing, err
		}
		if err := shred(path); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// Lag is none: the markers are looked for each time.
func (k *Keyring) Lag() time.Duration { return 0 }

// Renew lets the person have the key of the life given.
func (k *Keyring) Renew(ctx context.Context, uid string, life int) error {
	defer k.people.of(uid)()
	now, gone, err := k.life(uid, 0)
	if err == nil && k.lives != nil && now < life-1 { // the key of the life before was away when it was destroyed
		var recorded int
		var over bool
		if recorded, over, err = k.lives(ctx, uid); err == nil && over && recorded == life-1 {
			_, err = k.destroyThrough(uid, recorded)
			now, gone = recorded, true
		}
	}
	switch {
	case err != nil:
		return keyring.Fault("renew", err)
	case now == life && !gone:
		return nil
	case now != life-1 || !gone:
		return keyring.Fault("renew", errors.New("the key of the life before is not destroyed"))
	}
	path, marker := k.paths(uid, life)
	_, _, err = k.make(uid, path, marker)
	return keyring.Fault("renew", err)
}

// Destroyed counts the person's keys that are destroyed, and says when the last was, as
// the marker has it.
func (k *Keyring) Destroyed(_ context.Context, uid string) (count int, last time.Time, err error) {
	life, gone, err := k.life(uid, 0)
	if gone {
		life++
	}
	if err == nil && life > 0 {
		_, marker := k.paths(uid, life-1)
		var info fs.FileInfo
		if info, err = os.Stat(marker); err == nil {
			last = info.ModTime().UTC()
		}
	}
	if err != nil {
		return 0, last, keyring.Fault("look for destroyed keys", err)
	}
	return life, last, nil
}

// Has says whether the person has a key that can be read.
func (k *Keyring) Has(_ context.Context, uid string) (bool, error) {
	life, gone, err := k.life(uid, 0)
	if err == nil && !gone {
		path, _ := k.paths(uid, life)
		_, _, err = k.unwrap(uid, path)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, keyring.ErrNoKey) {
		return false, nil
	}
	return err == nil && !gone, keyring.Fault("look for a key", err)
}

// life is which of the person's keys is in use, and whether it is destroyed. All
// before from are known to be.
func (k *Keyring) life(uid string, from int) (life int, gone bool, err error) {
	for life = from; ; life++ {
		_, marker := k.paths(uid, life)
		if gone, err = exists(marker); err != nil || !gone {
			return life, gone, err
		}
		next, nextMarker := k.paths(uid, life+1)
		renewed, err := exists(next)
		if err == nil && !renewed {
			renewed, err = exists(nextMarker)
		}
		if err != nil || !renewed {
			return life, true, err
		}
	}
}

// without is why there is no key of the person, whose newest mark is of the life: it is
// destroyed, unless their record says that they are in a later life, whose key is away.
func (k *Keyring) without(ctx context.Context, uid string, life int) error {
	path, _ := k.paths(uid, life)
	if back, err := exists(path); back && err == nil {
		if unlock, err := k.lock(withOthers); err == nil {
			_ = shred(path) // it opens nothing beside its mark; a start tries again, and tells
			unlock()
		}
	}
	if k.lives == nil {
		return keyring.ErrDestroyed
	}
	recorded, over, err := k.lives(ctx, uid)
	switch {
	case err != nil:
		return fmt.Errorf("look for the person's life: %w", err)
	case recorded > life && !over:
		return fmt.Errorf("find key: %w", keyring.ErrNoKey)
	}
	return keyring.ErrDestroyed
}

func (k *Keyring) paths(uid string, life int) (wrapped, gone string) {
	wrapped = filepath.Join(k.dir, File(uid, life))
	return wrapped, strings.TrimSuffix(wrapped, ".key") + ".gone"
}

// File is where a keyring's directory has the person's key of a life. It names nobody.
func File(uid string, life int) string {
	base := filepath.Join("people", shardOf(uid), hashOf(uid))
	if life > 0 {
		base += fmt.Sprint(".", life)
	}
	return base + ".key"
}

func hashOf(uid string) string {
	sum := sha256.Sum256([]byte(uid))
	return hex.EncodeToString(sum[:])
}

// shardOf is the shard of people that the person is in.
func shardOf(uid string) string { return hashOf(uid)[:2] }

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a key: %w", err)
	}
	return true, nil
}

// makeParent makes the directory of a person's files, durably.
func makeParent(path string) error {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(parent))
}

// syncAll makes every entry of the keyring durable, and its own: who made one may
// have died before.
func syncAll(dir string) error {
	parents, err := filepath.Glob(filepath.Join(dir, "people", "*"))
	if err != nil {
		return err
	}
	parents = slices.DeleteFunc(parents, func(path string) bool { // what lies in the place of one costs its people alone
		info, err := os.Stat(path)
		return err != nil || !info.IsDir()
	})
	for _, d := range append(parents, filepath.Join(dir, "people"), filepath.Join(dir, "shards"), dir) {
		if err := durable.SyncDir(d); err != nil {
			return err
		}
	}
	return durable.SyncEntry(dir)
}

// finishDestroying destroys each key that lies beside its marker, and each that was
// never put in its place, as far as the disk lets it: one that stays opens nothing, and
// Settle says why. The ring is the caller's alone.
func finishDestroying(people string) error {
	unfinished, err := filepath.Glob(filepath.Join(people, "*", durable.Unfinished))
	if err != nil {
		return err
	}
	for _, name := range unfinished {
		_ = removeUnfinished(name)
	}
	markers, err := filepath.Glob(filepath.Join(people, "*", "*.gone"))
	if err != nil {
		return err
	}
	for _, marker := range markers {
		_ = shred(strings.TrimSuffix(marker, ".gone") + ".key")
	}
	return nil
}

// removeUnfinished removes what a process that died has left of a key that it was
// writing. It may have died when the key had its own name already: then both name the
// same bytes, which somebody may have sealed with since.
func removeUnfinished(name string) error {
	var is unix.Stat_t
	err := unix.Lstat(name, &is)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &fs.PathError{Op: "lstat", Path: name, Err: err}
	case is.Nlink == 1:
		return shred(name)
	}
	return errors.Join(os.Remove(name), durable.SyncDir(filepath.Dir(name)))
}

// shred overwrites a file, as far as the file system lets that mean anything,
// and removes it.
func shred(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // a file of our directory, named by a hash
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = overwrite(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process shreds it, too
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// Erasures counts the keys that were destroyed, of anyone.
func (k *Keyring) Erasures() (int, error) {
	markers, err := filepath.Glob(filepath.Join(k.dir, "people", "*", "*.gone"))
	if err != nil {
		return 0, keyring.Fault("count destroyed keys", err)
	}
	return len(markers), nil
}
