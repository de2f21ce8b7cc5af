// Package backup copies a data directory while a platform runs on it, looks
// whether all of a directory is whole, and puts a copy back.
//
// A copy holds no keys: what was sealed for a person is noise in every copy from
// the moment that their key is destroyed. So a copy is put back beside the keys
// as they are now, which know who was erased since, and never without them.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/durable"
)

const (
	manifestName = "backup.json"
	format       = 1
)

// A manifest says what a backup is.
type manifest struct {
	Format int       `json:"format"`
	At     time.Time `json:"at"` // when it began
	// Ring names the keys that open it, and Erasures is how many of them were
	// destroyed by then: the keys that it is put back beside know of no fewer.
	Ring     string `json:"ring"`
	Erasures int    `json:"erasures"`
	// Rotations is how often data keys were rotated by then: older keys do not open
	// what was written since.
	Rotations int               `json:"rotations,omitempty"`
	Files     map[string]string `json:"files"` // SHA-256 by path
	// Damaged is what was not whole when it was made, a sentence each.
	Damaged []string `json:"damaged,omitempty"`
}

// Make copies the place into a new directory, and looks whether all of the copy
// is whole. What it came to is returned; where that is not whole the copy is not
// left, unless what is damaged is to be kept: then backup.json lists it.
func Make(ctx context.Context, p datadir.Place, d platform.Drivers, to string, damaged bool, now func() time.Time) (r Report, err error) {
	b := embedded.In(p.Dir, p.Backends)
	if err := errors.Join(mayBe(to, p.Dir, b), embedded.CheckWhole(ctx, p.Dir, b)); err != nil {
		return r, err
	}
	m, err := describe(ctx, b, now)
	if err != nil {
		return r, err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return r, err
	}
	partial, err := os.MkdirTemp(filepath.Dir(to), filepath.Base(to)+".partial-*")
	if err != nil {
		return r, err
	}
	r, err = fill(ctx, b, d, partial, m, now)
	if err == nil && len(r.Bad) > 0 && !damaged {
		err = errors.New("the copy is not whole, and was removed; say --damaged to keep one with a list of what is not whole")
	}
	if err == nil {
		if err = os.Rename(partial, to); errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("%s is there by now: another has made it meanwhile", to)
		}
	}
	if err != nil {
		return r, errors.Join(err, os.RemoveAll(partial))
	}
	return r, durable.SyncDir(filepath.Dir(to))
}

// mayBe is the error of a directory in which no backup of the data directory can be made.
func mayBe(to, dir string, b platform.Backends) error {
	at, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	data, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(resolved(data), resolved(at)); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("the backup %s would lie inside the data directory %s, and be lost with it: name a directory outside of it", at, data)
	}
	if keys, is := strings.CutPrefix(b.Keys, "tink:"); is {
		if keys, err = filepath.Abs(keys); err != nil {
			return err
		}
		if rel, err := filepath.Rel(resolved(keys), resolved(at)); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("the backup %s would lie inside the keys %s, and a copy of these would hold what they open: name a directory outside of them", at, keys)
		}
	}
	for above := filepath.Dir(resolved(at)); above != filepath.Dir(above); above = filepath.Dir(above) {
		if _, err := os.Lstat(filepath.Join(above, manifestName)); err == nil {
			return fmt.Errorf("the backup %s would lie inside another, %s: name a directory outside of it", at, above)
		}
	}
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already: name a directory that is to be made, such as %s", at, filepath.Join(filepath.Dir(at), "NAME"))
	}
	return nil
}

// resolved is the path without links, as far as it is there.
func resolved(path string) string {
	if found, err := filepath.EvalSymlinks(path); err == nil || filepath.Dir(path) == path {
		return found
	}
	return filepath.Join(resolved(filepath.Dir(path)), filepath.Base(path))
}

// fill makes the copy in the directory.
func fill(ctx context.Context, b platform.Backends, d platform.Drivers, dir string, m manifest, now func() time.Time) (Report, error) {
	if err := embedded.Copy(ctx, b, dir); err != nil {
		return Report{}, err
	}
	return finish(ctx, b, d, dir, m, now)
}

// finish looks at what was copied, and says in it what it is.
func finish(ctx context.Context, b platform.Backends, d platform.Drivers, dir string, m manifest, now func() time.Time) (Report, error) {
	report, err := examine(ctx, datadir.Place{Dir: dir, Backends: platform.Backends{Keys: b.Keys}}, d, now, look{copying: true})
	if err != nil {
		return report, fmt.Errorf("look whether the copy is whole: %w", err)
	}
	if err := removeLocks(dir); err != nil {
		return report, err
	}
	if m.Files, err = sums(dir); err != nil {
		return report, err
	}
	m.Damaged = report.Bad
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return report, err
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), append(text, '\n'), 0o600); err != nil {
		return report, err
	}
	return report, syncTree(dir)
}

// describe says of which keys the backup is.
func describe(ctx context.Context, b platform.Backends, now func() time.Time) (m manifest, err error) {
	at, ours := strings.CutPrefix(b.Keys, "tink:")
	if there, err := embedded.Holds(capabilityKeys, at); !ours || err != nil || !there {
		return m, errors.Join(err, fmt.Errorf("there are no keys at %s: without them nothing can be looked at, or put back; say --keys where they are", at))
	}
	ring, count, err := embedded.KnowKeys(ctx, at)
	return manifest{Format: format, At: now().UTC(), Ring: ring, Erasures: count.Destroyed, Rotations: count.Data}, err
}

// Restore puts a backup back as a new data directory, beside the keys as they are
// now, and has everyone erased in it who was since. It returns how many that were, and
// how many things were not whole in it when it was made.
func Restore(ctx context.Context, from string, p datadir.Place, now func() time.Time) (erased, damaged int, err error) {
	b := embedded.In(p.Dir, p.Backends)
	was, err := readManifest(from)
	if err != nil {
		return 0, 0, err
	}
	if err := fits(ctx, was, b, now); err != nil {
		return 0, 0, err
	}
	bad, err := compare(from, was)
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("the backup is not as it was made: %s", bad[0])
	}
	if err != nil {
		return 0, 0, err
	}
	done, leave, err := datadir.Restoring(p.Dir)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	if err := copyFiles(from, p.Dir, was); err != nil {
		return 0, 0, err
	}
	found, err := embedded.Replay(ctx, b, now)
	if err != nil {
		return found.Erased, 0, err
	}
	return found.Erased, len(was.Damaged), errors.Join(syncTree(p.Dir), durable.SyncDir(filepath.Dir(filepath.Clean(p.Dir))), done())
}

// fits is the error of keys that are not those of the backup, or older.
func fits(ctx context.Context, was manifest, b platform.Backends, now func() time.Time) error {
	at, _ := strings.CutPrefix(b.Keys, "tink:")
	if named, err := embedded.HasPseudonyms(at); err == nil && !named { // another would be made
		if there, err := embedded.Holds(capabilityKeys, at); err == nil && there {
			return fmt.Errorf("the keys are not those that the backup was made beside, or their key of pseudonyms is missing, by which everything is named: say --keys where they are, or put %s back from the copy of the keys", filepath.Join(at, "tokens.key"))
		}
	}
	is, err := describe(ctx, b, now)
	switch {
	case err != nil:
		return err
	case is.Ring != was.Ring:
		return errors.New("the keys are not those that the backup was made beside: say --keys where they are")
	case is.Erasures < was.Erasures:
		return fmt.Errorf("the keys are older than the backup: they know of %d erasures, and there were %d when it was made; who was erased would come back", is.Erasures, was.Erasures)
	case is.Rotations < was.Rotations:
		return fmt.Errorf("the keys are older than the backup: their data keys were rotated %d times, and %d times when it was made; what was written since could not be read", is.Rotations, was.Rotations)
	}
	return nil
}

// compare says which of the backup's files are not as they were made, in order.
func compare(dir string, was manifest) (bad []string, err error) {
	got, err := sums(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range slices.Sorted(maps.Keys(was.Files)) {
		if got[path] != was.Files[path] {
			bad = append(bad, path+" is missing or changed")
		}
	}
	return bad, nil
}

// copyFiles copies the backup's files that are there.
func copyFiles(from, into string, was manifest) error {
	for path := range was.Files {
		if !filepath.IsLocal(path) {
			return fmt.Errorf("the backup names a file out of it: %s", path)
		}
		to := filepath.Join(into, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		err := durable.Copy(filepath.Join(from, path), to, os.O_EXCL)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was said to be missing
			return err
		}
	}
	return nil
}

func readManifest(dir string) (m manifest, err error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName)) //nolint:gosec // the backup that the command line names
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s is no backup: it has no %s", dir, manifestName)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%s is no backup: %s cannot be read", dir, manifestName)
	}
	if m.Format < 1 || len(m.Files) == 0 {
		return m, fmt.Errorf("%s is no backup: its %s names no format, or no files", dir, manifestName)
	}
	if m.Format > format {
		return m, fmt.Errorf("the backup %s was made by a newer program (format %d, this one knows %d)", dir, m.Format, format)
	}
	return m, nil
}

// sums are the SHA-256 of every file but the manifest.
func sums(dir string) (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == manifestName {
			return err
		}
		f, err := os.Open(path) //nolint:gosec // a file of the backup
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		all[filepath.ToSlash(name)] = hex.EncodeToString(h.Sum(nil))
		return errors.Join(err, f.Close())
	})
	return all, err
}

// removeLocks removes what looking at a copy has left in it.
func removeLocks(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		if err != nil || d.IsDir() || name != "LOCK" && !strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") {
			return err
		}
		return root.Remove(path)
	})
}

// syncTree makes all below the directory durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return durable.SyncDir(path)
	})
}
